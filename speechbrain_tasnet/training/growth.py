"""A deeper network that starts as a shallower one."""

from collections.abc import Mapping

import torch
from torch import Tensor

BLOCKS = "tcn.blocks."
# What a block gives to the two paths: zeros there, and the network computes what it did without the block.
OUTPUTS = ("residual.", "skip.")


def deepen(
    trained: Mapping[str, Tensor], fresh: Mapping[str, Tensor], before: Mapping[str, int], after: Mapping[str, int]
) -> dict[str, Tensor]:
    """Place the blocks of a mask network among those of a deeper one.

    A repeat keeps its blocks, so that their dilations stay, and gets new ones at its end; new repeats come last.
    New blocks give zeros to both paths at first, and so does the residual path that the network's last block
    lacked. They learn at once, because what goes into those weights is random, not zero.

    Parameters
    ----------
    trained, fresh : mapping of Tensor
        State dictionaries of both mask networks.
    before, after : mapping of int
        X and R, blocks in a repeat and repeats, of both.

    Returns
    -------
    dict of Tensor
        State dictionary of the deeper network.
    """
    return {name: _weight(name, trained, fresh, before, after) for name in fresh}


def place_of(name: str, in_repeat: int) -> tuple[int, int, str]:
    """Return repeat, place in it and layer of a block's weight, where a repeat has so many blocks.

    Example
    -------
    >>> place_of("tcn.blocks.9.skip.weight", 8)
    (1, 1, 'skip.weight')
    """
    number, layer = name.removeprefix(BLOCKS).split(".", 1)
    return *divmod(int(number), in_repeat), layer


def name_at(repeat: int, place: int, layer: str, in_repeat: int) -> str:
    """Return the name of the weight that `place_of` finds there."""
    return f"{BLOCKS}{repeat * in_repeat + place}.{layer}"


def _weight(
    name: str,
    trained: Mapping[str, Tensor],
    fresh: Mapping[str, Tensor],
    before: Mapping[str, int],
    after: Mapping[str, int],
) -> Tensor:
    if not name.startswith(BLOCKS):
        return trained[name]
    repeat, place, layer = place_of(name, after["X"])
    if repeat < before["R"] and place < before["X"]:
        known = trained.get(name_at(repeat, place, layer, before["X"]))
        return torch.zeros_like(fresh[name]) if known is None else known
    return torch.zeros_like(fresh[name]) if layer.startswith(OUTPUTS) else fresh[name]
