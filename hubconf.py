"""Separators for ``torch.hub``: ``torch.hub.load("OWNER/speechbrain_tasnet", "convtasnet")``."""

dependencies = ["hyperpyyaml", "numba", "safetensors", "scipy", "soundfile", "speechbrain", "torch", "torchaudio"]


def convtasnet(model: str = "convtasnet-8k-2spk", device: str | None = None):
    """Load a bundled separator, or one in a folder: a `TasNetSeparation`.

    Parameters
    ----------
    model : str
        Name of a bundled separator, or folder of one.
    device : str, optional
        ``cpu``, ``cuda:0`` and the like; by default a GPU if there is one.
    """
    from speechbrain_tasnet import TasNetSeparation

    return TasNetSeparation.from_bundle(model, device=device)
