"""The separator that a training begins with: its weights, and what it has heard already."""

from contextlib import suppress
from pathlib import Path

from speechbrain_tasnet.bundle import find_bundle, load_bundle
from speechbrain_tasnet.configuration.schema import Hparams
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.training.finetuning import start_from


def start(hparams: Hparams, adapt: bool = True) -> str | None:
    """Load the weights of the recipe's separator, if this is a fresh start.

    Parameters
    ----------
    hparams : Hparams
        Of the recipe.
    adapt : bool
        As for `start_from`.

    Returns
    -------
    str or None
        What to log.

    Raises
    ------
    InputError
        As from `start_from`.
    """
    if hparams.pretrained is None or hparams.checkpointer.find_checkpoint() is not None:
        return None
    return start_from(hparams.pretrained, hparams.network, hparams.sample_rate, adapt)


def hours_heard(hparams: Hparams) -> float:
    """Return how many hours of audio the separator has heard that the training began with.

    Parameters
    ----------
    hparams : Hparams
        Of the recipe.
    """
    return _about(hparams).get("audio_hours", 0.0)


def heard_again(hparams: Hparams) -> str | None:
    """Return a warning if the training draws what the separator that it begins with has heard already.

    An item of dynamic mixing depends on its seed and its number alone, so that a second training with the seed of
    the first one mixes the same voices once more, from the first item on.

    Parameters
    ----------
    hparams : Hparams
        Of the recipe.
    """
    if hparams.speech_folder is None:
        return None
    about = _about(hparams)
    before = about.get("speech"), about.get("data_seed", about.get("seed"))
    if before != (Path(hparams.speech_folder).resolve().name, hparams.item_seed):
        return None
    return (
        f"{hparams.pretrained} was trained on mixtures drawn with the seed {hparams.item_seed}, too, and the same "
        "voices would be mixed again; for new mixtures give another one, such as "
        f"--data_seed {hparams.item_seed + 1}"
    )


def _about(hparams: Hparams) -> dict:
    """Return what the bundle says about itself; nothing where a resumed run no longer has it."""
    if hparams.pretrained is not None:
        with suppress(InputError):
            return load_bundle(find_bundle(hparams.pretrained)).config.about
    return {}
