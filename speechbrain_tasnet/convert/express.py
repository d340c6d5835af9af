"""Check whether another toolkit can express one of our models."""

from collections.abc import Mapping

from speechbrain_tasnet.convert.toolkit import Settings
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.network.model import Model


def settings_of(model: Model) -> Settings:
    """Collect the arguments of encoder and masknet by name, the norms by their plain names."""
    masknet = model.masknet
    norms = {"norm": masknet.tcn.blocks[0].norm1.name, "input_norm": masknet.norm.name}
    return model.encoder.config | masknet.config | norms


def refuse_unless(toolkit: str, settings: Settings, able: Mapping[str, tuple]) -> None:
    """Refuse a model that a toolkit cannot express.

    Parameters
    ----------
    toolkit : str
        Its name.
    settings : dict
        The model's.
    able : dict of tuple
        The values that the toolkit has for each.

    Raises
    ------
    InputError
        The model has another one.
    """
    for name, values in {"mics": (1,), **able}.items():
        if settings[name] not in values:
            has = " or ".join(map(repr, values))
            raise InputError(f"{name}={settings[name]!r}: the Conv-TasNet of {toolkit} has only {has}")
