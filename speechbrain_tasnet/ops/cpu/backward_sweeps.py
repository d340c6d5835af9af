"""The sweeps of `backward`: each takes some rows of an item, a few at a time, and sums weight derivatives."""

import numpy as np

from speechbrain_tasnet.ops.cpu.bfloat16 import narrow, wide
from speechbrain_tasnet.ops.cpu.compile import inline, serial
from speechbrain_tasnet.ops.cpu.forward import convolve
from speechbrain_tasnet.ops.cpu.norm_statistics import CUMULATIVE, GLOBAL
from speechbrain_tasnet.ops.cpu.products import ROWS, add_product_over_rows, multiply, rounded
from speechbrain_tasnet.ops.cpu.weights import EXPAND_BIAS, GAIN1, TAPS

# Rows of the sums over frames that each piece of an item takes by channels. Behind them stand, for each tap, the
# sums of what it met times the derivative there, and of the derivatives where it met nothing.
D_EXPAND_BIAS, D_SLOPE1, D_TAPS_BIAS, D_SLOPE2, D_TAPS = range(5)


@serial
def coefficients(total, product, mean, rstd, size, count):
    """Return what a global norm's derivative adds to each number, and what it adds of the number itself.

    The derivative by what was normalised, ``a``, is ``rstd * dn + alpha + gamma * a``, see
    `ops.norm_statistics.spread_backward`.
    """
    r = np.float64(rstd)
    gamma = -r * r * product / (np.float64(size) * count)
    return -r * total / (np.float64(size) * count) - gamma * mean, gamma


@serial
def output_gradient_rows(
    u, mean1, rstd1, hidden, slopes, taps, constants, left, step, valid, mean2, rstd2, d_total, dx, count,
    by_output, d_bias, memory, first, end,
):  # fmt: skip
    """Compute what the last products add to the derivatives of their weight, before the norm's gain, and bias."""
    size = u.shape[1]
    v, n = np.empty((ROWS, size), np.float32), np.empty((ROWS, size), np.float32)
    dy = np.empty((ROWS, count), np.float32)
    for start in range(first, end, ROWS):
        rows = min(ROWS, end - start)
        _join_paths(d_total, dx, start, rows, count, d_bias, dy)
        convolve(u, start, rows, valid, hidden, slopes[0], mean1, rstd1, taps, constants, left, step, v)
        _normalise(v, rows, slopes[1], mean2, rstd2, start, n)
        add_product_over_rows(u, dy, 0, 0, count, n, 0, size, rows, by_output, memory)


@serial
def second_norm_rows(
    u, mean1, rstd1, hidden, slopes, taps, constants, left, step, valid, norm, mean2, rstd2, alpha, gamma,
    d_total, dx, count, back, by_output, d_bias, dv, sums, memory, first, end,
):  # fmt: skip
    """Propagate back through the last products, the second norm and PReLU to what was convolved."""
    size, unused = u.shape[1], np.zeros(count, np.float32)
    v, n = np.empty((ROWS, size), np.float32), np.empty((ROWS, size), np.float32)
    # Zeros stand where a last block has no residual path.
    dy, dn = (
        np.zeros((ROWS, d_total.shape[1] + dx.shape[1]), np.float32),
        np.empty((ROWS, rounded(size)), np.float32),
    )
    of_rows, later = np.empty((2, ROWS), np.float32), np.zeros(2)
    of_rows[0], of_rows[1] = alpha, gamma
    for end_here in range(end, first, -ROWS):
        start = max(end_here - ROWS, first)
        rows = end_here - start
        _join_paths(d_total, dx, start, rows, count, unused if norm == GLOBAL else d_bias, dy)
        convolve(u, start, rows, valid, hidden, slopes[0], mean1, rstd1, taps, constants, left, step, v)
        multiply(dy, 0, rows, back, size, dn, 0, memory)
        if norm != GLOBAL:
            _normalise(v, rows, slopes[1], mean2, rstd2, start, n)
            add_product_over_rows(u, dy, 0, 0, count, n, 0, size, rows, by_output, memory)
            _coefficients_of_rows(norm, dn, n, rows, mean2, rstd2, start, of_rows, later)
        _activation_backward(dn, v, rows, slopes[1], rstd2, start, of_rows, sums, D_SLOPE2, D_TAPS_BIAS)
        _keep(dn, rows, dv, start)
        _correlate(dn, rows, u, start, valid, hidden, slopes[0], mean1, rstd1, left, step, sums)


@serial
def first_norm_rows(
    dv, u, mean1, rstd1, hidden, slopes, taps, left, step, valid, norm, alpha, gamma, x, back, by_expand, dx, sums,
    memory, first, end,
):  # fmt: skip
    """Propagate back through convolution, first norm and PReLU, and the first product."""
    size, channels = u.shape[1], x.shape[1]
    v, n = np.empty((ROWS, size), np.float32), np.empty((ROWS, size), np.float32)
    du, product = np.empty((ROWS, size), np.float32), np.empty((ROWS, rounded(channels)), np.float32)
    of_rows, later = np.empty((2, ROWS), np.float32), np.zeros(2)
    of_rows[0], of_rows[1] = alpha, gamma
    for end_here in range(end, first, -ROWS):
        start = max(end_here - ROWS, first)
        rows = end_here - start
        _convolve_back(dv, start, rows, valid, hidden, taps, left, step, du)
        _add_bias(u, start, rows, hidden, v)
        if norm != GLOBAL:
            _normalise(v, rows, slopes[0], mean1, rstd1, start, n)
            _coefficients_of_rows(norm, du, n, rows, mean1, rstd1, start, of_rows, later)
        _activation_backward(du, v, rows, slopes[0], rstd1, start, of_rows, sums, D_SLOPE1, D_EXPAND_BIAS)
        add_product_over_rows(u, du, 0, 0, size, x, start, channels, rows, by_expand, memory)
        multiply(du, 0, rows, back, channels, product, 0, memory)
        _add_rows(product, rows, dx, start)


@serial
def _join_paths(d_total, dx, start, rows, count, d_bias, dy):
    """Copy the derivatives by both paths side by side, and sum them up."""
    skip = d_total.shape[1]
    for row in range(rows):
        for c in range(skip):
            dy[row, c] = d_total[start + row, c]
        for o in range(np.uint64(skip), np.uint64(count)):  # none in a last block without a residual path
            dy[row, o] = dx[start + row, o - np.uint64(skip)]
        for o in range(count):
            d_bias[o] += dy[row, o]


@serial
def _normalise(v, rows, slope, mean, rstd, start, n):
    """Write PReLU and norm of the rows of ``v``, before gain and shift."""
    for row in range(rows):
        m, r = mean[start + row], rstd[start + row]
        for c in range(n.shape[1]):
            a = v[row, c] if v[row, c] > 0 else v[row, c] * slope
            n[row, c] = (a - m) * r


@serial
def _coefficients_of_rows(norm, dn, n, rows, mean, rstd, start, of_rows, later):
    """Find the coefficients of a norm that needs each row's sums and, if cumulative, those of ``later`` ones."""
    size = n.shape[1]
    for row in range(rows - 1, -1, -1):
        # Sums stand in a loop that stores nothing. One that might overwrite what it reads is compiled twice, sums
        # in another order where memory lies unluckily, and the same training would not end with the same bits.
        total, product = np.float32(0), np.float32(0)
        for c in range(size):
            total += dn[row, c]
            product += dn[row, c] * n[row, c]
        alpha, gamma = coefficients(total, product, mean[start + row], rstd[start + row], size, 1)
        if norm == CUMULATIVE:
            later[0] += alpha / (start + row + 1)
            later[1] += gamma / (start + row + 1)
            alpha, gamma = later[0], later[1]
        of_rows[0, row], of_rows[1, row] = alpha, gamma


@serial
def _activation_backward(dn, v, rows, slope, rstd, start, of_rows, sums, d_slope, d_bias):
    """Propagate back through norm and PReLU, in place of ``dn``, from ``v`` before the PReLU."""
    for row in range(rows):
        r, alpha, gamma = rstd[start + row], of_rows[0, row], of_rows[1, row]
        for c in range(v.shape[1]):
            a = v[row, c]
            da = dn[row, c] * r + alpha + (a if a > 0 else a * slope) * gamma
            sums[d_slope, c] += np.float32(0) if a > 0 else a * da
            dn[row, c] = da if a > 0 else da * slope
        for c in range(v.shape[1]):
            sums[d_bias, c] += dn[row, c]


@serial
def _keep(dn, rows, dv, start):
    for row in range(rows):
        for c in range(dv.shape[1]):
            dv[start + row, c] = narrow(dn[row, c], dv[start + row, c])


@serial
def _correlate(d, rows, u, start, valid, hidden, slope, mean, rstd, left, step, sums):
    """Multiply the derivative of rows by what each tap has met, normalised."""
    count = hidden.shape[0] - TAPS
    for k in range(count):
        for row in range(rows):
            t = start + row - left + k * step
            if 0 <= t < valid:
                m, r = mean[t], rstd[t]
                for c in range(u.shape[1]):
                    a = wide(u[t, c]) + hidden[EXPAND_BIAS, c]
                    a = a if a > 0 else a * slope
                    sums[D_TAPS + k, c] += d[row, c] * ((a - m) * r)
            else:
                for c in range(u.shape[1]):
                    sums[D_TAPS + count + k, c] += d[row, c]


@serial
def _convolve_back(dv, start, rows, valid, hidden, taps, left, step, d):
    """Propagate back through the convolution and the gain before it."""
    count = hidden.shape[0] - TAPS
    for row in range(rows):
        frame = start + row
        for c in range(d.shape[1]):
            d[row, c] = 0
        for k in range(0, len(taps), 3):
            t0 = frame + left - k * step
            t1, t2 = t0 - step, t0 - 2 * step
            # A tap beyond the ends weighs this frame instead, times zero.
            in0 = 0 <= t0 < valid
            in1, in2 = k + 1 < count and 0 <= t1 < valid, k + 2 < count and 0 <= t2 < valid
            _add_three_taps(
                dv, t0 if in0 else frame, t1 if in1 else frame, t2 if in2 else frame, np.float32(in0),
                np.float32(in1), np.float32(in2), taps, k, hidden, d, row,
            )  # fmt: skip


@inline
def _add_three_taps(dv, t0, t1, t2, in0, in1, in2, taps, k, hidden, d, row):
    for c in range(d.shape[1]):
        d[row, c] += hidden[GAIN1, c] * (
            taps[k, c] * (wide(dv[t0, c]) * in0)
            + taps[k + 1, c] * (wide(dv[t1, c]) * in1)
            + taps[k + 2, c] * (wide(dv[t2, c]) * in2)
        )


@serial
def _add_bias(u, start, rows, hidden, v):
    for row in range(rows):
        for c in range(v.shape[1]):
            v[row, c] = wide(u[start + row, c]) + hidden[EXPAND_BIAS, c]


@serial
def _add_rows(product, rows, dx, start):
    for row in range(rows):
        for c in range(dx.shape[1]):
            dx[start + row, c] += product[row, c]
