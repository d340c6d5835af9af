"""All blocks of a network on a CPU: tensors in, tensors out, compiled loops in between."""

import threading
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from speechbrain_tasnet.ops.block_weights import BlockWeights
from speechbrain_tasnet.ops.cpu import backward, forward, team
from speechbrain_tasnet.ops.cpu.norm_statistics import CUMULATIVE, NORMS
from speechbrain_tasnet.ops.cpu.products import half_is_fast, rounded
from speechbrain_tasnet.ops.cpu.weights import Packed, Stacked, stack


class Blocks:
    """Blocks in a row with the weights that they have now, for any number of inputs.

    Parameters
    ----------
    blocks : sequence of BlockWeights
        Their weights, of float32.
    dilations : sequence of int
        Frames between the taps of each.
    causal : bool
        Whether no tap sees the future.
    norm : str
        ``global``, ``cumulative`` or ``channelwise``.
    """

    def __init__(self, blocks: Sequence[BlockWeights], dilations: Sequence[int], causal: bool, norm: str):
        reaches = np.array([(w.taps.shape[2] - 1) * d for w, d in zip(blocks, dilations, strict=True)])
        paths = [(w.skip_weight, w.residual_weight) for w in blocks]
        self.norm = NORMS[norm]
        self.skip = 0 if blocks[0].skip_weight is None else len(blocks[0].skip_weight)
        self.residual = blocks[-1].residual_weight is not None
        self.shape = (
            np.array([sum(len(path) for path in both if path is not None) for both in paths]),
            reaches if causal else reaches // 2,
            np.array(dilations),
            self.norm,
        )
        self.weights = stack(blocks)
        self._packed = _Packing(self.weights)

    def with_weights(self, weights: Stacked) -> "Blocks":
        """Return the same blocks for another derivative: ``weights`` are equal to those stacked here."""
        twin = object.__new__(Blocks)
        twin.__dict__ |= self.__dict__ | {"weights": weights}
        return twin

    def __call__(self, x: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Compute `reference.conv_blocks` of ``x`` [batch, frames, channels]."""
        if valid is None:
            valid = torch.full((len(x),), x.shape[1])
        # Without instructions for it, half precision would be no faster than float32.
        half = torch.is_autocast_enabled("cpu") and half_is_fast()
        keep = torch.is_grad_enabled() and any(t.requires_grad for t in (x, *self.weights))
        with torch.autocast("cpu", enabled=False):
            return _Blocks.apply(
                x.float(), valid, self, torch.bfloat16 if half else torch.float32, keep, *self.weights
            )

    def packed(self, backward: bool, half: bool) -> Packed:
        """Pack the weights, at the first call only, for one way or both."""
        return self._packed.get(backward, half)


class _Packing:
    """Pack weights once, whichever thread asks first."""

    def __init__(self, weights: Stacked):
        self._weights = as_arrays(weights)
        self._lock = threading.Lock()
        self._packed: dict[tuple[bool, bool], Packed] = {}

    def get(self, backward: bool, half: bool) -> Packed:
        with self._lock:
            if (True, half) in self._packed:  # has all
                return self._packed[True, half]
            if (backward, half) not in self._packed:
                self._packed[backward, half] = Packed.of(self._weights, backward, half)
            return self._packed[backward, half]


def as_arrays(weights: Stacked) -> Stacked:
    """Take stacked weights as arrays."""
    return Stacked(*(part.detach().numpy() for part in weights))


class _Blocks(Function):
    @staticmethod
    def forward(ctx, x, valid, blocks, dtype, keep, *weights):
        count, hidden, channels = weights[0].shape
        batch, frames, _ = x.shape
        xs = x.new_empty(count + 1 if keep else 2, batch, frames, channels)
        xs[0] = x
        u = x.new_empty(count if keep else 1, batch, frames, hidden, dtype=dtype)
        moments = x.new_zeros(len(u), 4, batch, frames)
        total = x.new_zeros(batch, frames, blocks.skip)
        y = x.new_empty(frames, rounded(int(blocks.shape[0].max())))
        arrays = map(_memory, (valid, xs, u, moments, y, total))
        team.run(
            forward.forward,
            torch.get_num_threads(),
            blocks.packed(keep, dtype == torch.bfloat16),
            *blocks.shape,
            *arrays,
        )
        if keep:
            ctx.blocks = blocks
            ctx.save_for_backward(xs, u, moments, valid, *weights)
        end = xs[count if keep else count % 2]
        return _without_padding(end, valid).clone() if blocks.residual else x[..., :0], total

    @staticmethod
    @once_differentiable
    def backward(ctx, d_residual, d_total):
        xs, u, moments, valid, *weights = ctx.saved_tensors
        blocks, stacked = ctx.blocks, as_arrays(Stacked(*weights))
        grads = Stacked(*(torch.zeros_like(part) for part in weights))
        dx = d_residual.clone() if blocks.residual else xs.new_zeros(xs.shape[1:])
        # A cumulative norm goes back from frame to frame.
        threads = 1 if blocks.norm == CUMULATIVE else torch.get_num_threads()
        half = u.dtype == torch.bfloat16
        arrays = map(_memory, (valid, xs, u, moments, dx, d_total.contiguous(), torch.empty_like(u[0, 0])))
        team.run(
            backward.backward, threads, blocks.packed(True, half), stacked, as_arrays(grads), *blocks.shape,
            *arrays, backward.Sums.of(threads, stacked),
        )  # fmt: skip
        return _without_padding(dx, valid), None, None, None, None, *grads


def _memory(x: Tensor) -> np.ndarray:
    return (x.view(torch.int16) if x.dtype == torch.bfloat16 else x).numpy()


def _without_padding(x: Tensor, valid: Tensor) -> Tensor:
    """Write zeros beyond the end of each item, where nothing has been computed."""
    for item, end in zip(x, valid.tolist(), strict=True):
        item[end:] = 0
    return x
