"""Convert convolutions with other padding than ours: taps of zero where they have none.

A depthwise convolution is known by the lags at which its taps lie. P taps at lags 3d, 2d, d are the four taps of
a causal convolution of ours whose last one, at lag 0, is zero.
"""

import logging

import torch.nn.functional as F  # noqa: N812

from speechbrain_tasnet.convert.layout import State
from speechbrain_tasnet.convert.toolkit import Settings
from speechbrain_tasnet.errors import InputError

logger = logging.getLogger(__name__)


def place_causal_taps(tensors: State, settings: Settings, delay: int = 0) -> None:
    """Turn left-padded convolutions into ours.

    With a global norm the network hears the whole utterance, whatever its convolutions do. It becomes what it
    is, a non-causal network, whose taps in the future are zero; `receptive_field` counts these too.

    Parameters
    ----------
    tensors : dict of Tensor
        Under our names; the depthwise kernels, [H, 1, P], are replaced.
    settings : dict
        ``causal`` and ``norm``; the first may change.
    delay : int
        Dilations between a frame and its nearest tap.
    """
    leaks = settings["norm"] == "global"
    for name, taps in tensors.items():
        if name.endswith("depthwise.weight"):
            future = taps.shape[-1] - 1 + delay if leaks else 0
            tensors[name] = F.pad(taps, (0, delay + future))
    if leaks:
        settings["causal"] = False
        logger.warning("causal, but with a norm over the whole utterance: imported as the non-causal model it is")


def expect_three_taps(tensors: State, settings: Settings) -> None:
    """Refuse any other number of taps if non-causal convolutions are padded for exactly three.

    Raises
    ------
    InputError
        The output would be shorter or longer than the input, so that this network cannot have run.
    """
    taps = tensors["masknet.tcn.blocks.0.depthwise.weight"].shape[-1]
    if not settings["causal"] and taps != 3:
        raise InputError(f"P={taps}: this toolkit's own non-causal network runs only with P=3")
