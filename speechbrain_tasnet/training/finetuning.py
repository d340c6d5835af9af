"""Start a training from the weights of a trained separator."""

from pathlib import Path

import torch

from speechbrain_tasnet.bundle import can_hold, find_bundle, load_bundle
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.network.model import Model
from speechbrain_tasnet.training.growth import deepen
from speechbrain_tasnet.training.hops import coarsen, is_twice
from speechbrain_tasnet.training.microphones import add_microphones, has_more
from speechbrain_tasnet.training.outputs import refit
from speechbrain_tasnet.training.rates import double_rate, is_for_twice

# The argument that says how many sources there are.
SOURCES = "C"

# What becomes different when a network that sees the future is made to do without: norms over the whole signal and
# reflection at its end see the future, too. Its weights keep their shapes.
CAUSALITY = ("causal", "norm", "input_norm", "conv_padding")

# What may be greater: a deeper network begins with the blocks of a shallower one.
DEPTH = ("X", "R")

# What a recipe calls differently from the module that takes it.
KEYS = {"activation": "encoder_activation"}


def sizes_of_start(folder: Path | str) -> dict[str, object]:
    """Return what a recipe needs to build the network that it starts from.

    Parameters
    ----------
    folder : path-like
        As for `start_from`.

    Returns
    -------
    dict
        Values by the recipe's keys, ``sample_rate`` among them; the number of sources is the recipe's own choice.

    Raises
    ------
    InputError
        There is no separator.
    """
    config = load_bundle(find_bundle(folder)).config
    values = config.modules["encoder"] | config.modules["masknet"]
    sizes = {KEYS.get(name, name): value for name, value in values.items() if name != SOURCES}
    return sizes | {"sample_rate": config.sample_rate}


@torch.no_grad()
def start_from(folder: Path | str, model: Model, sample_rate: int, adapt: bool = True) -> str:
    """Copy the weights of a trained separator into a fresh one.

    One of more sources begins with those of before and fresh ones besides (`outputs.refit`). A causal network may
    begin with the weights of one that is not, and learns to do without the future. A deeper network begins as the
    shallower one (`growth.deepen`), one of twice the hop nearly as the finer one (`hops.coarsen`), one for twice
    the sampling rate as that for half of it (`rates.double_rate`), one of more microphones as that of fewer
    (`microphones.add_microphones`).

    Parameters
    ----------
    folder : path-like
        A bundle, or the folder of a training run.
    model : Model
        What it is to become.
    sample_rate : int
        In Hz, of the new training.
    adapt : bool
        Whether the model is trained from here on, so that it may differ as described.

    Returns
    -------
    str
        One line that says what was kept.

    Raises
    ------
    InputError
        There is no separator, it differs in more than that, or the model is another toolkit's.
    """
    if not can_hold(model):
        raise InputError(
            f"pretrained={folder}: only a Conv-TasNet of this package can begin with a separator's weights; "
            "leave --pretrained or --model out"
        )
    found = find_bundle(folder)
    trained, config = load_bundle(found)
    changes = []
    if adapt and is_for_twice(model, sample_rate, trained, config.sample_rate):
        trained = double_rate(trained)
        changes.append("the upper half of the band is new")
    elif config.sample_rate != sample_rate:
        raise InputError(_difference(found, "sample_rate", sample_rate, config.sample_rate))
    if adapt and is_twice(model, trained):
        trained = coarsen(trained)
        changes.append("a frame stands for two of before")
    if adapt and has_more(model, trained):
        more, wanted = model.encoder.mics - trained.encoder.mics, model.encoder
        trained = add_microphones(trained, wanted.mics, wanted.reference, wanted.config["outputs"])
        if more:
            new = "microphone is" if more == 1 else "microphones are"
            changes.append(f"{more} {new} new and not listened to yet")
    sizes, before = model.masknet.config, trained.masknet.config
    becomes_causal = adapt and sizes["causal"] and not before["causal"]
    grows = adapt and all(sizes[name] >= before[name] for name in DEPTH)
    free = (SOURCES, *(CAUSALITY if becomes_causal else ()), *(DEPTH if grows else ()))
    for name, module in model.items():
        for key, value in module.config.items():
            if key not in free and value != trained[name].config[key]:
                raise InputError(_difference(found, key, value, trained[name].config[key]))
    sources = model.masknet.num_sources
    if sources != config.num_spks and not adapt:
        raise InputError(f"num_spks={sources}: the separator in {found} gives {config.num_spks} sources")
    refits = sources != config.num_spks
    for name, module in model.items():
        own = module.state_dict()
        weights = trained[name].state_dict()
        if name == "masknet":
            weights = deepen(weights, own, before, sizes)
            weights |= refit(weights, own) if refits else {}
        module.load_state_dict(weights)
    changes += (
        [f"{sources} {'source' if sources == 1 else 'sources'} instead of {config.num_spks}"] if refits else []
    )
    changes += ["the network is causal now"] if becomes_causal else []
    new = sizes["X"] * sizes["R"] - before["X"] * before["R"]
    changes += [f"{new} blocks are new and give nothing yet"] if new else []
    return "; ".join([f"Starting from {found}", *changes])


def _difference(folder: Path, key: str, here: object, there: object) -> str:
    """Return what differs, and how to make it the same."""
    key = KEYS.get(key, key)
    way_out = f"give --{key} {'null' if there is None else there}"
    return f"{key}={here}: the separator in {folder} has {there}; {way_out}, or leave --pretrained out"
