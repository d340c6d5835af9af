"""All convolutional blocks for the next frames of a stream, in one compiled function.

The rows of a scratch array are frames, those of the first stream first. Each block does two products, whose weights
lie in `tile.panels`, and two sweeps over the rows, as `fused` does; see there for what happens to the second norm.
The frames that a convolution reaches back to lie in a ring, in which a frame takes the place of the one that no tap
meets any more.
"""

from typing import NamedTuple

import numpy as np

from speechbrain_tasnet.ops.compiled import inline, serial
from speechbrain_tasnet.ops.naive import EPS
from speechbrain_tasnet.ops.tile import MOST_ROWS, tile


class Packed(NamedTuple):
    """The weights of all blocks as the loops read them; H hidden channels, P taps, "out" residual then skip."""

    expand: np.ndarray  # [blocks, panels of H, B, WIDTH]
    output: np.ndarray  # [blocks, panels of out, H, WIDTH], times the second norm's gain
    hidden: np.ndarray  # [blocks, 4 + P, H]: expand bias, gain and shift of the first norm, taps' bias, taps
    finish: np.ndarray  # [blocks, 2, out]: sums of ``output``'s rows, and what is added
    slopes: np.ndarray  # [blocks, 2]
    dilations: np.ndarray  # [blocks]
    cumulative: bool


class Memory(NamedTuple):
    """What is remembered of the streams."""

    ring: np.ndarray  # [batch, reach of all blocks, H]
    moments: np.ndarray  # [blocks, 2 norms, batch, mean and variance] of float64


class Scratch(NamedTuple):
    """Where the loops work."""

    carried: np.ndarray  # [rows, out], what goes from block to block
    hidden: np.ndarray  # [rows, H], rounded up to whole panels
    product: np.ndarray  # [rows, out], rounded up to whole panels
    convolved: np.ndarray  # [1, H]
    mean: np.ndarray  # [rows], of the second norm
    rstd: np.ndarray  # [rows]


@serial
def run(packed, memory, scratch, batch, frames, seen, turned):
    """Take ``batch * frames`` rows of ``scratch.carried`` through all blocks.

    The norms have ``seen`` so many frames before these, the rings have ``turned`` by so many.
    """
    rows = batch * frames
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


@inline
def _multiply(x, rows, weight, block, out):
    # A panel stays in the first-level cache while the rows pass.
    for panel in range(weight.shape[1]):
        for row in range(0, rows, MOST_ROWS):
            tile(x, row, min(MOST_ROWS, rows - row), weight, block, panel, out)


@inline
def _statistics(packed, moments, total, scatter, block, norm, item, frame):
    """Tell mean and reciprocal deviation for a frame of which ``frame`` came before."""
    mean, variance = np.float64(total), np.float64(scatter)
    if packed.cumulative:
        before, row_mean = moments[block, norm, item, 0], mean
        mean = before + (row_mean - before) / (frame + 1)
        variance += (row_mean - before) * (row_mean - mean)
        variance = moments[block, norm, item, 1] + (variance - moments[block, norm, item, 1]) / (frame + 1)
        moments[block, norm, item, 0], moments[block, norm, item, 1] = mean, variance
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
def _first_norm(packed, moments, hidden, block, row, item, frame):
    w, slope = packed.hidden, packed.slopes[block, 0]
    size = w.shape[2]
    for c in range(size):
        a = hidden[row, c] + w[block, 0, c]
        hidden[row, c] = a if a > 0 else a * slope
    total, scatter = _moments(hidden, row, size)
    mean, rstd = _statistics(packed, moments, total, scatter, block, 0, item, frame)
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
    total, scatter = _moments(hidden, row, size)
    scratch.mean[row], scratch.rstd[row] = _statistics(packed, moments, total, scatter, block, 1, item, frame)


@inline
def _finish(finish, scratch, block, row):
    carried, product, mean, rstd = scratch.carried, scratch.product, scratch.mean[row], scratch.rstd[row]
    for c in range(finish.shape[2]):
        carried[row, c] += (product[row, c] - mean * finish[block, 0, c]) * rstd + finish[block, 1, c]
