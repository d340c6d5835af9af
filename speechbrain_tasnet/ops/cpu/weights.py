"""The weights of all blocks of a network, as the loops of `cpu` read them: stacked kind by kind, and packed."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from speechbrain_tasnet.ops.block_weights import BlockWeights
from speechbrain_tasnet.ops.cpu.compile import serial
from speechbrain_tasnet.ops.cpu.products import pack, room, transposed

# Rows of `Stacked.hidden`; the taps follow them.
EXPAND_BIAS, GAIN1, SHIFT1, TAPS_BIAS, GAIN2, SHIFT2, TAPS = range(7)


class Stacked(NamedTuple):
    """Weights of blocks, or their derivatives.

    O counts the channels of both paths, those of the skip path first. Where a last block has no residual path,
    zeros stand for its weights.
    """

    expand: Tensor  # [blocks, H, B]
    hidden: Tensor  # [blocks, TAPS + P, H], the rows named above
    slopes: Tensor  # [blocks, 2]
    output: Tensor  # [blocks, O, H]
    output_bias: Tensor  # [blocks, O]


def stack(blocks: Sequence[BlockWeights]) -> Stacked:
    """Stack the weights of blocks; autograd takes the derivatives apart again."""
    hidden = [
        torch.stack([w.expand_bias, w.gain1, w.shift1, w.taps_bias, w.gain2, w.shift2, *w.taps.squeeze(1).T])
        for w in blocks
    ]
    outputs = [_output(w) for w in blocks]
    return Stacked(
        torch.stack([w.expand_weight for w in blocks]),
        torch.stack(hidden),
        torch.stack([torch.cat([w.slope1, w.slope2]) for w in blocks]),
        torch.stack([weight for weight, _ in outputs]),
        torch.stack([bias for _, bias in outputs]),
    )


def _output(w: BlockWeights) -> tuple[Tensor, Tensor]:
    """Combine skip and residual product, because they multiply the same rows."""
    if w.residual_weight is None:
        channels, hidden = w.expand_weight.shape[1], w.skip_weight.shape[1]
        residual = w.skip_weight.new_zeros(channels, hidden), w.skip_weight.new_zeros(channels)
    else:
        residual = w.residual_weight, w.residual_bias
    if w.skip_weight is None:
        return residual
    return torch.cat([w.skip_weight, residual[0]]), torch.cat([w.skip_bias, residual[1]])


class Packed(NamedTuple):
    """What the loops read in place of the weights; "packed" is the layout that `products.multiply` needs."""

    hidden: np.ndarray  # as in `Stacked`
    slopes: np.ndarray
    expand: np.ndarray  # [blocks, ...], packed
    expand_back: np.ndarray  # its transpose, packed
    output: np.ndarray  # packed, times the second norm's gain
    output_back: np.ndarray  # the transpose of that, packed
    finish: np.ndarray  # [blocks, 2, O], the sums of ``output``'s rows, and what is added to the product
    taps: np.ndarray  # [blocks, P up to a multiple of three, H], times the first norm's gain
    plain_taps: np.ndarray  # the same without
    # [blocks, P + 2, H], what is added when a tap meets a frame, always, and when all taps do
    constants: np.ndarray

    @classmethod
    def of(cls, w: Stacked, backward: bool, half: bool) -> "Packed":
        """Pack stacked weights, for products in a precision; the way ``backward`` needs more of them."""
        blocks, size, channels = w.expand.shape
        outputs, taps = w.output.shape[1], w.hidden.shape[1] - TAPS
        back = blocks if backward else 0

        in_threes = np.zeros((blocks, -(-taps // 3) * 3, size), np.float32)
        packed = cls(
            w.hidden, w.slopes, room(blocks, size, channels, half), room(back, channels, size, half),
            room(blocks, outputs, size, half), room(back, size, outputs, half),
            np.empty((blocks, 2, outputs), np.float32), in_threes, in_threes.copy(),
            np.empty((blocks, taps + 2, size), np.float32),
        )  # fmt: skip
        _pack(w, packed)
        return packed


@serial
def _pack(w, packed):
    for block in range(len(w.expand)):
        hidden = w.hidden[block]
        expand, output = w.expand[block], w.output[block] * hidden[GAIN2]
        pack(transposed(expand), packed.expand[block])
        pack(transposed(output), packed.output[block])
        if len(packed.expand_back):
            pack(expand, packed.expand_back[block])
            pack(output, packed.output_back[block])
        _fold_output(w.output[block], w.output_bias[block], hidden, packed.finish[block])
        _fold_taps(hidden, packed.taps[block], packed.plain_taps[block], packed.constants[block])


@serial
def _fold_output(weight, bias, hidden, finish):
    for o in range(len(weight)):
        gains, constant = np.float32(0), np.float32(0)
        for c in range(weight.shape[1]):
            gains += weight[o, c] * hidden[GAIN2, c]
            constant += weight[o, c] * hidden[SHIFT2, c]
        finish[0, o], finish[1, o] = gains, bias[o] + constant


@serial
def _fold_taps(hidden, taps, plain_taps, constants):
    count = hidden.shape[0] - TAPS
    for c in range(hidden.shape[1]):
        constants[count, c] = constants[count + 1, c] = hidden[TAPS_BIAS, c]
        for k in range(count):
            plain_taps[k, c] = hidden[TAPS + k, c]
            taps[k, c] = hidden[TAPS + k, c] * hidden[GAIN1, c]
            constants[k, c] = hidden[TAPS + k, c] * hidden[SHIFT1, c]
            constants[count + 1, c] += constants[k, c]
