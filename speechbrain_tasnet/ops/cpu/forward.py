"""The loops of `cpu` on the way forward, compiled by Numba: each reads its arrays once, row by row.

A row is one frame's channels; it stays in the first-level cache until everything is done with it. Rows behind the
end of an item count as zero and are written as zero.

Two habits keep the loops fast. Rows are named by their indices, never sliced: a slice counts its references, and
threads would fight over the counter. And a loop writes one or two rows: LLVM vectorises it only while few pairs
of rows might overlap.
"""

import numpy as np
from numba import prange

from speechbrain_tasnet.ops.cpu.compile import CHUNKS, inline, loop, narrow, wide
from speechbrain_tasnet.ops.cpu.norm_statistics import spread


@inline
def activate(x, item, frame, bias, slope, y, row):
    """Write PReLU of one frame into a scratch row."""
    for c in range(bias.size):
        a = wide(x[item, frame, c]) + bias[c]
        y[row, c] = a if a > 0 else a * slope


@inline
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


@inline
def _copy(source, row, y):
    for c in range(y.shape[1]):
        y[0, c] = source[row, c]


@inline
def add(source, row, y, to):
    """Add a row to a scratch row."""
    for c in range(y.shape[1]):
        y[to, c] += source[row, c]


@inline
def store_zeros(x, item, frame):
    """Write zeros into one frame."""
    for c in range(x.shape[2]):
        x[item, frame, c] = 0


@inline
def _three_taps(x, item, t0, t1, t2, bias, slope, r0, r1, r2, m0, m1, m2, weight, k, start, row, y):
    for c in range(bias.size):
        b = bias[c]
        a0 = wide(x[item, t0, c]) + b
        a1 = wide(x[item, t1, c]) + b
        a2 = wide(x[item, t2, c]) + b
        a0 = a0 if a0 > 0 else a0 * slope
        a1 = a1 if a1 > 0 else a1 * slope
        a2 = a2 if a2 > 0 else a2 * slope
        y[0, c] = (
            start[row, c]
            + weight[k, c] * (a0 * r0 - m0)
            + weight[k + 1, c] * (a1 * r1 - m1)
            + weight[k + 2, c] * (a2 * r2 - m2)
        )


@inline
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
                add(constants, k, z, 0)
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


@loop
def statistics(x, bias, slope, norm, valid, mean, rstd):
    """Fill in what `cpu.statistics` returns."""
    batch, frames, channels = x.shape
    for chunk in prange(CHUNKS):
        y = np.empty((1, channels), bias.dtype)
        for row in range(chunk * batch * frames // CHUNKS, (chunk + 1) * batch * frames // CHUNKS):
            item, frame = row // frames, row % frames
            if frame < valid[item]:
                activate(x, item, frame, bias, slope[0], y, 0)
                mean[item, frame], rstd[item, frame] = _moments(y, 0)
            else:
                mean[item, frame], rstd[item, frame] = 0, 0
    spread(norm, valid, mean, rstd)


@inline
def in_threes(taps):
    """Lay out taps [channels, 1, P] as rows, with rows of zeros up to a multiple of three."""
    channels, _, count = taps.shape
    rows = np.zeros((-(-count // 3) * 3, channels), taps.dtype)
    for k in range(count):
        for c in range(channels):
            rows[k, c] = taps[c, 0, k]
    return rows


@inline
def _fold(gain, shift, taps, bias):
    """Fold gain and shift into taps and constants, as `_convolve_row` wants them."""
    weight = in_threes(taps)
    count = taps.shape[2]
    constants = np.empty((count + 2, bias.size), bias.dtype)
    for c in range(bias.size):
        constants[count, c] = constants[count + 1, c] = bias[c]
        for k in range(count):
            constants[k, c] = weight[k, c] * shift[c]
            constants[count + 1, c] += constants[k, c]
            weight[k, c] *= gain[c]
    return weight, constants


@loop
def convolve(
    x, bias, slope, mean1, rstd1, gain, shift, taps, taps_bias, left, step, slope2, norm, valid, out, mean2, rstd2
):  # fmt: skip
    """Fill in what `cpu.convolve` returns."""
    batch, frames, channels = x.shape
    weight, constants = _fold(gain, shift, taps, taps_bias)
    for chunk in prange(CHUNKS):
        y, z = np.empty((1, channels), bias.dtype), np.empty((1, channels), bias.dtype)
        for row in range(chunk * batch * frames // CHUNKS, (chunk + 1) * batch * frames // CHUNKS):
            item, frame = row // frames, row % frames
            if frame < valid[item]:
                _convolve_row(
                    x, item, frame, valid[item], bias, slope[0], mean1, rstd1, weight, constants, taps.shape[2],
                    left, step, y, z,
                )  # fmt: skip
                _store_activated(y, slope2[0], out, item, frame)
                mean2[item, frame], rstd2[item, frame] = _moments(y, 0)
            else:
                mean2[item, frame], rstd2[item, frame] = 0, 0
                store_zeros(out, item, frame)
    spread(norm, valid, mean2, rstd2)


@inline
def _store_activated(y, slope, out, item, frame):
    for c in range(y.shape[1]):
        a = y[0, c] if y[0, c] > 0 else y[0, c] * slope
        y[0, c] = a
        out[item, frame, c] = narrow(a, out[item, frame, c])


@loop
def convolve_again(
    x, bias, slope, mean1, rstd1, gain, shift, taps, taps_bias, left, step, slope2, mean2, rstd2, valid, v, n
):  # fmt: skip
    """Fill in what `cpu.convolve_again` returns."""
    batch, frames, channels = x.shape
    weight, constants = _fold(gain, shift, taps, taps_bias)
    for chunk in prange(CHUNKS):
        y, z = np.empty((1, channels), bias.dtype), np.empty((1, channels), bias.dtype)
        for row in range(chunk * batch * frames // CHUNKS, (chunk + 1) * batch * frames // CHUNKS):
            item, frame = row // frames, row % frames
            if frame < valid[item]:
                _convolve_row(
                    x, item, frame, valid[item], bias, slope[0], mean1, rstd1, weight, constants, taps.shape[2],
                    left, step, y, z,
                )  # fmt: skip
                _store_normalised(y, slope2[0], mean2[item, frame], rstd2[item, frame], v, n, item, frame)
            else:
                store_zeros(v, item, frame)
                store_zeros(n, item, frame)


@inline
def _store_normalised(y, slope, mean, rstd, v, n, item, frame):
    for c in range(y.shape[1]):
        a = y[0, c] if y[0, c] > 0 else y[0, c] * slope
        v[item, frame, c] = narrow(y[0, c], v[item, frame, c])
        n[item, frame, c] = narrow((a - mean) * rstd, n[item, frame, c])


@loop
def finish(y, mean, rstd, gain_sum, constant, valid, x, skip, residual, total):
    """Fill in what `cpu.finish` returns."""
    batch, frames, _ = y.shape
    for chunk in prange(CHUNKS):
        for row in range(chunk * batch * frames // CHUNKS, (chunk + 1) * batch * frames // CHUNKS):
            item, frame = row // frames, row % frames
            kept = constant.dtype.type(frame < valid[item])
            scale = rstd[item, frame] * kept
            offset = scale * mean[item, frame]
            _add_path(y, 0, item, frame, scale, offset, kept, gain_sum, constant, x, residual)
            _add_path(y, residual.shape[2], item, frame, scale, offset, kept, gain_sum, constant, skip, total)


@inline
def _add_path(y, first, item, frame, scale, offset, kept, gain_sum, constant, x, out):
    for c in range(out.shape[2]):
        from_first = np.uint64(first) + np.uint64(c)  # unsigned, or Numba would look for indices from the end
        z = wide(y[item, frame, from_first]) * scale + (
            constant[from_first] * kept - offset * gain_sum[from_first]
        )
        out[item, frame, c] = x[item, frame, c] + z
