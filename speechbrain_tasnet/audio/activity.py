"""Voice activity: which of several separated voices is heard when, frame by frame, from their energies."""

from dataclasses import dataclass
from math import inf

import numpy as np
import scipy

HOP_SECONDS = 0.01
SMOOTHING = 5  # frames: a syllable is longer, a click is not


@dataclass(frozen=True)
class Thresholds:
    """What counts as heard.

    What a separator leaves of one voice in the output of another lies a nearly constant number of decibels below
    it, and its own hiss a number of decibels below the speech of the recording: a voice must be louder than both.
    And where a separator is not sure how many voices there are, it gives the further output a little of each: a
    voice must hold its part of what is heard while it speaks.

    Parameters
    ----------
    below_loudest : float
        How many dB a voice may be below the loudest one at that moment.
    below_speech : float
        How many dB it may be below the speech of the recording.
    below_all : float
        How many dB the energy of all that is heard of it may be below that of all voices in the same moments.
    longest_gap : float
        Pauses of fewer seconds are part of a segment.
    shortest : float
        Segments of fewer seconds are none, or of less than half of a recording that is shorter than twice that.
    margin : float
        Seconds by which a segment begins earlier and ends later than it is heard: soft consonants.
    """

    below_loudest: float = 18.0
    below_speech: float = 35.0
    below_all: float = 8.0
    longest_gap: float = 0.5
    shortest: float = 0.2
    margin: float = 0.05


class FrameEnergies:
    """The energies of signals that come in blocks, a frame every 10 ms.

    Parameters
    ----------
    rate : int
        Sampling rate in Hz.

    Attributes
    ----------
    hop : int
        Samples of a frame: as many as come nearest to 10 ms.
    seconds : float
        How long they are, which at 22050 Hz is not 10 ms, and in an hour makes eight seconds.

    Examples
    --------
    >>> energies = FrameEnergies(8000)
    >>> for block in np.split(np.ones((2, 800)), [130, 330], axis=1):
    ...     energies.add(block)
    >>> energies.array().shape
    (2, 10)
    """

    def __init__(self, rate: int):
        self.hop = max(1, round(HOP_SECONDS * rate))
        self.seconds = self.hop / rate
        self._done: list[np.ndarray] = []
        self._rest: np.ndarray | None = None

    @property
    def length(self) -> float:
        """Seconds of all samples so far; of the last frame only those that there are."""
        whole = sum(energies.shape[1] for energies in self._done) * self.hop
        return (whole + (0 if self._rest is None else self._rest.shape[1])) * self.seconds / self.hop

    def add(self, block: np.ndarray) -> None:
        """Take in the next samples [C, any number]."""
        squares = np.square(block, dtype=np.float64)
        if self._rest is not None:
            squares = np.concatenate([self._rest, squares], axis=1)
        whole = squares.shape[1] // self.hop * self.hop
        self._rest = squares[:, whole:]
        self._done.append(squares[:, :whole].reshape(len(squares), -1, self.hop).mean(axis=2))

    def array(self) -> np.ndarray:
        """Return the mean power of each frame, [C, frames]; the last frame may have fewer samples."""
        if self._rest is None:
            raise ValueError("no samples: expected a block or more")
        last = [self._rest.mean(axis=1, keepdims=True)] if self._rest.shape[1] else []
        return np.concatenate([*self._done, *last], axis=1)


def active_frames(energies: np.ndarray, thresholds: Thresholds = Thresholds()) -> np.ndarray:
    """Find out which voices are heard in which frames.

    Parameters
    ----------
    energies : numpy.ndarray
        [C, frames], see `FrameEnergies`.
    thresholds : Thresholds
        What counts as heard.

    Returns
    -------
    numpy.ndarray
        [C, frames] of bool.

    Examples
    --------
    >>> energies = np.full((2, 300), 1e-9)
    >>> energies[0, 100:200] = 1.0  # one voice, of which the other output holds a hundredth
    >>> energies[1, 100:200] = 0.01
    >>> active_frames(energies).sum(axis=1)
    array([114,   0])
    """
    smooth = scipy.ndimage.uniform_filter1d(energies, min(SMOOTHING, energies.shape[1]), axis=1, mode="constant")
    loudest = smooth.max(axis=0)
    if not loudest.any():
        return np.zeros(energies.shape, bool)
    # Of the recording's speech: the mean of what lies within 20 dB of its peaks, without its pauses.
    speech = loudest[loudest > 0.01 * np.quantile(loudest, 0.99)].mean()
    floor = np.maximum(
        loudest * 10 ** (-thresholds.below_loudest / 10), speech * 10 ** (-thresholds.below_speech / 10)
    )
    # Of a recording that ends before a click could be told from a voice, what is heard most of the time is one.
    shortest = min(thresholds.shortest / HOP_SECONDS, energies.shape[1] / 2)
    active = np.zeros(energies.shape, bool)
    for voice, heard in enumerate(smooth > floor):
        runs = _bridged(_runs(heard), thresholds.longest_gap / HOP_SECONDS)
        for start, end in runs[runs[:, 1] - runs[:, 0] >= shortest] + _margins(thresholds):
            active[voice, max(start, 0) : end] = True
    held, of_all = (smooth * active).sum(axis=1), (smooth.sum(axis=0) * active).sum(axis=1)
    active[held < 10 ** (-thresholds.below_all / 10) * of_all] = False
    return active


def to_segments(active: np.ndarray, seconds: float, length: float = inf) -> list[tuple[int, float, float]]:
    """List the stretches in which voices are heard: number of the voice, start and end in seconds, by start.

    Parameters
    ----------
    active : numpy.ndarray
        [C, frames], see `active_frames`.
    seconds : float
        Of a frame, see `FrameEnergies`.
    length : float
        Seconds of the signals, which may end within the last frame.

    Examples
    --------
    >>> active = np.array([[False, True, True, False], [True, False, False, True]])
    >>> to_segments(active, seconds=0.01, length=0.038)
    [(1, 0.0, 0.01), (0, 0.01, 0.03), (1, 0.03, 0.038)]
    """
    found = []
    for voice, frames in enumerate(active):
        found += [
            (voice, round(start * seconds, 6), round(min(end * seconds, length), 6))
            for start, end in _runs(frames).tolist()
        ]
    return sorted(found, key=lambda segment: (segment[1], segment[0]))


def _runs(heard: np.ndarray) -> np.ndarray:
    """List where each run of true frames starts and ends, [runs, 2]."""
    return np.flatnonzero(np.diff(heard.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)


def _bridged(runs: np.ndarray, longest_gap: float) -> np.ndarray:
    """Join runs with fewer frames than that between them."""
    if not len(runs):
        return runs
    apart = runs[1:, 0] - runs[:-1, 1] >= longest_gap
    return np.stack([runs[np.append(True, apart), 0], runs[np.append(apart, True), 1]], axis=1)


def _margins(thresholds: Thresholds) -> np.ndarray:
    frames = round(thresholds.margin / HOP_SECONDS)
    return np.array([-frames, frames])
