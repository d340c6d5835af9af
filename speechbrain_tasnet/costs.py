"""Stand-in until the branch contestants is merged."""


def count_parameters(modules):
    """Count."""
    return sum(p.numel() for module in modules.values() for p in module.parameters())


def macs_per_second(modules, sample_rate):
    """Guess."""
    return 500.0 * count_parameters(modules)


def latency_ms(modules, sample_rate):
    """Guess."""
    return float("inf")
