"""`norm_statistics.spread` as a loop, in place; in float64, whatever the arrays hold."""

import numpy as np

from speechbrain_tasnet.ops.cpu.compile import inline, serial
from speechbrain_tasnet.ops.cpu.team import meet
from speechbrain_tasnet.ops.reference import EPS

GLOBAL, CUMULATIVE, CHANNELWISE = range(3)
NORMS = {"global": GLOBAL, "cumulative": CUMULATIVE, "channelwise": CHANNELWISE}


@serial
def spread(thread, threads, barrier, norm, valid, mean, variance):
    """Turn means and variances of an item's rows into what to normalise with: means and reciprocal deviations.

    The threads meet before, when all rows are there, and after.
    """
    meet(barrier, threads)
    if thread == 0:
        if norm == GLOBAL:
            _accumulate(mean, variance, valid)
        elif norm == CUMULATIVE:
            _accumulate_so_far(mean, variance, valid)
        for frame in range(valid):
            variance[frame] = 1 / np.sqrt(variance[frame] + EPS)
    meet(barrier, threads)


@inline
def _accumulate(mean, variance, valid):
    total, square = 0.0, 0.0
    for frame in range(valid):
        row_mean = np.float64(mean[frame])
        total += row_mean
        square += row_mean * row_mean + variance[frame]
    overall = total / valid
    overall_variance = square / valid - overall * overall
    for frame in range(valid):
        mean[frame], variance[frame] = overall, overall_variance


@inline
def _accumulate_so_far(mean, variance, valid):
    # As `moments.cumulative_moments`.
    mean_so_far, variance_so_far = 0.0, 0.0
    for frame in range(valid):
        change = mean[frame] - mean_so_far
        mean_so_far += change / (frame + 1)
        scatter = change * (mean[frame] - mean_so_far)
        variance_so_far += (variance[frame] + scatter - variance_so_far) / (frame + 1)
        mean[frame], variance[frame] = mean_so_far, variance_so_far
