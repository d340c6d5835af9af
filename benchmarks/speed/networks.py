"""The networks that are compared, built from the model files that `tasnet study` uses.

A toolkit is imported when its network is built, so one that is not installed does not affect the others.
"""

from collections.abc import Mapping

import torch
from hyperpyyaml import load_hyperpyyaml

from benchmarks.speed.sizes import SAMPLE_RATE, Sizes
from speechbrain_tasnet.configuration.model_files import find_model, sizes_of
from speechbrain_tasnet.network.model import Model

OURS, TORCHAUDIO = "convtasnet", "torchaudio"

# What the model files leave to a recipe, beside the sizes.
CHOICES = {
    "norm": "global",
    "causal": False,
    "encoder_activation": None,
    "mask_activation": "sigmoid",
    "sample_rate": SAMPLE_RATE,
    "mics": 1,
    "reference": 0,
    "outputs": "reference",
    "tail": "fill",
    "edge_padding": False,
    "input_norm": None,
    "conv_padding": "zeros",
}


def build(model: str, sizes: Sizes, **choices: object) -> Model:
    """Build a network with random weights.

    torchaudio's gets the weights that ours draws under the same seed, since it must then compute the same.

    Parameters
    ----------
    model : str
        A YAML file, or the name of a packaged one, see `model_files.find_model`.
    sizes : Sizes
        The paper's letters.
    **choices
        Other values of the model file to override.

    Raises
    ------
    ValueError
        It is torchaudio's, whose skip path is as wide as its bottleneck, and Sc is not B.
    """
    if model != TORCHAUDIO:
        return _load(model, sizes, choices)
    if sizes.Sc != sizes.B:
        raise ValueError(f"B={sizes.B}, Sc={sizes.Sc}: torchaudio's skip path is as wide as its bottleneck")
    ours, theirs = _load(OURS, sizes, choices), _load(TORCHAUDIO, sizes, choices)
    with torch.no_grad():  # both register the same weights in the same order
        for weight, source in zip(theirs.parameters(), ours.parameters(), strict=True):
            weight.copy_(source.view_as(weight))
    return theirs


def _load(model: str, sizes: Sizes, choices: Mapping[str, object]) -> Model:
    values = CHOICES | sizes._asdict()
    overrides = {name: values[name] for name, value in sizes_of(model).items() if value is None} | choices
    if model == OURS:
        overrides["edge_padding"] = True  # as torchaudio does, which it is compared with
    with find_model(model).open(encoding="utf-8") as file:
        return Model.of(load_hyperpyyaml(file, overrides))
