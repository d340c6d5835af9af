"""Stand-in until the branch contestants is merged."""


def macs_per_second(modules, sample_rate):
    return 1e9
