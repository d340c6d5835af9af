"""Speakers who sound alike, and so are hard to separate."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from math import nan
from pathlib import Path

import numpy as np

from speechbrain_tasnet.audio.reading import read_audio
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.evaluation.pitch import median_pitch
from speechbrain_tasnet.system.parallel import usable_cpus

NEAR = 0.1  # of all speakers are those that sound like one
SECONDS = 10  # of a speaker are enough to measure a pitch


class SimilarVoices:
    """Chooses speakers whose pitches lie close together.

    Parameters
    ----------
    pitches : sequence of float
        In Hz, one a speaker; those that are not known, NaN, are taken for close to each other.

    Examples
    --------
    >>> voices = SimilarVoices([100, 210, 102, 205, 98, 220])
    >>> sorted(voices.choose(3, np.random.default_rng(0)).tolist())
    [1, 3, 5]
    """

    def __init__(self, pitches: Sequence[float]):
        self._order = np.argsort(pitches)

    @classmethod
    def measure(cls, paths: Sequence[Path], rate: int) -> "SimilarVoices":
        """Measure the pitch of each speaker in one of their files."""
        with ThreadPoolExecutor(usable_cpus()) as pool:
            return cls(list(pool.map(lambda path: _pitch(path, rate), paths)))

    def choose(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Draw a speaker, uniformly, and ``count`` - 1 of those whose pitches are next to it."""
        speakers = len(self._order)
        window = min(speakers, max(count, round(NEAR * speakers)))
        first = rng.integers(speakers)
        start = min(max(first - window // 2, 0), speakers - window)
        others = [place for place in range(start, start + window) if place != first]
        return self._order[[first, *rng.choice(others, count - 1, replace=False)]]


def _pitch(path: Path, rate: int) -> float:
    try:
        pitch = median_pitch(read_audio(path, rate)[: SECONDS * rate], rate)
    except InputError:  # which is reported when its turn comes
        pitch = None
    return nan if pitch is None else pitch
