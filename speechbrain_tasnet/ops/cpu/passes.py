"""The passes of `fused_block` over a processor's memory: tensors in, tensors out, compiled loops between them."""

import threading

import numba
import numpy as np
import torch
from torch import Tensor

from speechbrain_tasnet.ops import forks
from speechbrain_tasnet.ops.cpu import backward, forward, weight_gradient
from speechbrain_tasnet.ops.cpu.compile import CHUNKS, Loop
from speechbrain_tasnet.ops.cpu.microkernel import WIDTH
from speechbrain_tasnet.ops.cpu.norm_statistics import NORMS
from speechbrain_tasnet.ops.dispatch import Activation, Taps
from speechbrain_tasnet.system.c_functions import loaded_function

# The pool that Numba falls back to where it finds no other does not stand two callers at once.
_lock = threading.Lock()


def _start_threads() -> None:
    """Start Numba's threads, and see to it that torch keeps to as many as it was given.

    Both may sit on one OpenMP, which Numba sets to all cores. OpenMP is set back directly, since after
    `torch.set_num_threads` torch 2.11 solves linear systems wrongly on some processors.
    """
    threads = torch.get_num_threads()
    numba.set_num_threads(1)
    set_num_threads = loaded_function("omp_set_num_threads")
    if set_num_threads is not None:
        set_num_threads(threads)


if not forks.in_child():
    _start_threads()


def _threads() -> int:
    """Count the threads that torch uses, as far as Numba has them."""
    return min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS)


def _run(loop: Loop, *arguments) -> None:
    """Run a loop over the memory of tensors, on as many threads as torch uses; on one in a forked process."""
    arguments = [_memory(a) if isinstance(a, Tensor) else a for a in arguments]
    if forks.in_child():
        loop(*arguments)
        return
    with _lock:
        numba.set_num_threads(_threads())
        loop(*arguments)


def _memory(x: Tensor) -> np.ndarray:
    return (x.view(torch.int16) if x.dtype == torch.bfloat16 else x).numpy()


def _rows(x: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Make two tensors [batch, frames] for what is known of each row of ``x``, in the dtype of ``like``."""
    return like.new_empty(x.shape[:2]), like.new_empty(x.shape[:2])


def statistics(x: Tensor, bias: Tensor, slope: Tensor, norm: str, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the mean and reciprocal deviation with which ``norm`` normalises each row of ``prelu(x + bias)``."""
    mean, rstd = _rows(x, bias)
    _run(forward.statistics, x, bias, slope, NORMS[norm], valid, mean, rstd)
    return mean, rstd


def convolve(a: Activation, taps: Taps, slope: Tensor, norm: str, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Convolve, then PReLU; returns the result and its `statistics`."""
    out = torch.empty_like(a.x)
    mean, rstd = _rows(out, a.bias)
    _run(forward.convolve, *a, *taps, slope, NORMS[norm], valid, out, mean, rstd)
    return out, mean, rstd


def convolve_again(
    a: Activation, taps: Taps, slope: Tensor, mean: Tensor, rstd: Tensor, valid: Tensor
) -> tuple[Tensor, Tensor]:
    """Convolve; returns the result before its PReLU and after PReLU and normalisation."""
    v, n = torch.empty_like(a.x), torch.empty_like(a.x)
    _run(forward.convolve_again, *a, *taps, slope, mean, rstd, valid, v, n)
    return v, n


def finish(
    y: Tensor,
    mean: Tensor,
    rstd: Tensor,
    gain_sum: Tensor,
    constant: Tensor,
    valid: Tensor,
    x: Tensor,
    skip: Tensor,
) -> tuple[Tensor, Tensor]:
    """Add ``(y - mean * gain_sum) * rstd + constant`` to ``x`` and ``skip``.

    ``skip`` takes the last channels; where there are none before these, what becomes of ``x`` has none.
    """
    residual, total = x.new_empty(*x.shape[:2], y.shape[2] - skip.shape[2]), torch.empty_like(skip)
    _run(forward.finish, y, mean, rstd, gain_sum, constant, valid, x, skip, residual, total)
    return residual, total


def activation_backward(
    dn: Tensor, n: Tensor, v: Tensor, slope: Tensor, norm: str, mean: Tensor, rstd: Tensor, valid: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Go back from the normalised ``n`` through norm and PReLU to ``v``.

    Returns the derivative by ``v``, in the place of ``dn``, its sum over all rows and the derivative by the slope.
    """
    sums = slope.new_empty(CHUNKS, 2, v.shape[2])
    _run(backward.activation_backward, dn, n, v, slope, NORMS[norm], mean, rstd, valid, sums)
    d_bias, d_slopes = sums.sum(0)
    return dn, d_bias, d_slopes.sum(0, keepdim=True)


def convolve_backward(dv: Tensor, a: Activation, taps: Taps, norm: str, valid: Tensor) -> tuple[Tensor, ...]:
    """Go back through the convolution and the ``a`` that it was given.

    Returns the derivatives by its ``x``, bias, slope, gain and shift, and by the taps.
    """
    dx = torch.empty_like(a.x)
    channels, _, count = taps.weight.shape
    sums = a.bias.new_empty(CHUNKS, -(-count // 3) * 3 + 4, channels)
    weight, _, *place = taps
    _run(backward.convolve_backward, dv, *a, weight, *place, NORMS[norm], valid, dx, sums)
    sums = sums.sum(0)
    d_gain, d_shift, d_bias, d_slopes = sums[-4:]
    return dx, d_bias, d_slopes.sum(0, keepdim=True), d_gain, d_shift, sums[:count].T.unsqueeze(1)


def product_over_rows(y: Tensor, x: Tensor) -> Tensor:
    """Multiply the transpose of ``y`` [rows, outer] by ``x`` [rows, inner]: [outer, inner]."""
    out = x.new_zeros(y.shape[1], -(-x.shape[1] // WIDTH) * WIDTH)
    _run(weight_gradient.add_product_over_rows, y.contiguous(), x.contiguous(), out, _threads())
    return out[:, : x.shape[1]]
