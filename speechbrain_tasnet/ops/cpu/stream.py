"""A causal mask network for the next frames of a stream, in one compiled function.

The rows of a scratch array are frames, those of the first stream first. Each block does two products, whose
weights are packed by `products.pack`, and two sweeps over the rows, as `forward` does, which says what becomes
of the second norm. The norm before the first block goes the same way into the product behind it. The frames that a
convolution reaches back to are in a ring buffer, in which a frame replaces the one that no tap needs any more.
"""

from typing import NamedTuple

import numpy as np

from speechbrain_tasnet.ops.cpu.compile import inline, serial
from speechbrain_tasnet.ops.cpu.microkernel import WIDTH
from speechbrain_tasnet.ops.cpu.products import multiply_tiles
from speechbrain_tasnet.ops.reference import EPS


class Packed(NamedTuple):
    """The weights as the loops read them; H hidden channels, P taps, "out" residual then skip channels."""

    front: np.ndarray  # [1, panels of B, N, WIDTH], times the first norm's gain
    front_finish: np.ndarray  # [1, 2, B]: sums of the rows of ``front``, and what is added
    expand: np.ndarray  # [blocks, panels of H, B, WIDTH]
    output: np.ndarray  # [blocks, panels of out, H, WIDTH], times the second norm's gain
    hidden: np.ndarray  # [blocks, 4 + P, H]: expand bias, gain and shift of the first norm, taps' bias, taps
    finish: np.ndarray  # [blocks, 2, out]: sums of ``output``'s rows, and what is added
    slopes: np.ndarray  # [blocks + 1, 2], the last for what comes behind the blocks
    back: np.ndarray  # [1, panels of C * N, out, WIDTH]
    back_bias: np.ndarray  # [C * N]
    dilations: np.ndarray  # [blocks]
    has_skip: bool
    cumulative: bool


class Memory(NamedTuple):
    """The state of the streams."""

    ring: np.ndarray  # [batch, reach of all blocks, H]
    moments: np.ndarray  # [norms, batch, mean and variance] of float64


class Scratch(NamedTuple):
    """Scratch memory of the loops."""

    carried: np.ndarray  # [rows, out], what goes from block to block
    hidden: np.ndarray  # [rows, H], rounded up to whole panels
    product: np.ndarray  # [rows, out or B], rounded up to whole panels
    scores: np.ndarray  # [rows, C * N], rounded up to whole panels
    convolved: np.ndarray  # [1, H]
    mean: np.ndarray  # [rows], of the norm whose product is being computed
    rstd: np.ndarray  # [rows]


@serial
def run(packed, memory, scratch, x, added, frames, seen, turned):
    """Take the rows of ``x``, ``frames`` of each stream, through the network; leaves them in ``scratch.scores``.

    To the bottleneck come the rows of ``added`` [rows, 0 or B], what other microphones hear. The norms have
    ``seen`` so many frames before these, the rings have ``turned`` by so many.
    """
    rows = len(x)
    for row in range(rows):
        _norm_front(packed, memory.moments, scratch, x, row, row // frames, seen + row % frames)
    _multiply(x, rows, packed.front, 0, scratch.product)
    for row in range(rows):
        _begin(scratch.carried, added, row)
        _finish(packed.front_finish, scratch, 0, row)
    offset = 0
    for block in range(len(packed.expand)):
        reach = (packed.hidden.shape[1] - 5) * packed.dilations[block]
        _multiply(scratch.carried, rows, packed.expand, block, scratch.hidden)
        for row in range(rows):
            item, frame = row // frames, row % frames
            _first_norm(packed, memory.moments, scratch.hidden, block, row, item, seen + frame)
            _convolve(packed, memory.ring, scratch, block, row, item, turned + frame, offset, reach)
            _second_norm(packed, memory.moments, scratch, block, row, item, seen + frame)
        _multiply(scratch.hidden, rows, packed.output, block, scratch.product)
        for row in range(rows):
            _finish(packed.finish, scratch, block, row)
        offset += reach
    for row in range(rows):
        _activate_back(packed, scratch, row)
    _multiply(scratch.product, rows, packed.back, 0, scratch.scores)
    for row in range(rows):
        _add(packed.back_bias, scratch.scores, row)


@inline
def _multiply(x, rows, weight, block, out):
    multiply_tiles(x, 0, rows, weight[block], weight.shape[1] * WIDTH, out, 0)


@inline
def _statistics(packed, moments, mean_of_row, variance_of_row, norm, item, frame):
    """Return mean and reciprocal deviation for a frame of which ``frame`` came before."""
    mean, variance = np.float64(mean_of_row), np.float64(variance_of_row)
    if packed.cumulative:
        mean_before, variance_before = moments[norm, item, 0], moments[norm, item, 1]
        change = mean - mean_before
        mean = mean_before + change / (frame + 1)
        scatter = change * (mean_of_row - mean)
        variance = variance_before + (variance + scatter - variance_before) / (frame + 1)
        moments[norm, item, 0], moments[norm, item, 1] = mean, variance
    return np.float32(mean), np.float32(1 / np.sqrt(variance + EPS))


@inline
def _moments(x, row, size):
    total = x[row, 0] * 0
    for c in range(size):
        total += x[row, c]
    mean = total / size
    scatter = mean * 0
    for c in range(size):
        scatter += (x[row, c] - mean) * (x[row, c] - mean)
    return mean, scatter / size


@inline
def _norm_front(packed, moments, scratch, x, row, item, frame):
    mean, variance = _moments(x, row, x.shape[1])
    scratch.mean[row], scratch.rstd[row] = _statistics(packed, moments, mean, variance, 0, item, frame)


@inline
def _begin(x, added, row):
    for c in range(x.shape[1]):
        x[row, c] = added[row, c] if c < added.shape[1] else 0


@inline
def _first_norm(packed, moments, hidden, block, row, item, frame):
    w, slope = packed.hidden, packed.slopes[block, 0]
    size = w.shape[2]
    for c in range(size):
        a = hidden[row, c] + w[block, 0, c]
        hidden[row, c] = a if a > 0 else a * slope
    mean, variance = _moments(hidden, row, size)
    mean, rstd = _statistics(packed, moments, mean, variance, 1 + 2 * block, item, frame)
    for c in range(size):
        hidden[row, c] = (hidden[row, c] - mean) * rstd * w[block, 1, c] + w[block, 2, c]


@inline
def _convolve(packed, ring, scratch, block, row, item, frame, offset, reach):
    w, y, hidden = packed.hidden, scratch.convolved, scratch.hidden
    size = w.shape[2]
    last = w.shape[1] - 1
    for c in range(size):
        y[0, c] = w[block, 3, c] + w[block, last, c] * hidden[row, c]
    for tap in range(4, last):
        slot = offset + (frame - (last - tap) * packed.dilations[block]) % reach
        for c in range(size):
            y[0, c] += w[block, tap, c] * ring[item, slot, c]
    if reach > 0:
        slot = offset + frame % reach
        for c in range(size):
            ring[item, slot, c] = hidden[row, c]


@inline
def _second_norm(packed, moments, scratch, block, row, item, frame):
    """Write the PReLU of what was convolved, not normalised yet."""
    y, hidden, slope = scratch.convolved, scratch.hidden, packed.slopes[block, 1]
    size = y.shape[1]
    for c in range(size):
        hidden[row, c] = y[0, c] if y[0, c] > 0 else y[0, c] * slope
    mean, variance = _moments(hidden, row, size)
    scratch.mean[row], scratch.rstd[row] = _statistics(packed, moments, mean, variance, 2 + 2 * block, item, frame)


@inline
def _finish(finish, scratch, block, row):
    carried, product, mean, rstd = scratch.carried, scratch.product, scratch.mean[row], scratch.rstd[row]
    for c in range(finish.shape[2]):
        carried[row, c] += (product[row, c] - mean * finish[block, 0, c]) * rstd + finish[block, 1, c]


@inline
def _activate_back(packed, scratch, row):
    """Write the PReLU of what the blocks have left, side by side, for the last product."""
    y, slope = scratch.product, packed.slopes[len(packed.expand), 0]
    first = packed.expand.shape[2] if packed.has_skip else 0
    for c in range(packed.back.shape[2]):
        a = scratch.carried[row, first + c]
        y[row, c] = a if a > 0 else a * slope


@inline
def _add(bias, x, row):
    for c in range(bias.size):
        x[row, c] += bias[c]
