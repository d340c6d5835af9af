"""The backward pass of all blocks of a network: three sweeps per block; see `forward` for the conventions.

What is between the two products of a block is computed again from the first product, a few rows at a time, as
often as it is needed: that is cheaper than to keep it, since it never leaves the cache.

A norm's derivative needs two sums over all that it has normalised: of the derivative by its result, and of that
times the result. For a global norm both can be had without a sweep of their own. The result of the second one
is multiplied by a weight, so they are sums over that weight's own derivative, which the first sweep computes;
that of the first one is convolved, so they are sums over the derivatives by the taps. The other norms need sums
of the same row and, if cumulative, of those after it: their sweeps go back in time and add them up.
"""

from typing import NamedTuple

import numpy as np

from speechbrain_tasnet.ops.cpu.backward_sweeps import (
    D_EXPAND_BIAS,
    D_SLOPE1,
    D_SLOPE2,
    D_TAPS,
    D_TAPS_BIAS,
    coefficients,
    first_norm_rows,
    output_gradient_rows,
    second_norm_rows,
)
from speechbrain_tasnet.ops.cpu.compile import serial
from speechbrain_tasnet.ops.cpu.norm_statistics import GLOBAL
from speechbrain_tasnet.ops.cpu.products import rounded, scratch
from speechbrain_tasnet.ops.cpu.team import meet
from speechbrain_tasnet.ops.cpu.weights import EXPAND_BIAS, GAIN1, GAIN2, SHIFT1, SHIFT2, TAPS, TAPS_BIAS, Stacked


@serial
def backward(
    thread, threads, barrier, w, stacked, grads, outputs, lefts, steps, norm, valid, x, u, moments, dx, d_total,
    dv, sums,
):  # fmt: skip
    """Run the backward pass through all blocks.

    Parameters
    ----------
    thread, threads, barrier, w, outputs, lefts, steps, norm, valid, x, u, moments
        As for `forward`, the last three filled in by it.
    stacked : Stacked
        The weights as they are.
    grads : Stacked
        Zeros, to which the derivatives by the weights are added.
    dx : array
        [batch, frames, B], the derivative by the residual path's end; becomes that by what the first block got.
    d_total : array
        [batch, frames, skip channels], the derivative by the skip path's end.
    dv : array
        [frames, H], memory to work with, of the type of ``u``.
    sums : Sums
        Memory to work with.
    """
    size = u.shape[3]
    memory = scratch(max(x.shape[3], size, sums.output.shape[1]))
    for item in range(len(valid)):
        first, end = thread * valid[item] // threads, (thread + 1) * valid[item] // threads
        for block in range(len(w.hidden) - 1, -1, -1):
            hidden, slopes, left, step = w.hidden[block], w.slopes[block], lefts[block], steps[block]
            mean1, rstd1 = moments[block, 0, item], moments[block, 1, item]
            mean2, rstd2 = moments[block, 2, item], moments[block, 3, item]
            taps, constants = w.taps[block], w.constants[block]
            _clear(sums, thread)
            alpha = gamma = 0.0
            if norm == GLOBAL:
                output_gradient_rows(
                    u[block, item], mean1, rstd1, hidden, slopes, taps, constants, left, step, valid[item], mean2,
                    rstd2, d_total[item], dx[item], outputs[block], sums.output[thread],
                    sums.output_bias[thread], memory, first, end,
                )  # fmt: skip
                meet(barrier, threads)
                total, product = _sums_of_output(sums, w.finish[block], stacked.output[block], hidden)
                alpha, gamma = coefficients(total, product, mean2[0], rstd2[0], size, valid[item])
            second_norm_rows(
                u[block, item], mean1, rstd1, hidden, slopes, taps, constants, left, step, valid[item], norm,
                mean2, rstd2, alpha, gamma, d_total[item], dx[item], outputs[block], w.output_back[block],
                sums.output[thread], sums.output_bias[thread], dv, sums.hidden[thread], memory, first, end,
            )  # fmt: skip
            meet(barrier, threads)
            if norm == GLOBAL:
                total, product = _sums_of_taps(sums, hidden)
                alpha, gamma = coefficients(total, product, mean1[0], rstd1[0], size, valid[item])
            first_norm_rows(
                dv, u[block, item], mean1, rstd1, hidden, slopes, w.plain_taps[block], left, step, valid[item],
                norm, alpha, gamma, x[block, item], w.expand_back[block], sums.expand[thread], dx[item],
                sums.hidden[thread], memory, first, end,
            )  # fmt: skip
            meet(barrier, threads)
            if thread == 0:
                _add_gradients(stacked, grads, block, outputs[block], sums)
            meet(barrier, threads)


class Sums(NamedTuple):
    """The sums that each thread computes over its rows of an item and block."""

    expand: np.ndarray  # [threads, H, `rounded` B], the derivative by the first product's weight
    output: np.ndarray  # [threads, O, `rounded` H], that by the last products', before the norm's gain
    output_bias: np.ndarray  # [threads, O]
    hidden: np.ndarray  # [threads, D_TAPS + 2 * P, H], the rows named above

    @classmethod
    def of(cls, threads: int, w: Stacked) -> "Sums":
        """Allocate the sums of a number of threads."""
        _, size, channels = w.expand.shape
        outputs, taps = w.output.shape[1], w.hidden.shape[1] - TAPS
        shapes = (size, rounded(channels)), (outputs, rounded(size)), (outputs,), (D_TAPS + 2 * taps, size)
        return cls(*(np.empty((threads, *shape), np.float32) for shape in shapes))


@serial
def _clear(sums, thread):
    sums.expand[thread] = 0
    sums.output[thread] = 0
    sums.output_bias[thread] = 0
    sums.hidden[thread] = 0


@serial
def _sums_of_output(sums, finish, output, hidden):
    """Sum up, for an item, the derivative by what the second norm gives, and that times what it gives."""
    total, product = 0.0, 0.0
    for thread in range(len(sums.output)):
        for o in range(len(output)):
            row = np.float32(0)
            for c in range(output.shape[1]):
                row += output[o, c] * hidden[GAIN2, c] * sums.output[thread, o, c]
            total += np.float64(finish[0, o]) * sums.output_bias[thread, o]
            product += row
    return total, product


@serial
def _sums_of_taps(sums, hidden):
    """Sum up, for an item, the derivative by what the first norm gives, and that times what it gives."""
    count = hidden.shape[0] - TAPS
    total, product = 0.0, 0.0
    for thread in range(len(sums.hidden)):
        for k in range(count):
            met, missed = D_TAPS + k, D_TAPS + count + k
            row_total, row_product = np.float32(0), np.float32(0)
            for c in range(hidden.shape[1]):
                weight = hidden[TAPS + k, c] * hidden[GAIN1, c]
                row_total += weight * (sums.hidden[thread, D_TAPS_BIAS, c] - sums.hidden[thread, missed, c])
                row_product += weight * sums.hidden[thread, met, c]
            total += row_total
            product += row_product
    return total, product


@serial
def _add_gradients(w, grads, block, count, sums):
    """Add what the threads have summed up to the derivatives by a block's weights."""
    weights, hidden = w.hidden[block], grads.hidden[block]
    size, taps = weights.shape[1], len(weights) - TAPS
    for thread in range(len(sums.hidden)):
        of_hidden = sums.hidden[thread]
        for c in range(size):
            for k in range(w.expand.shape[2]):
                grads.expand[block, c, k] += sums.expand[thread, c, k]
        for o in range(count):
            d = sums.output_bias[thread, o]
            grads.output_bias[block, o] += d
            for c in range(size):
                by_normalised = sums.output[thread, o, c]
                grads.output[block, o, c] += by_normalised * weights[GAIN2, c] + d * weights[SHIFT2, c]
                hidden[GAIN2, c] += by_normalised * w.output[block, o, c]
                hidden[SHIFT2, c] += d * w.output[block, o, c]
        for c in range(size):
            hidden[EXPAND_BIAS, c] += of_hidden[D_EXPAND_BIAS, c]
            hidden[TAPS_BIAS, c] += of_hidden[D_TAPS_BIAS, c]
            grads.slopes[block, 0] += of_hidden[D_SLOPE1, c]
            grads.slopes[block, 1] += of_hidden[D_SLOPE2, c]
        for k in range(taps):
            for c in range(size):
                met = of_hidden[D_TAPS + k, c]
                inside = of_hidden[D_TAPS_BIAS, c] - of_hidden[D_TAPS + taps + k, c]
                hidden[TAPS + k, c] += met * weights[GAIN1, c] + inside * weights[SHIFT1, c]
                hidden[GAIN1, c] += weights[TAPS + k, c] * met
                hidden[SHIFT1, c] += weights[TAPS + k, c] * inside
