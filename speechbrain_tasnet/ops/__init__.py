"""The network's mathematics as plain functions of tensors; data is [batch, frames, channels] throughout.

`reference` is the truth, written to be read. Where a faster path stands beside it, the functions here choose.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from speechbrain_tasnet.ops import fallbacks, fused_block, reference
from speechbrain_tasnet.ops.dispatch import find_packing, find_passes, traced
from speechbrain_tasnet.ops.matmul import apply_masks, linear, mkl_is_slow
from speechbrain_tasnet.ops.moments import Moments, no_moments
from speechbrain_tasnet.ops.reference import (
    BlockWeights,
    MaskWeights,
    channelwise_norm,
    cumulative_norm,
    cumulative_norm_from,
    depthwise,
    depthwise_from,
    global_norm,
    prelu,
    weigh_taps,
)
from speechbrain_tasnet.ops.reflection import reflect

if TYPE_CHECKING:
    from speechbrain_tasnet.ops.cpu.packed_weights import PackedNet

__all__ = [
    "BlockWeights",
    "MaskWeights",
    "Moments",
    "apply_masks",
    "channelwise_norm",
    "conv_block",
    "cumulative_norm",
    "cumulative_norm_from",
    "decode",
    "depthwise",
    "depthwise_from",
    "encode",
    "global_norm",
    "linear",
    "no_moments",
    "pack",
    "prelu",
    "reflect",
    "slow_paths",
    "weigh_taps",
]


def conv_block(
    x: Tensor,
    skip: Tensor,
    weights: BlockWeights,
    dilation: int,
    causal: bool,
    norm: str,
    valid: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Compute `reference.conv_block`, by `fused_block` where there are passes for it."""
    passes = find_passes(x)
    if passes is None:
        return reference.conv_block(x, skip, weights, dilation, causal, norm, valid)
    return fused_block.conv_block(passes, x, skip, weights, dilation, causal, norm, valid)


def encode(signal: Tensor, weight: Tensor, stride: int) -> Tensor:
    """Compute `reference.encode`, for a graph as a convolution, which other programs know."""
    if traced():
        return F.conv1d(signal.unsqueeze(1), weight, stride=stride).transpose(1, 2)
    return linear(signal.unfold(1, weight.shape[2], stride), weight.squeeze(1))


def decode(frames: Tensor, weight: Tensor) -> Tensor:
    """Compute `reference.decode`, with the product in the order in which memory holds the rows."""
    if traced():
        return reference.decode(frames, weight)
    order = sorted(range(frames.ndim - 1), key=frames.stride, reverse=True)
    products = linear(frames.permute(*order, -1), weight.squeeze(1).T)
    back = [order.index(axis) for axis in range(len(order))]
    return reference.overlap_add(products.permute(*back, -1))


def pack(weights: MaskWeights, dilations: Sequence[int], norm: str) -> "PackedNet | None":
    """Pack the weights of a causal mask network for streams; None where nothing could run them."""
    packing = find_packing(weights.bottleneck_weight)
    if packing is None:
        return None
    with torch.no_grad():
        return packing.PackedNet(weights, dilations, norm)


def slow_paths() -> dict[str, str]:
    """Load all fast paths of this machine; return why those that cannot be taken are not, by name."""
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        x = torch.ones(1, device=device)
        find_passes(x)
        find_packing(x)
        mkl_is_slow(x)
    return fallbacks.noted()
