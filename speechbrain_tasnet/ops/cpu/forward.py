"""The forward pass of all blocks of a network, compiled by Numba: two sweeps per block over an item's rows.

A row is one frame's channels. A sweep takes a few rows through all that can be done with them while they are in
the cache, products included, and ends where a norm's statistics are complete. The second norm is not applied to
what is multiplied after it but to the product, at the beginning of the next sweep: its gain is in the weight.

Rows beyond the end of an item are not touched.

Two habits keep the loops fast. Rows are named by their indices, never sliced: a slice counts its references, and
threads would fight over the counter. And a loop writes one or two rows: LLVM vectorises it only while few pairs
of rows might overlap.
"""

import numpy as np

from speechbrain_tasnet.ops.cpu.bfloat16 import narrow, wide
from speechbrain_tasnet.ops.cpu.compile import inline, serial
from speechbrain_tasnet.ops.cpu.norm_statistics import spread
from speechbrain_tasnet.ops.cpu.products import ROWS, multiply, rounded, scratch
from speechbrain_tasnet.ops.cpu.weights import EXPAND_BIAS


@serial
def forward(thread, threads, barrier, w, outputs, lefts, steps, norm, valid, x, u, moments, y, total):
    """Run all blocks.

    Parameters
    ----------
    thread, threads, barrier
        Of the `team` that runs it; each thread takes its share of the rows of each item.
    w : Packed
        The weights.
    outputs, lefts, steps : array of int
        Of each block: channels of its two paths, frames that its taps reach back to, and frames between taps.
    norm : int
        One of `norm_statistics`.
    valid : array of int
        [batch], frames of each item.
    x : array
        [blocks + 1, batch, frames, B], what each block gets and, behind the last, the residual path's end. Holds
        what the first one gets. In inference [2, batch, frames, B], in turns.
    u : array
        [blocks, batch, frames, H], the first product of each block. In inference [1, batch, frames, H].
    moments : array
        [blocks, 4, batch, frames], mean and reciprocal deviation of both norms. In inference of one block.
    y : array
        [frames, `rounded` channels of both paths], memory to work with.
    total : array
        [batch, frames, skip channels] of zeros, to which the skip path is added.
    """
    blocks = len(w.hidden)
    keep = len(u) == blocks
    memory = scratch(max(x.shape[3], u.shape[3], y.shape[1]))
    for item in range(len(valid)):  # the cache holds more of one item than of all
        first, end = thread * valid[item] // threads, (thread + 1) * valid[item] // threads
        mean2, rstd2 = moments[0, 2, item], moments[0, 3, item]
        before = now = 0
        count = np.int64(0)  # of no block before; a literal would have the sweep compiled for it alone
        for block in range(blocks):
            k, now = (block, block) if keep else (0, block % 2)
            hidden, slopes = w.hidden[block], w.slopes[block]
            mean1, rstd1 = moments[k, 0, item], moments[k, 1, item]
            expand_rows(
                count, w.finish[block - 1], y, mean2, rstd2, x[before, item], x[now, item], total[item],
                w.expand[block], hidden, slopes[0], u[k, item], mean1, rstd1, memory, first, end,
            )  # fmt: skip
            spread(thread, threads, barrier, norm, valid[item], mean1, rstd1)
            count, mean2, rstd2, before = outputs[block], moments[k, 2, item], moments[k, 3, item], now
            convolve_rows(
                u[k, item], mean1, rstd1, hidden, slopes, w.taps[block], w.constants[block], lefts[block],
                steps[block], valid[item], w.output[block], count, y, mean2, rstd2, memory, first, end,
            )  # fmt: skip
            spread(thread, threads, barrier, norm, valid[item], mean2, rstd2)
        after = (now + 1) % len(x)
        finish_rows(
            count, w.finish[blocks - 1], y, mean2, rstd2, x[now, item], x[after, item], total[item], first, end
        )


@serial
def expand_rows(
    count, finish, y, mean2, rstd2, x_before, x, total, weight, hidden, slope, u, mean, variance, memory, first,
    end,
):  # fmt: skip
    """Finish rows of the block before, if there is one; then multiply, and take the moments of their PReLU."""
    size = u.shape[1]
    product = np.empty((ROWS, rounded(size)), np.float32)
    for start in range(first, end, ROWS):
        rows = min(ROWS, end - start)
        if count > 0:
            finish_rows(count, finish, y, mean2, rstd2, x_before, x, total, start, start + rows)
        multiply(x, start, rows, weight, size, product, 0, memory)
        _keep_and_add_bias(product, rows, hidden, u, start)
        _activate(product, rows, size, slope, mean, variance, start)


@serial
def convolve_rows(
    u, mean1, rstd1, hidden, slopes, taps, constants, left, step, valid, weight, count, y, mean, variance,
    memory, first, end,
):  # fmt: skip
    """Convolve, PReLU and its moments; then multiply."""
    v = np.empty((ROWS, u.shape[1]), np.float32)
    for start in range(first, end, ROWS):
        rows = min(ROWS, end - start)
        convolve(u, start, rows, valid, hidden, slopes[0], mean1, rstd1, taps, constants, left, step, v)
        _activate(v, rows, u.shape[1], slopes[1], mean, variance, start)
        multiply(v, 0, rows, weight, count, y, start, memory)


@serial
def _keep_and_add_bias(product, rows, hidden, u, start):
    for row in range(rows):
        for c in range(u.shape[1]):
            u[start + row, c] = narrow(product[row, c], u[start + row, c])
        for c in range(u.shape[1]):
            product[row, c] += hidden[EXPAND_BIAS, c]


@serial
def _activate(y, rows, size, slope, mean, variance, start):
    """Apply PReLU to rows and take their moments."""
    for row in range(rows):
        # Twice over a row in cache: the mean of the squares less the squared mean would lose small variances.
        total = np.float32(0)
        for c in range(size):
            a = y[row, c] if y[row, c] > 0 else y[row, c] * slope
            y[row, c] = a
            total += a
        centre = total / np.float32(size)
        scatter = np.float32(0)
        for c in range(size):
            scatter += (y[row, c] - centre) * (y[row, c] - centre)
        mean[start + row], variance[start + row] = centre, scatter / np.float32(size)


@serial
def convolve(u, start, rows, valid, hidden, slope, mean, rstd, taps, constants, left, step, y):
    """Convolve, for ``rows`` frames from ``start`` on, what the first half of a block makes of ``u``.

    ``constants`` are what is added when a tap meets a frame (its own row), always (the row after them), and when
    all taps do (the last row).
    """
    count = len(constants) - 2
    rest = np.empty((1, u.shape[1]), np.float32)
    for row in range(rows):
        frame = start + row
        begin = frame - left
        inside = begin >= 0 and begin + (count - 1) * step < valid
        if not inside:
            _copy_row(constants, count, rest, 0)
            for k in range(count):
                if 0 <= begin + k * step < valid:
                    _add_row(constants, k, rest, 0)
        for k in range(0, len(taps), 3):
            t0, t1, t2 = begin + k * step, begin + (k + 1) * step, begin + (k + 2) * step
            # A tap beyond the ends weighs this frame instead, times zero.
            in0, in1, in2 = 0 <= t0 < valid, k + 1 < count and 0 <= t1 < valid, k + 2 < count and 0 <= t2 < valid
            t0, t1, t2 = t0 if in0 else frame, t1 if in1 else frame, t2 if in2 else frame
            r0, r1, r2 = rstd[t0] * in0, rstd[t1] * in1, rstd[t2] * in2
            m0, m1, m2 = r0 * mean[t0], r1 * mean[t1], r2 * mean[t2]
            if k > 0:
                _copy_row(y, row, rest, 0)
            if inside and k == 0:
                _three_taps(
                    u, t0, t1, t2, hidden, slope, r0, r1, r2, m0, m1, m2, taps, k, constants, count + 1, y, row
                )
            else:
                _three_taps(u, t0, t1, t2, hidden, slope, r0, r1, r2, m0, m1, m2, taps, k, rest, 0, y, row)


@inline
def _three_taps(u, t0, t1, t2, hidden, slope, r0, r1, r2, m0, m1, m2, taps, k, start, at, y, row):
    for c in range(u.shape[1]):
        b = hidden[EXPAND_BIAS, c]
        a0, a1, a2 = wide(u[t0, c]) + b, wide(u[t1, c]) + b, wide(u[t2, c]) + b
        a0 = a0 if a0 > 0 else a0 * slope
        a1 = a1 if a1 > 0 else a1 * slope
        a2 = a2 if a2 > 0 else a2 * slope
        y[row, c] = (
            start[at, c]
            + taps[k, c] * (a0 * r0 - m0)
            + taps[k + 1, c] * (a1 * r1 - m1)
            + taps[k + 2, c] * (a2 * r2 - m2)
        )


@inline
def _copy_row(source, row, y, to):
    for c in range(y.shape[1]):
        y[to, c] = source[row, c]


@inline
def _add_row(source, row, y, to):
    for c in range(y.shape[1]):
        y[to, c] += source[row, c]


@serial
def finish_rows(count, finish, y, mean, rstd, x_before, x, total, first, end):
    """Normalise the last product of a block, ``count`` channels of it, and add it to both paths."""
    skip = total.shape[1]
    for row in range(first, end):
        scale = rstd[row]
        offset = scale * mean[row]
        for c in range(skip):
            total[row, c] += y[row, c] * scale + (finish[1, c] - offset * finish[0, c])
        if count > skip:
            for c in range(x.shape[1]):
                o = np.uint64(skip) + np.uint64(c)  # unsigned, or Numba would look for indices from the end
                x[row, c] = x_before[row, c] + (y[row, o] * scale + (finish[1, o] - offset * finish[0, o]))
