"""The network's mathematics as plain functions of tensors; data is [batch, frames, channels] throughout.

`reference` is authoritative, written to be read. Where there is a faster path, the functions here choose.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from speechbrain_tasnet.ops import fallbacks, reference
from speechbrain_tasnet.ops.block_weights import BlockWeights, MaskWeights
from speechbrain_tasnet.ops.dispatch import find_loops, traced
from speechbrain_tasnet.ops.matmul import apply_masks, linear
from speechbrain_tasnet.ops.moments import Moments, no_moments
from speechbrain_tasnet.ops.reference import (
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
    "stack",
    "traced",
    "weigh_taps",
]


def stack(
    blocks: Sequence[BlockWeights], dilations: Sequence[int], causal: bool, norm: str, like: Tensor
) -> Callable[..., tuple[Tensor, Tensor]]:
    """Make a function of ``x`` and ``valid`` that computes `reference.conv_blocks` on tensors such as ``like``.

    It keeps the weights as they are now, made ready once for all calls.
    """
    loops = find_loops(like)
    if loops is not None:
        return loops.Blocks(blocks, dilations, causal, norm)
    return partial(reference.conv_blocks, blocks=blocks, dilations=dilations, causal=causal, norm=norm)


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
    like = weights.bottleneck_weight
    loops = find_loops(like) if like.device.type == "cpu" and like.dtype == torch.float32 else None
    if loops is None:
        return None
    with torch.no_grad():
        return loops.PackedNet(weights, dilations, norm)


def slow_paths() -> dict[str, str]:
    """Load all fast paths of this machine; return why those that cannot be taken are not, by name."""
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        find_loops(torch.ones(1, device=device))
    return fallbacks.noted()
