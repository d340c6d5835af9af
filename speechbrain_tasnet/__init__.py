"""Conv-TasNet for SpeechBrain."""

from importlib import import_module

__version__ = "0.1.0"

# Imported when first asked for, so that `tasnet --help` does not wait for torch.
_HOME = {
    "Encoder": "network.encoder_decoder",
    "MaskNet": "network.mask_network",
    "Decoder": "network.encoder_decoder",
    "Model": "network.model",
    "separate": "network.separate",
    "receptive_field": "network.receptive_field",
    "latency": "network.receptive_field",
    "si_snr": "losses",
    "pit_si_snr_loss": "losses",
    "SeparationBrain": "training.brain",
    "TasNetSeparation": "separation.pretrained",
    "StreamingSeparator": "separation.streaming",
    "load_weights": "convert",
    "export_weights": "convert",
    "tune_process": "system.process",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'speechbrain_tasnet' has no attribute {name!r}")
    try:
        module = import_module(f"speechbrain_tasnet.{_HOME[name]}")
    except Exception as error:
        from speechbrain_tasnet.installation import explain

        broken = explain(error)
        if broken is None:
            raise
        raise ImportError(broken) from error
    return getattr(module, name)


def __dir__():
    return __all__
