"""The passes of `fused` over a processor's memory: tensors in, tensors out, `loops` between them."""

import ctypes
import threading

import numba
import numpy as np
import torch
from torch import Tensor

from speechbrain_tasnet.ops import loops, loops_backward
from speechbrain_tasnet.ops.compiled import CHUNKS
from speechbrain_tasnet.ops.passes import Activation, Taps

# The pool that Numba falls back to where it finds no other does not stand two callers at once.
_lock = threading.Lock()


def _start_threads() -> None:
    """Start Numba's threads, and see to it that torch keeps to as many as it was given.

    Both may sit on one OpenMP, which Numba tells to use all cores. OpenMP is told otherwise directly, since after
    `torch.set_num_threads` torch 2.11 solves linear systems wrongly on some processors.
    """
    threads = torch.get_num_threads()
    numba.set_num_threads(1)
    openmp = ctypes.CDLL(None)
    if hasattr(openmp, "omp_set_num_threads"):
        openmp.omp_set_num_threads(threads)


_start_threads()


def _run(loop, *arguments) -> None:
    """Run a loop over the memory of tensors, on as many threads as torch uses."""
    with _lock:
        numba.set_num_threads(min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS))
        loop(*(_memory(a) if isinstance(a, Tensor) else a for a in arguments))


def _memory(x: Tensor) -> np.ndarray:
    return (x.view(torch.int16) if x.dtype == torch.bfloat16 else x).numpy()


def _rows(x: Tensor, like: Tensor, count: int) -> Tensor:
    """Make ``count`` tensors [batch, frames] for what is known of each row of ``x``, in the dtype of ``like``."""
    return like.new_empty(count, *x.shape[:2])


def statistics(x: Tensor, bias: Tensor, slope: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Take mean and variance over the channels of each row of ``prelu(x + bias)``."""
    mean, variance = _rows(x, bias, 2)
    _run(loops.statistics, x, bias, slope, valid, mean, variance)
    return mean, variance


def convolve(a: Activation, taps: Taps, slope: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Convolve, then PReLU; returns the result with mean and variance of its rows."""
    out = torch.empty_like(a.x)
    mean, variance = _rows(out, a.bias, 2)
    _run(loops.convolve, *a[:5], *_folded(a, taps), slope, *_place(taps), valid, out, mean, variance)
    return out, mean, variance


def convolve_again(
    a: Activation, taps: Taps, slope: Tensor, valid: Tensor, mean: Tensor, rstd: Tensor
) -> tuple[Tensor, Tensor]:
    """Convolve; returns the result before its PReLU and after PReLU and normalisation."""
    v, n = torch.empty_like(a.x), torch.empty_like(a.x)
    _run(loops.convolve_again, *a[:5], *_folded(a, taps), slope, *_place(taps), valid, mean, rstd, v, n)
    return v, n


def finish(
    y: Tensor, first: int, mean: Tensor, rstd: Tensor, gain_sum: Tensor, constant: Tensor, valid: Tensor, x: Tensor
) -> Tensor:
    """Add ``(y - mean * gain_sum) * rstd + constant``, taken from the channel ``first`` on, to ``x``."""
    out = torch.empty_like(x)
    _run(loops.finish, y, first, mean, rstd, gain_sum, constant, valid, x, out)
    return out


def row_sums(dn: Tensor, n: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Sum ``dn`` and ``dn * n`` over the channels of each row."""
    total, product = _rows(n, like, 2)
    _run(loops_backward.row_sums, dn, n, total, product)
    return total, product


def activation_backward(
    dn: Tensor, x: Tensor, bias: Tensor, slope: Tensor, rstd: Tensor, alpha: Tensor, gamma: Tensor, valid: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Go back through norm and PReLU; returns the derivatives by ``x``, in the place of ``dn``, bias and slope.

    With ``a = prelu(x + bias)`` the derivative by ``a`` is ``rstd * dn + alpha + gamma * a``.
    """
    d_bias, d_slope = bias.new_empty(CHUNKS, len(bias)), slope.new_empty(CHUNKS)
    _run(loops_backward.activation_backward, dn, x, bias, slope, rstd, alpha, gamma, valid, d_bias, d_slope)
    return dn, d_bias.sum(0), d_slope.sum(0, keepdim=True)


def convolve_backward(dv: Tensor, a: Activation, taps: Taps, valid: Tensor) -> tuple[Tensor, ...]:
    """Go back through the convolution and the gain.

    Returns the derivative by the normalised activation with the sums over its rows that `row_sums` would give,
    then those by taps, gain and shift.
    """
    raw = _in_threes(taps.weight)
    dn = torch.empty_like(a.x)
    total, product = _rows(dn, a.bias, 2)
    d_taps = a.bias.new_empty(CHUNKS, *raw.shape)
    d_gain, d_shift = a.bias.new_empty(2, CHUNKS, raw.shape[1])
    rows, sums = (dn, total, product), (d_taps, d_gain, d_shift)
    _run(loops_backward.convolve_backward, dv, *a, raw, *_place(taps), valid, *rows, *sums)
    d_weight = d_taps.sum(0)[: taps.weight.shape[2]].T.unsqueeze(1)
    return dn, total, product, d_weight, d_gain.sum(0), d_shift.sum(0)


def _place(taps: Taps) -> tuple[int, int, int]:
    return taps.weight.shape[2], taps.left, taps.dilation


def _in_threes(weight: Tensor) -> Tensor:
    """Lay out taps [channels, 1, P] as rows, with rows of zeros up to a multiple of three."""
    channels, _, count = weight.shape
    rows = weight.new_zeros(-(-count // 3) * 3, channels)
    rows[:count] = weight.squeeze(1).T
    return rows


def _folded(a: Activation, taps: Taps) -> tuple[Tensor, Tensor]:
    """Fold gain and shift into taps and constants, as `loops.convolved_row` wants them."""
    raw = _in_threes(taps.weight)
    shifts = raw[: taps.weight.shape[2]] * a.shift
    return raw * a.gain, torch.cat([shifts, taps.bias[None], (taps.bias + shifts.sum(0))[None]])
