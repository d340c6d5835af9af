"""The loops of `cpu`, compiled by Numba: each reads its arrays once, row by row.

A row is one frame's channels; it stays in the first-level cache until everything is done with it. Rows behind the
end of an item count as zero and are written as zero. Sums over rows are taken in a fixed number of chunks, so that
results do not depend on the number of threads. bfloat16 travels as int16 and is computed in float32.
"""

import numpy as np
from numba import njit, prange, types
from numba.extending import intrinsic, overload

CHUNKS = 32
# Sums may be reordered and products fused into them; NaN and infinity stay what they are.
FASTMATH = {"reassoc", "contract", "nsz"}


def _compiled(**options):
    """Compile a function at its first call, and keep the machine code on disk where that is possible."""

    def decorate(function):
        try:
            return njit(function, fastmath=FASTMATH, cache=True, **options)
        except RuntimeError:  # neither the package's folder nor the user's cache can be written
            return njit(function, fastmath=FASTMATH, **options)

    return decorate


_loop = _compiled(parallel=True)
_inline = _compiled(forceinline=True)


@intrinsic
def _float_of_bits(typing_context, bits):
    return types.float32(types.uint32), lambda context, builder, signature, arguments: builder.bitcast(
        arguments[0], context.get_value_type(types.float32)
    )


@intrinsic
def _bits_of_float(typing_context, value):
    return types.uint32(types.float32), lambda context, builder, signature, arguments: builder.bitcast(
        arguments[0], context.get_value_type(types.uint32)
    )


def _wide(x):
    """Give an element as the number it is computed with."""


def _narrow(x, like):
    """Give a number as an element of the kind of ``like``."""


@overload(_wide, inline="always")
def _(x):
    if isinstance(x, types.Integer):
        return lambda x: _float_of_bits(np.uint32(np.uint16(x)) << np.uint32(16))
    return lambda x: x


@overload(_narrow, inline="always")
def _(x, like):
    if isinstance(like, types.Integer):

        def to_bfloat16(x, like):
            bits = _bits_of_float(np.float32(x))
            if x != x:
                return np.int16(0x7FC0)
            # To the nearest, and of two equally near to the even one.
            return np.int16((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16))

        return to_bfloat16
    return lambda x, like: x


# Two habits keep these loops fast. Rows are named by their indices, never sliced: a slice counts its references,
# and threads would fight over the counter. And a loop writes one or two rows: LLVM vectorises it only while few
# pairs of rows might overlap.


@_inline
def _activate(x, item, frame, bias, slope, y, row):
    for c in range(bias.size):
        a = _wide(x[item, frame, c]) + bias[c]
        y[row, c] = a if a > 0 else a * slope


@_inline
def _moments(y, row):
    # Twice over a row in cache: the mean of the squares less the squared mean would lose small variances.
    size = y.shape[1]
    total = y[row, 0] * 0
    for c in range(size):
        total += y[row, c]
    mean = total / size
    scatter = mean * 0
    for c in range(size):
        scatter += (y[row, c] - mean) * (y[row, c] - mean)
    return mean, scatter / size


@_inline
def _copy(source, row, y):
    for c in range(y.shape[1]):
        y[0, c] = source[row, c]


@_inline
def _add(source, row, y, to):
    for c in range(y.shape[1]):
        y[to, c] += source[row, c]


@_inline
def _store_zeros(x, item, frame):
    for c in range(x.shape[2]):
        x[item, frame, c] = 0


@_inline
def _three_taps(x, item, t0, t1, t2, bias, slope, r0, r1, r2, m0, m1, m2, weight, k, start, row, y):
    for c in range(bias.size):
        b = bias[c]
        a0 = _wide(x[item, t0, c]) + b
        a1 = _wide(x[item, t1, c]) + b
        a2 = _wide(x[item, t2, c]) + b
        a0 = a0 if a0 > 0 else a0 * slope
        a1 = a1 if a1 > 0 else a1 * slope
        a2 = a2 if a2 > 0 else a2 * slope
        y[0, c] = (
            start[row, c]
            + weight[k, c] * (a0 * r0 - m0)
            + weight[k + 1, c] * (a1 * r1 - m1)
            + weight[k + 2, c] * (a2 * r2 - m2)
        )


@_inline
def _convolve_row(x, item, frame, valid, bias, slope, mean, rstd, weight, constants, taps, left, step, y, z):
    """Convolve for one frame what the first half of a block makes of ``x``, into the row ``y``.

    ``weight`` are the taps times the norm's gain, filled up to a multiple of three; ``constants`` what is added
    when a tap meets a frame (its own row), always (the row after them), and when all taps do (the last row).
    """
    first = frame - left
    inside = first >= 0 and first + (taps - 1) * step < valid
    if not inside:
        _copy(constants, taps, z)
        for k in range(taps):
            if 0 <= first + k * step < valid:
                _add(constants, k, z, 0)
    for k in range(0, len(weight), 3):
        t0, t1, t2 = first + k * step, first + (k + 1) * step, first + (k + 2) * step
        # A tap beyond the ends weighs this frame instead, times zero.
        in0, in1, in2 = 0 <= t0 < valid, k + 1 < taps and 0 <= t1 < valid, k + 2 < taps and 0 <= t2 < valid
        t0, t1, t2 = t0 if in0 else frame, t1 if in1 else frame, t2 if in2 else frame
        r0, r1, r2 = rstd[item, t0] * in0, rstd[item, t1] * in1, rstd[item, t2] * in2
        m0, m1, m2 = r0 * mean[item, t0], r1 * mean[item, t1], r2 * mean[item, t2]
        if k > 0:
            _copy(y, 0, z)
        if inside and k == 0:
            _three_taps(
                x, item, t0, t1, t2, bias, slope, r0, r1, r2, m0, m1, m2, weight, k, constants, taps + 1, y
            )  # fmt: skip
        else:
            _three_taps(x, item, t0, t1, t2, bias, slope, r0, r1, r2, m0, m1, m2, weight, k, z, 0, y)


@_loop
def statistics(x, bias, slope, valid, mean, variance):
    batch, frames, channels = x.shape
    for chunk in prange(CHUNKS):
        y = np.empty((1, channels), bias.dtype)
        for row in range(chunk * batch * frames // CHUNKS, (chunk + 1) * batch * frames // CHUNKS):
            item, frame = row // frames, row % frames
            if frame < valid[item]:
                _activate(x, item, frame, bias, slope[0], y, 0)
                mean[item, frame], variance[item, frame] = _moments(y, 0)
            else:
                mean[item, frame], variance[item, frame] = 0, 0


@_loop
def convolve(
    x, bias, slope, mean1, rstd1, weight, constants, slope2, taps, left, step, valid, out, mean2, variance2
):  # fmt: skip
    batch, frames, channels = x.shape
    for chunk in prange(CHUNKS):
        y, z = np.empty((1, channels), bias.dtype), np.empty((1, channels), bias.dtype)
        for row in range(chunk * batch * frames // CHUNKS, (chunk + 1) * batch * frames // CHUNKS):
            item, frame = row // frames, row % frames
            if frame < valid[item]:
                _convolve_row(
                    x, item, frame, valid[item], bias, slope[0], mean1, rstd1, weight, constants, taps, left, step,
                    y, z,
                )  # fmt: skip
                _store_activated(y, slope2[0], out, item, frame)
                mean2[item, frame], variance2[item, frame] = _moments(y, 0)
            else:
                mean2[item, frame], variance2[item, frame] = 0, 0
                _store_zeros(out, item, frame)


@_inline
def _store_activated(y, slope, out, item, frame):
    for c in range(y.shape[1]):
        a = y[0, c] if y[0, c] > 0 else y[0, c] * slope
        y[0, c] = a
        out[item, frame, c] = _narrow(a, out[item, frame, c])


@_loop
def convolve_again(
    x, bias, slope, mean1, rstd1, weight, constants, slope2, taps, left, step, valid, mean2, rstd2, v, n
):  # fmt: skip
    batch, frames, channels = x.shape
    for chunk in prange(CHUNKS):
        y, z = np.empty((1, channels), bias.dtype), np.empty((1, channels), bias.dtype)
        for row in range(chunk * batch * frames // CHUNKS, (chunk + 1) * batch * frames // CHUNKS):
            item, frame = row // frames, row % frames
            if frame < valid[item]:
                _convolve_row(
                    x, item, frame, valid[item], bias, slope[0], mean1, rstd1, weight, constants, taps, left, step,
                    y, z,
                )  # fmt: skip
                _store_normalised(y, slope2[0], mean2[item, frame], rstd2[item, frame], v, n, item, frame)
            else:
                _store_zeros(v, item, frame)
                _store_zeros(n, item, frame)


@_inline
def _store_normalised(y, slope, mean, rstd, v, n, item, frame):
    for c in range(y.shape[1]):
        a = y[0, c] if y[0, c] > 0 else y[0, c] * slope
        v[item, frame, c] = _narrow(y[0, c], v[item, frame, c])
        n[item, frame, c] = _narrow((a - mean) * rstd, n[item, frame, c])


@_loop
def finish(y, first, mean, rstd, gain_sum, constant, valid, x, out):
    batch, frames, _ = out.shape
    for chunk in prange(CHUNKS):
        for row in range(chunk * batch * frames // CHUNKS, (chunk + 1) * batch * frames // CHUNKS):
            item, frame = row // frames, row % frames
            kept = constant.dtype.type(frame < valid[item])
            scale = rstd[item, frame] * kept
            _finish_row(y, np.uint64(first), item, frame, scale, scale * mean[item, frame], kept, gain_sum, constant, x, out)


@_inline
def _finish_row(y, first, item, frame, scale, offset, kept, gain_sum, constant, x, out):
    for c in range(out.shape[2]):
        from_first = first + np.uint64(c)  # unsigned, or Numba would look for indices from the end
        z = _wide(y[item, frame, from_first]) * scale + (constant[from_first] * kept - offset * gain_sum[from_first])
        out[item, frame, c] = x[item, frame, c] + z


@_loop
def row_sums(dn, n, total, product):
    batch, frames, _ = n.shape
    for chunk in prange(CHUNKS):
        for row in range(chunk * batch * frames // CHUNKS, (chunk + 1) * batch * frames // CHUNKS):
            item, frame = row // frames, row % frames
            total[item, frame], product[item, frame] = _sums(dn, n, item, frame, total.dtype.type(0))


@_inline
def _sums(dn, n, item, frame, zero):
    total, product = zero, zero
    for c in range(n.shape[2]):
        total += _wide(dn[item, frame, c])
        product += _wide(dn[item, frame, c]) * _wide(n[item, frame, c])
    return total, product


@_loop
def activation_backward(dn, x, bias, slope, rstd, alpha, gamma, valid, d_bias, d_slope):
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
                _store_zeros(dn, item, frame)


@_inline
def _activation_backward_row(dn, x, item, frame, bias, slope, rstd, alpha, gamma, d_bias, chunk):
    d_slope = slope * 0
    for c in range(bias.size):
        a = _wide(x[item, frame, c]) + bias[c]
        positive = a > 0
        da = _wide(dn[item, frame, c]) * rstd + alpha + (a if positive else a * slope) * gamma
        d_slope += slope * 0 if positive else a * da
        da = da if positive else da * slope
        d_bias[chunk, c] += da
        dn[item, frame, c] = _narrow(da, dn[item, frame, c])
    return d_slope


@_loop
def convolve_backward(
    dv, x, bias, slope, mean, rstd, gain, shift, weight, taps, left, step, valid, dn, total, product, d_weight,
    d_gain, d_shift,
):  # fmt: skip
    batch, frames, channels = x.shape
    for chunk in prange(CHUNKS):
        # Rows: the normalised activation, that times gain plus shift, the derivative by the latter.
        y = np.empty((3, channels), bias.dtype)
        sums = np.zeros((len(weight) + 2, channels), bias.dtype)
        for row in range(chunk * batch * frames // CHUNKS, (chunk + 1) * batch * frames // CHUNKS):
            item, frame = row // frames, row % frames
            if frame < valid[item]:
                _activate(x, item, frame, bias, slope[0], y, 0)
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
                _store_zeros(dn, item, frame)
        for c in range(channels):
            for k in range(len(weight)):
                d_weight[chunk, k, c] = sums[k, c]
            d_gain[chunk, c] = sums[len(weight), c]
            d_shift[chunk, c] = sums[len(weight) + 1, c]


@_inline
def _normalise(y, mean, rstd, gain, shift):
    for c in range(gain.size):
        n = (y[0, c] - mean) * rstd
        y[0, c] = n
        y[1, c] = n * gain[c] + shift[c]
        y[2, c] = 0


@_inline
def _three_taps_backward(dv, item, t0, t1, t2, in0, in1, in2, weight, k, y, sums):
    for c in range(y.shape[1]):
        y[2, c] += (
            weight[k, c] * (_wide(dv[item, t0, c]) * in0)
            + weight[k + 1, c] * (_wide(dv[item, t1, c]) * in1)
            + weight[k + 2, c] * (_wide(dv[item, t2, c]) * in2)
        )
    _add_correlation(dv, item, t0, in0, y, sums, k)
    _add_correlation(dv, item, t1, in1, y, sums, k + 1)
    _add_correlation(dv, item, t2, in2, y, sums, k + 2)


@_inline
def _add_correlation(dv, item, frame, scale, y, sums, k):
    for c in range(y.shape[1]):
        sums[k, c] += _wide(dv[item, frame, c]) * scale * y[1, c]


@_inline
def _gain_backward(y, gain, zero, sums, row, dn, item, frame):
    for c in range(gain.size):
        sums[row, c] += y[2, c] * y[0, c]
    _add(y, 2, sums, row + 1)
    total, product = zero, zero
    for c in range(gain.size):
        d = y[2, c] * gain[c]
        total += d
        product += d * y[0, c]
        dn[item, frame, c] = _narrow(d, dn[item, frame, c])
    return total, product
