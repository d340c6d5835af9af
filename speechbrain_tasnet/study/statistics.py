"""Are two contestants different? Paired tests over the test mixtures, corrected for their number."""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import scipy

LEVEL = 0.05


class Pair(NamedTuple):
    """Two contestants on the same mixtures.

    ``difference`` is the mean of what ``first`` has over ``second``, in dB, ``ci95`` its interval by Student's t
    distribution. ``t`` and ``wilcoxon`` are the p values of the paired t test and of Wilcoxon's signed-rank test;
    ``t_holm`` and ``wilcoxon_holm`` those after Holm's correction for all pairs of the study.
    """

    first: str
    second: str
    count: int
    difference: float
    ci95: tuple[float, float]
    t: float
    wilcoxon: float
    t_holm: float = math.nan
    wilcoxon_holm: float = math.nan

    @property
    def p(self) -> float:
        """The larger of both corrected p values."""
        return max(self.t_holm, self.wilcoxon_holm)

    @property
    def differ(self) -> bool:
        """Return whether both tests say so."""
        return self.p < LEVEL

    def turned(self) -> "Pair":
        """Return the same comparison from the side of the second."""
        low, high = self.ci95
        return self._replace(first=self.second, second=self.first, difference=-self.difference, ci95=(-high, -low))


def compare_all(scores: Mapping[str, Mapping[str, float]]) -> list[Pair]:
    """Compare every contestant with every other.

    Parameters
    ----------
    scores : mapping
        By contestant, then by mixture, the score in dB. Mixtures that not both of a pair have are left out.

    Returns
    -------
    list of Pair
        Each pair once; those with fewer than two mixtures in common are left out.

    Examples
    --------
    >>> scores = {"a": {"x": 1.0, "y": 2.0, "z": 3.5}, "b": {"x": 0.0, "y": 1.0, "z": 2.0}}
    >>> (pair,) = compare_all(scores)
    >>> round(pair.difference, 2), pair.count, pair.differ
    (1.17, 3, False)
    """
    pairs = []
    for first, second in combinations(scores, 2):
        common = sorted(scores[first].keys() & scores[second].keys())
        if len(common) > 1:
            values = [np.array([scores[name][mixture] for mixture in common]) for name in (first, second)]
            pairs.append(_compare(first, second, *values))
    corrected = zip(holm([pair.t for pair in pairs]), holm([pair.wilcoxon for pair in pairs]), strict=True)
    return [pair._replace(t_holm=t, wilcoxon_holm=w) for pair, (t, w) in zip(pairs, corrected, strict=True)]


def either_way(pairs: Sequence[Pair]) -> dict[tuple[str, str], Pair]:
    """Return the pairs by the names of both, from the side of the one that is named first."""
    return {(pair.first, pair.second): pair for one in pairs for pair in (one, one.turned())}


def _compare(first: str, second: str, a: np.ndarray, b: np.ndarray) -> Pair:
    gains = a - b
    mean, error = float(gains.mean()), float(scipy.stats.sem(gains))
    half = float(scipy.stats.t.ppf(0.975, len(gains) - 1)) * error
    if not gains.any():  # both tests would divide by zero
        t = wilcoxon = 1.0
    else:
        t = float(scipy.stats.ttest_rel(a, b).pvalue) if error else 0.0
        wilcoxon = float(scipy.stats.wilcoxon(gains).pvalue)
    return Pair(first, second, len(gains), mean, (mean - half, mean + half), t, wilcoxon)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p values so that all claims made of them are true together with the probability of one alone.

    The smallest of m is multiplied by m, the next by m - 1 and so on, and none may be smaller than the one before
    it (Holm, Scandinavian Journal of Statistics 6, 1979).

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03, 0.5])
    [0.04, 0.09, 0.09, 0.5]
    """
    corrected, running = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = running
    return corrected
