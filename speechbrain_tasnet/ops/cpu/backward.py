"""The backward loops of `passes`; what is said in `forward` holds here too."""

import numpy as np
from numba import prange

from speechbrain_tasnet.ops.cpu.compile import CHUNKS, inline, loop, narrow, wide
from speechbrain_tasnet.ops.cpu.forward import activate, in_threes, store_zeros
from speechbrain_tasnet.ops.cpu.norm_statistics import spread_backward


@loop
def activation_backward(dn, n, v, slope, norm, mean, rstd, valid, sums):
    """Fill in what `cpu.activation_backward` returns, its sums by chunks."""
    batch, frames, channels = n.shape
    total, product, no_bias = _scratch(batch, frames, channels, slope)
    for chunk in prange(CHUNKS):
        for row in range(chunk * batch * frames // CHUNKS, (chunk + 1) * batch * frames // CHUNKS):
            item, frame = row // frames, row % frames
            if frame < valid[item]:
                total[item, frame], product[item, frame] = _sums(dn, n, item, frame, slope[0] * 0)
            else:
                total[item, frame], product[item, frame] = 0, 0
    spread_backward(norm, valid, mean, rstd, total, product, channels)
    for chunk in prange(CHUNKS):
        _clear(sums, chunk)
        for row in range(chunk * batch * frames // CHUNKS, (chunk + 1) * batch * frames // CHUNKS):
            item, frame = row // frames, row % frames
            if frame < valid[item]:
                _activation_backward_row(
                    dn, v, item, frame, no_bias, slope[0], rstd[item, frame], total[item, frame],
                    product[item, frame], sums, chunk, 0,
                )  # fmt: skip
            else:
                store_zeros(dn, item, frame)


@inline
def _scratch(batch, frames, channels, like):
    """Make arrays for two numbers of each row, and a row of zeros."""
    rows = np.empty((2, batch, frames), like.dtype)
    return rows[0], rows[1], np.zeros(channels, like.dtype)


@inline
def _clear(sums, chunk):
    for k in range(sums.shape[1]):
        for c in range(sums.shape[2]):
            sums[chunk, k, c] = 0


@inline
def _sums(dn, n, item, frame, zero):
    total, product = zero, zero
    for c in range(n.shape[2]):
        total += wide(dn[item, frame, c])
        product += wide(dn[item, frame, c]) * wide(n[item, frame, c])
    return total, product


@inline
def _activation_backward_row(dn, x, item, frame, bias, slope, rstd, alpha, gamma, sums, chunk, k):
    """Go back through norm and PReLU in the place of ``dn``; what bias and slope get is added to two ``sums``."""
    for c in range(bias.size):
        a = wide(x[item, frame, c]) + bias[c]
        positive = a > 0
        da = wide(dn[item, frame, c]) * rstd + alpha + (a if positive else a * slope) * gamma
        sums[chunk, k + 1, c] += slope * 0 if positive else a * da
        da = da if positive else da * slope
        sums[chunk, k, c] += da
        dn[item, frame, c] = narrow(da, dn[item, frame, c])


@loop
def convolve_backward(
    dv, x, bias, slope, mean, rstd, gain, shift, taps, left, step, norm, valid, dn, sums,
):  # fmt: skip
    """Fill in what `cpu.convolve_backward` returns, its sums by chunks."""
    batch, frames, channels = x.shape
    weight, count = in_threes(taps), taps.shape[2]
    total, product, _ = _scratch(batch, frames, channels, bias)
    for chunk in prange(CHUNKS):
        _clear(sums, chunk)
        # Rows: the normalised activation, that times gain plus shift, the derivative by the latter.
        y = np.empty((3, channels), bias.dtype)
        for row in range(chunk * batch * frames // CHUNKS, (chunk + 1) * batch * frames // CHUNKS):
            item, frame = row // frames, row % frames
            if frame < valid[item]:
                activate(x, item, frame, bias, slope[0], y, 0)
                _normalise(y, mean[item, frame], rstd[item, frame], gain, shift)
                for k in range(0, len(weight), 3):
                    t0 = frame + left - k * step
                    t1, t2 = t0 - step, t0 - 2 * step
                    in0 = 0 <= t0 < valid[item]
                    in1 = k + 1 < count and 0 <= t1 < valid[item]
                    in2 = k + 2 < count and 0 <= t2 < valid[item]
                    t0, t1, t2 = t0 if in0 else frame, t1 if in1 else frame, t2 if in2 else frame
                    _three_taps_backward(
                        dv, item, t0, t1, t2, gain.dtype.type(in0), gain.dtype.type(in1), gain.dtype.type(in2),
                        weight, k, y, sums, chunk,
                    )  # fmt: skip
                total[item, frame], product[item, frame] = _gain_backward(
                    y, gain, sums, chunk, len(weight), dn, item, frame
                )
            else:
                total[item, frame], product[item, frame] = 0, 0
    spread_backward(norm, valid, mean, rstd, total, product, channels)
    for chunk in prange(CHUNKS):
        for row in range(chunk * batch * frames // CHUNKS, (chunk + 1) * batch * frames // CHUNKS):
            item, frame = row // frames, row % frames
            if frame < valid[item]:
                _activation_backward_row(
                    dn, x, item, frame, bias, slope[0], rstd[item, frame], total[item, frame],
                    product[item, frame], sums, chunk, len(weight) + 2,
                )  # fmt: skip
            else:
                store_zeros(dn, item, frame)


@inline
def _normalise(y, mean, rstd, gain, shift):
    for c in range(gain.size):
        n = (y[0, c] - mean) * rstd
        y[0, c] = n
        y[1, c] = n * gain[c] + shift[c]
        y[2, c] = 0


@inline
def _three_taps_backward(dv, item, t0, t1, t2, in0, in1, in2, weight, k, y, sums, chunk):
    for c in range(y.shape[1]):
        y[2, c] += (
            weight[k, c] * (wide(dv[item, t0, c]) * in0)
            + weight[k + 1, c] * (wide(dv[item, t1, c]) * in1)
            + weight[k + 2, c] * (wide(dv[item, t2, c]) * in2)
        )
    _add_correlation(dv, item, t0, in0, y, sums, chunk, k)
    _add_correlation(dv, item, t1, in1, y, sums, chunk, k + 1)
    _add_correlation(dv, item, t2, in2, y, sums, chunk, k + 2)


@inline
def _add_correlation(dv, item, frame, scale, y, sums, chunk, k):
    for c in range(y.shape[1]):
        sums[chunk, k, c] += wide(dv[item, frame, c]) * scale * y[1, c]


@inline
def _gain_backward(y, gain, sums, chunk, k, dn, item, frame):
    """Go back through the gain; what gain and shift get is added to two ``sums``."""
    total, product = gain[0] * 0, gain[0] * 0
    for c in range(gain.size):
        d = y[2, c]
        sums[chunk, k, c] += d * y[0, c]
        sums[chunk, k + 1, c] += d
        y[2, c] = d * gain[c]
    for c in range(gain.size):
        dn[item, frame, c] = narrow(y[2, c], dn[item, frame, c])
    # Sums stand in a loop that stores nothing. One that might overwrite what it reads is compiled twice, sums in
    # another order where memory lies unluckily, and the same training would not end with the same bits.
    for c in range(gain.size):
        total += y[2, c]
        product += y[2, c] * y[0, c]
    return total, product
