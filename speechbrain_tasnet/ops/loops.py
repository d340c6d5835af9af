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

def _compiled(parallel: bool):
    """Compile ``function`` at its first call, and keep the machine code on disk where that is possible."""

    def decorate(function):
        try:
            return njit(function, parallel=parallel, fastmath=FASTMATH, cache=True)
        except RuntimeError:  # neither the package's folder nor the user's cache can be written
            return njit(function, parallel=parallel, fastmath=FASTMATH)

    return decorate


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


@_compiled(parallel=False)
def _activate(x, bias, slope, out):
    for c in range(out.size):
        a = _wide(x[c]) + bias[c]
        out[c] = a if a > 0 else a * slope


@_compiled(parallel=False)
def _moments(x):
    # Two sweeps over a row in cache: the mean of the squares less the squared mean would lose small variances.
    total = x[0] * 0
    for c in range(x.size):
        total += x[c]
    mean = total / x.size
    scatter = mean * 0
    for c in range(x.size):
        scatter += (x[c] - mean) * (x[c] - mean)
    return mean, scatter / x.size


@_compiled(parallel=False)
def _three_taps(x0, x1, x2, bias, slope, r0, r1, r2, m0, m1, m2, w0, w1, w2, start, out):
    for c in range(out.size):
        b = bias[c]
        a0 = _wide(x0[c]) + b
        a1 = _wide(x1[c]) + b
        a2 = _wide(x2[c]) + b
        a0 = a0 if a0 > 0 else a0 * slope
        a1 = a1 if a1 > 0 else a1 * slope
        a2 = a2 if a2 > 0 else a2 * slope
        out[c] = start[c] + w0[c] * (a0 * r0 - m0) + w1[c] * (a1 * r1 - m1) + w2[c] * (a2 * r2 - m2)


@_compiled(parallel=False)
def _add_row(x, out):
    for c in range(out.size):
        out[c] += x[c]


@_compiled(parallel=False)
def _convolved_row(x, bias, slope, mean, rstd, weight, constants, taps, left, step, valid, frame, y, z):
    """Convolve for one frame what the first half of a block makes of ``x`` [frames, channels].

    ``weight`` are the taps times the norm's gain, filled up to a multiple of three; ``constants`` what is added
    when a tap meets a frame (its own row), always (the row after them), and when all taps do (the last row).
    Returns the one of the two scratch rows ``y`` and ``z`` that holds the result.
    """
    first, last = frame - left, frame - left + (taps - 1) * step
    if first >= 0 and last < valid:
        start = constants[taps + 1]
    else:
        start = z
        z[:] = constants[taps]
        for k in range(taps):
            if 0 <= first + k * step < valid:
                _add_row(constants[k], z)
    for k in range(0, len(weight), 3):
        t0, t1, t2 = first + k * step, first + (k + 1) * step, first + (k + 2) * step
        # A tap beyond the ends weighs this frame instead, times zero.
        in0, in1, in2 = 0 <= t0 < valid, k + 1 < taps and 0 <= t1 < valid, k + 2 < taps and 0 <= t2 < valid
        t0, t1, t2 = t0 if in0 else frame, t1 if in1 else frame, t2 if in2 else frame
        r0, r1, r2 = rstd[t0] * in0, rstd[t1] * in1, rstd[t2] * in2
        _three_taps(
            x[t0], x[t1], x[t2], bias, slope, r0, r1, r2, r0 * mean[t0], r1 * mean[t1], r2 * mean[t2],
            weight[k], weight[k + 1], weight[k + 2], start, y,
        )  # fmt: skip
        if k + 3 < len(weight):
            start = y
            y, z = z, y
    return y


@_compiled(parallel=True)
def statistics(x, bias, slope, valid, mean, variance):
    batch, frames, channels = x.shape
    for chunk in prange(CHUNKS):
        y = np.empty(channels, bias.dtype)
        for row in range(chunk * batch * frames // CHUNKS, (chunk + 1) * batch * frames // CHUNKS):
            item, frame = row // frames, row % frames
            if frame < valid[item]:
                _activate(x[item, frame], bias, slope[0], y)
                mean[item, frame], variance[item, frame] = _moments(y)
            else:
                mean[item, frame], variance[item, frame] = 0, 0


@_compiled(parallel=True)
def convolve(
    x, bias, slope, mean1, rstd1, weight, constants, slope2, taps, left, step, valid, out, mean2, variance2
):  # fmt: skip
    batch, frames, channels = x.shape
    for chunk in prange(CHUNKS):
        y, z = np.empty(channels, bias.dtype), np.empty(channels, bias.dtype)
        for row in range(chunk * batch * frames // CHUNKS, (chunk + 1) * batch * frames // CHUNKS):
            item, frame = row // frames, row % frames
            if frame < valid[item]:
                v = _convolved_row(
                    x[item], bias, slope[0], mean1[item], rstd1[item], weight, constants, taps, left, step,
                    valid[item], frame, y, z,
                )  # fmt: skip
                _store_activated(v, slope2[0], out[item, frame])
                mean2[item, frame], variance2[item, frame] = _moments(v)
            else:
                mean2[item, frame], variance2[item, frame] = 0, 0
                _store_zeros(out[item, frame])


@_compiled(parallel=False)
def _store_activated(v, slope, out):
    for c in range(out.size):
        v[c] = v[c] if v[c] > 0 else v[c] * slope
        out[c] = _narrow(v[c], out[c])


@_compiled(parallel=False)
def _store_zeros(out):
    for c in range(out.size):
        out[c] = 0


@_compiled(parallel=True)
def convolve_again(
    x, bias, slope, mean1, rstd1, weight, constants, slope2, taps, left, step, valid, mean2, rstd2, v, n
):  # fmt: skip
    batch, frames, channels = x.shape
    for chunk in prange(CHUNKS):
        y, z = np.empty(channels, bias.dtype), np.empty(channels, bias.dtype)
        for row in range(chunk * batch * frames // CHUNKS, (chunk + 1) * batch * frames // CHUNKS):
            item, frame = row // frames, row % frames
            if frame < valid[item]:
                result = _convolved_row(
                    x[item], bias, slope[0], mean1[item], rstd1[item], weight, constants, taps, left, step,
                    valid[item], frame, y, z,
                )  # fmt: skip
                _store_normalised(
                    result, slope2[0], mean2[item, frame], rstd2[item, frame], v[item, frame], n[item, frame]
                )
            else:
                _store_zeros(v[item, frame])
                _store_zeros(n[item, frame])


@_compiled(parallel=False)
def _store_normalised(y, slope, mean, rstd, v, n):
    for c in range(v.size):
        a = y[c] if y[c] > 0 else y[c] * slope
        v[c] = _narrow(y[c], v[c])
        n[c] = _narrow((a - mean) * rstd, n[c])


@_compiled(parallel=True)
def finish(y, mean, rstd, gain_sum, constant, valid, x, skip, x_out, skip_out):
    batch, frames, channels = x_out.shape
    for chunk in prange(CHUNKS):
        for row in range(chunk * batch * frames // CHUNKS, (chunk + 1) * batch * frames // CHUNKS):
            item, frame = row // frames, row % frames
            scale = rstd[item, frame] * (frame < valid[item])
            offset = scale * mean[item, frame]
            kept = constant.dtype.type(frame < valid[item])
            _finish_row(
                y[item, frame, :channels], scale, offset, gain_sum[:channels], constant[:channels], kept,
                x[item, frame], x_out[item, frame],
            )  # fmt: skip
            _finish_row(
                y[item, frame, channels:], scale, offset, gain_sum[channels:], constant[channels:], kept,
                skip[item, frame], skip_out[item, frame],
            )  # fmt: skip


@_compiled(parallel=False)
def _finish_row(y, scale, offset, gain_sum, constant, kept, x, out):
    for c in range(out.size):
        out[c] = x[c] + (_wide(y[c]) * scale - offset * gain_sum[c] + constant[c] * kept)


@_compiled(parallel=True)
def row_sums(dn, n, total, product):
    batch, frames, channels = n.shape
    for chunk in prange(CHUNKS):
        for row in range(chunk * batch * frames // CHUNKS, (chunk + 1) * batch * frames // CHUNKS):
            item, frame = row // frames, row % frames
            total[item, frame], product[item, frame] = _sums(dn[item, frame], n[item, frame], total.dtype.type(0))


@_compiled(parallel=False)
def _sums(dn, n, zero):
    total, product = zero, zero
    for c in range(n.size):
        total += _wide(dn[c])
        product += _wide(dn[c]) * _wide(n[c])
    return total, product


@_compiled(parallel=True)
def activation_backward(dn, x, bias, slope, rstd, alpha, gamma, valid, d_bias, d_slope):
    batch, frames, channels = x.shape
    for chunk in prange(CHUNKS):
        d_bias[chunk] = 0
        d_slope[chunk] = 0
        for row in range(chunk * batch * frames // CHUNKS, (chunk + 1) * batch * frames // CHUNKS):
            item, frame = row // frames, row % frames
            if frame < valid[item]:
                d_slope[chunk] += _activation_backward_row(
                    dn[item, frame], x[item, frame], bias, slope[0], rstd[item, frame], alpha[item, frame],
                    gamma[item, frame], d_bias[chunk],
                )  # fmt: skip
            else:
                _store_zeros(dn[item, frame])


@_compiled(parallel=False)
def _activation_backward_row(dn, x, bias, slope, rstd, alpha, gamma, d_bias):
    d_slope = slope * 0
    for c in range(d_bias.size):
        pre = _wide(x[c]) + bias[c]
        negative = pre if pre < 0 else slope * 0
        a = pre if pre > 0 else pre * slope
        da = _wide(dn[c]) * rstd + alpha + a * gamma
        d_pre = da if pre > 0 else da * slope
        d_slope += negative * da
        d_bias[c] += d_pre
        dn[c] = _narrow(d_pre, dn[c])
    return d_slope


@_compiled(parallel=True)
def convolve_backward(
    dv, x, bias, slope, mean, rstd, gain, shift, weight, taps, left, step, valid, dn, total, product, d_weight,
    d_gain, d_shift,
):  # fmt: skip
    batch, frames, channels = x.shape
    for chunk in prange(CHUNKS):
        d_weight[chunk] = 0
        d_gain[chunk] = 0
        d_shift[chunk] = 0
        a, n, h = np.empty(channels, bias.dtype), np.empty(channels, bias.dtype), np.empty(channels, bias.dtype)
        dh = np.empty(channels, bias.dtype)
        for row in range(chunk * batch * frames // CHUNKS, (chunk + 1) * batch * frames // CHUNKS):
            item, frame = row // frames, row % frames
            if frame < valid[item]:
                _activate(x[item, frame], bias, slope[0], a)
                _normalise(a, mean[item, frame], rstd[item, frame], gain, shift, n, h)
                dh[:] = 0
                for k in range(0, len(weight), 3):
                    t0 = frame + left - k * step
                    t1, t2 = t0 - step, t0 - 2 * step
                    in0 = 0 <= t0 < valid[item]
                    in1 = k + 1 < taps and 0 <= t1 < valid[item]
                    in2 = k + 2 < taps and 0 <= t2 < valid[item]
                    _three_taps_backward(
                        dv[item, t0 if in0 else frame], dv[item, t1 if in1 else frame],
                        dv[item, t2 if in2 else frame], bias.dtype.type(in0), bias.dtype.type(in1),
                        bias.dtype.type(in2), weight[k], weight[k + 1], weight[k + 2], h, dh,
                        d_weight[chunk, k], d_weight[chunk, k + 1], d_weight[chunk, k + 2],
                    )  # fmt: skip
                total[item, frame], product[item, frame] = _norm_backward_row(
                    dh, n, gain, bias.dtype.type(0), dn[item, frame], d_gain[chunk], d_shift[chunk]
                )
            else:
                total[item, frame], product[item, frame] = 0, 0
                _store_zeros(dn[item, frame])


@_compiled(parallel=False)
def _normalise(a, mean, rstd, gain, shift, n, h):
    for c in range(n.size):
        n[c] = (a[c] - mean) * rstd
        h[c] = n[c] * gain[c] + shift[c]


# LLVM vectorises a loop only while few pairs of arrays might overlap: hence one loop for each row written.
@_compiled(parallel=False)
def _three_taps_backward(v0, v1, v2, in0, in1, in2, w0, w1, w2, h, dh, d_w0, d_w1, d_w2):
    for c in range(dh.size):
        dh[c] += w0[c] * _wide(v0[c]) * in0 + w1[c] * _wide(v1[c]) * in1 + w2[c] * _wide(v2[c]) * in2
    _add_product(v0, in0, h, d_w0)
    _add_product(v1, in1, h, d_w1)
    _add_product(v2, in2, h, d_w2)


@_compiled(parallel=False)
def _add_product(x, scale, y, out):
    for c in range(out.size):
        out[c] += _wide(x[c]) * scale * y[c]


@_compiled(parallel=False)
def _norm_backward_row(dh, n, gain, zero, dn, d_gain, d_shift):
    _add_product(dh, 1, n, d_gain)
    _add_row(dh, d_shift)
    total, product = zero, zero
    for c in range(dh.size):
        d = dh[c] * gain[c]
        total += d
        product += d * n[c]
        dn[c] = _narrow(d, dn[c])
    return total, product
