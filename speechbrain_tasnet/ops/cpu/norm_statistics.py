"""`statistics.spread` and its derivative as loops, which take part in those of `cpu`.

Both work in place, and in float64 whatever the arrays hold.
"""

import numpy as np

from speechbrain_tasnet.ops.cpu.compile import inline
from speechbrain_tasnet.ops.reference import EPS

GLOBAL, CUMULATIVE, CHANNELWISE = range(3)
NORMS = {"global": GLOBAL, "cumulative": CUMULATIVE, "channelwise": CHANNELWISE}


@inline
def spread(norm, valid, mean, variance):
    """Turn the rows' means and variances into those to normalise with, the latter into reciprocal deviations."""
    for item in range(len(valid)):
        if norm == GLOBAL:
            _accumulate(mean, variance, item, valid[item])
        elif norm == CUMULATIVE:
            _accumulate_so_far(mean, variance, item)
        for frame in range(mean.shape[1]):
            variance[item, frame] = 1 / np.sqrt(variance[item, frame] + EPS)


@inline
def _accumulate(mean, variance, item, count):
    total, square = 0.0, 0.0
    for frame in range(count):
        row_mean = np.float64(mean[item, frame])
        total += row_mean
        square += row_mean * row_mean + variance[item, frame]
    overall = total / count
    overall_variance = square / count - overall * overall
    for frame in range(mean.shape[1]):
        mean[item, frame], variance[item, frame] = overall, overall_variance


@inline
def _accumulate_so_far(mean, variance, item):
    # As `moments.cumulative_moments`.
    mean_so_far, variance_so_far = 0.0, 0.0
    for frame in range(mean.shape[1]):
        change = mean[item, frame] - mean_so_far
        mean_so_far += change / (frame + 1)
        scatter = change * (mean[item, frame] - mean_so_far)
        variance_so_far += (variance[item, frame] + scatter - variance_so_far) / (frame + 1)
        mean[item, frame], variance[item, frame] = mean_so_far, variance_so_far


@inline
def spread_backward(norm, valid, mean, rstd, total, product, size):
    """Turn ``total`` and ``product`` into `statistics.spread_backward`'s ``alpha`` and ``gamma``."""
    for item in range(len(valid)):
        for frame in range(mean.shape[1]):
            r = np.float64(rstd[item, frame])
            gamma = -r * r * product[item, frame] / size
            total[item, frame] = -r * total[item, frame] / size - gamma * mean[item, frame]
            product[item, frame] = gamma
        if norm == GLOBAL:
            _average(total, item, valid[item])
            _average(product, item, valid[item])
        elif norm == CUMULATIVE:
            _average_from_here(total, item)
            _average_from_here(product, item)


@inline
def _average(x, item, count):
    total = 0.0
    for frame in range(count):
        total += x[item, frame]
    for frame in range(x.shape[1]):
        x[item, frame] = total / count


@inline
def _average_from_here(x, item):
    # What a frame does to all that come after it.
    total = 0.0
    for frame in range(x.shape[1] - 1, -1, -1):
        total += x[item, frame] / (frame + 1)
        x[item, frame] = total
