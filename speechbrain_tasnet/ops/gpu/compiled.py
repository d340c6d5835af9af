"""The readable block, compiled by torch: what runs where the kernels are wrong, or slower."""

from functools import cache

import torch
from torch import Tensor

from speechbrain_tasnet.ops import reference
from speechbrain_tasnet.ops.block_weights import BlockWeights

BACKEND = "inductor"


def conv_block(
    x: Tensor, skip: Tensor, weights: BlockWeights, dilation: int, causal: bool, norm: str, valid: Tensor
) -> tuple[Tensor, Tensor]:
    """Compute `reference.conv_block`.

    A block is compiled, not the network: blocks differ in numbers only, so that one piece of machine code serves
    nearly all of them, and compiling takes seconds where a network of 24 blocks would take minutes.
    """
    return _compiled(BACKEND)(x, skip, weights, dilation, causal, norm, valid)


@cache
def _compiled(backend: str):
    # Numbers are symbols from the start: otherwise each dilation and each length would compile again.
    return torch.compile(reference.conv_block, dynamic=True, backend=backend)
