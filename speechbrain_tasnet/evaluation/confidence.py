"""Summaries of many scores: means with confidence intervals."""

import math
from collections.abc import Sequence

import numpy as np
import scipy


def describe(values: Sequence[float]) -> dict:
    """Return mean and its confidence interval, median, standard deviation, extremes and count.

    Parameters
    ----------
    values : sequence of float
        Scores of as many utterances.

    Returns
    -------
    dict
        ``mean``, ``ci95`` (low and high end of the 95 % confidence interval of the mean, from Student's t
        distribution), ``median``, ``std`` (with n - 1), ``min``, ``max``, ``count``; None for what too few values
        do not have.

    Example
    -------
    >>> [round(end, 3) for end in describe([1.0, 2.0, 3.0])["ci95"]]
    [-0.484, 4.484]
    """
    count = len(values)
    if not count:
        return dict.fromkeys(("mean", "ci95", "median", "std", "min", "max")) | {"count": 0}
    mean, std = float(np.mean(values)), float(np.std(values, ddof=1)) if count > 1 else None
    ci95 = None
    if std is not None:
        half = float(scipy.special.stdtrit(count - 1, 0.975)) * std / math.sqrt(count)
        ci95 = [mean - half, mean + half]
    median, low, high = float(np.median(values)), min(values), max(values)
    return {"mean": mean, "ci95": ci95, "median": median, "std": std, "min": low, "max": high, "count": count}
