"""The loops of `cpu` on the way back; what is said in `loops` holds here too."""

import numpy as np
from numba import prange

from speechbrain_tasnet.ops.compiled import CHUNKS, inline, loop, narrow, wide
from speechbrain_tasnet.ops.loops import activate, add, store_zeros


@loop
def row_sums(dn, n, total, product):
    """Fill in what `cpu.row_sums` returns."""
    batch, frames, _ = n.shape
    for chunk in prange(CHUNKS):
        for row in range(chunk * batch * frames // CHUNKS, (chunk + 1) * batch * frames // CHUNKS):
            item, frame = row // frames, row % frames
            total[item, frame], product[item, frame] = _sums(dn, n, item, frame, total.dtype.type(0))


@inline
def _sums(dn, n, item, frame, zero):
    total, product = zero, zero
    for c in range(n.shape[2]):
        total += wide(dn[item, frame, c])
        product += wide(dn[item, frame, c]) * wide(n[item, frame, c])
    return total, product


@loop
def activation_backward(dn, x, bias, slope, rstd, alpha, gamma, valid, d_bias, d_slope):
    """Fill in what `cpu.activation_backward` returns, its sums by chunks."""
    batch, frames, channels = x.shape
    for chunk in prange(CHUNKS):
        for c in range(channels):
            d_bias[chunk, c] = 0
        d_slope[chunk] = 0
        for row in range(chunk * batch * frames // CHUNKS, (chunk + 1) * batch * frames // CHUNKS):
            item, frame = row // frames, row % frames
            if frame < valid[item]:
                d_slope[chunk] += _activation_backward_row(
                    dn, x, item, frame, bias, slope[0], rstd[item, frame], alpha[item, frame], gamma[item, frame],
                    d_bias, chunk,
                )  # fmt: skip
            else:
                store_zeros(dn, item, frame)


@inline
def _activation_backward_row(dn, x, item, frame, bias, slope, rstd, alpha, gamma, d_bias, chunk):
    d_slope = slope * 0
    for c in range(bias.size):
        a = wide(x[item, frame, c]) + bias[c]
        positive = a > 0
        da = wide(dn[item, frame, c]) * rstd + alpha + (a if positive else a * slope) * gamma
        d_slope += slope * 0 if positive else a * da
        da = da if positive else da * slope
        d_bias[chunk, c] += da
        dn[item, frame, c] = narrow(da, dn[item, frame, c])
    return d_slope


@loop
def convolve_backward(
    dv, x, bias, slope, mean, rstd, gain, shift, weight, taps, left, step, valid, dn, total, product, d_weight,
    d_gain, d_shift,
):  # fmt: skip
    """Fill in what `cpu.convolve_backward` returns, its sums by chunks."""
    batch, frames, channels = x.shape
    for chunk in prange(CHUNKS):
        # Rows: the normalised activation, that times gain plus shift, the derivative by the latter.
        y = np.empty((3, channels), bias.dtype)
        sums = np.zeros((len(weight) + 2, channels), bias.dtype)
        for row in range(chunk * batch * frames // CHUNKS, (chunk + 1) * batch * frames // CHUNKS):
            item, frame = row // frames, row % frames
            if frame < valid[item]:
                activate(x, item, frame, bias, slope[0], y, 0)
                _normalise(y, mean[item, frame], rstd[item, frame], gain, shift)
                for k in range(0, len(weight), 3):
                    t0 = frame + left - k * step
                    t1, t2 = t0 - step, t0 - 2 * step
                    in0 = 0 <= t0 < valid[item]
                    in1 = k + 1 < taps and 0 <= t1 < valid[item]
                    in2 = k + 2 < taps and 0 <= t2 < valid[item]
                    t0, t1, t2 = t0 if in0 else frame, t1 if in1 else frame, t2 if in2 else frame
                    _three_taps_backward(
                        dv, item, t0, t1, t2, gain.dtype.type(in0), gain.dtype.type(in1), gain.dtype.type(in2),
                        weight, k, y, sums,
                    )  # fmt: skip
                total[item, frame], product[item, frame] = _gain_backward(
                    y, gain, gain.dtype.type(0), sums, len(weight), dn, item, frame
                )
            else:
                total[item, frame], product[item, frame] = 0, 0
                store_zeros(dn, item, frame)
        for c in range(channels):
            for k in range(len(weight)):
                d_weight[chunk, k, c] = sums[k, c]
            d_gain[chunk, c] = sums[len(weight), c]
            d_shift[chunk, c] = sums[len(weight) + 1, c]


@inline
def _normalise(y, mean, rstd, gain, shift):
    for c in range(gain.size):
        n = (y[0, c] - mean) * rstd
        y[0, c] = n
        y[1, c] = n * gain[c] + shift[c]
        y[2, c] = 0


@inline
def _three_taps_backward(dv, item, t0, t1, t2, in0, in1, in2, weight, k, y, sums):
    for c in range(y.shape[1]):
        y[2, c] += (
            weight[k, c] * (wide(dv[item, t0, c]) * in0)
            + weight[k + 1, c] * (wide(dv[item, t1, c]) * in1)
            + weight[k + 2, c] * (wide(dv[item, t2, c]) * in2)
        )
    _add_correlation(dv, item, t0, in0, y, sums, k)
    _add_correlation(dv, item, t1, in1, y, sums, k + 1)
    _add_correlation(dv, item, t2, in2, y, sums, k + 2)


@inline
def _add_correlation(dv, item, frame, scale, y, sums, k):
    for c in range(y.shape[1]):
        sums[k, c] += wide(dv[item, frame, c]) * scale * y[1, c]


@inline
def _gain_backward(y, gain, zero, sums, row, dn, item, frame):
    for c in range(gain.size):
        sums[row, c] += y[2, c] * y[0, c]
    add(y, 2, sums, row + 1)
    total, product = zero, zero
    for c in range(gain.size):
        d = y[2, c] * gain[c]
        total += d
        product += d * y[0, c]
        dn[item, frame, c] = narrow(d, dn[item, frame, c])
    return total, product
