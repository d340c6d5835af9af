"""All blocks of a network on a GPU, in a row."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from speechbrain_tasnet.ops import reference
from speechbrain_tasnet.ops.block_weights import BlockWeights
from speechbrain_tasnet.ops.gpu.choice import choose
from speechbrain_tasnet.ops.gpu.trust import kind_of


class Blocks(NamedTuple):
    """Blocks in a row with the weights that they have now, for any number of inputs; see `cpu.Blocks`."""

    blocks: Sequence[BlockWeights]
    dilations: Sequence[int]
    causal: bool
    norm: str

    def __call__(self, x: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Compute `reference.conv_blocks` of ``x`` [batch, frames, channels]."""
        if valid is None:
            valid = torch.full((len(x),), x.shape[1], device=x.device)
        return reference.conv_blocks(x, valid, *self, one=_one)


def _one(
    x: Tensor, skip: Tensor, weights: BlockWeights, dilation: int, causal: bool, norm: str, valid: Tensor
) -> tuple[Tensor, Tensor]:
    path = choose(kind_of(x, weights, causal, norm))
    return path(x, skip, weights, dilation, causal, norm, valid)
