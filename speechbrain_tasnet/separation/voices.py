"""Detect who is heard in the sources of a recording, and silence them where nobody is."""

from dataclasses import dataclass
from math import inf

import numpy as np
from torch import Tensor

from speechbrain_tasnet.audio.activity import FrameEnergies, Thresholds, active_frames, to_segments
from speechbrain_tasnet.data.segments import Segment


@dataclass(frozen=True)
class Voices:
    """The voices heard in a recording.

    Parameters
    ----------
    sources : Tensor
        [channels, time, voices], at the rate and of the length of the recording.
    segments : list of Segment
        Who speaks when, by start; the speakers are called ``s1``, ``s2`` and so on, as the sources are.
    sample_rate : int
        In Hz.
    """

    sources: Tensor
    segments: list[Segment]
    sample_rate: int

    @property
    def count(self) -> int:
        """How many voices there are."""
        return self.sources.shape[2]


class Listener:
    """Detects voices in the sources of a recording, block by block, and returns at the end who speaks when.

    Parameters
    ----------
    rate : int
        Of the recording, in Hz.
    counts : bool
        Whether an output in which nobody is heard is no source; otherwise all outputs are, as they are.
    gate : bool
        Whether sources are silent where nobody is heard in them, if `counts`.
    voices : int, optional
        How many outputs are sources, if `counts`: those first that are heard, and of these those that are heard
        longest.

    Examples
    --------
    >>> listener = Listener(8000, counts=True, gate=True)
    >>> speech = np.random.default_rng(0).normal(size=(1, 1, 8000))
    >>> listener.hear(np.concatenate([0 * speech, speech, 0 * speech], axis=1))  # one of three outputs
    >>> heard = listener.result()
    >>> heard.outputs, heard.segments
    ([1], [Segment(speaker='s1', start=0.0, end=1.0)])
    """

    def __init__(self, rate: int, counts: bool, gate: bool, voices: int | None = None):
        self._energies, self._counts, self._gate = FrameEnergies(rate), counts, gate
        self._voices = voices

    def hear(self, sources: np.ndarray) -> None:
        """Process the next samples, [channels, C, any number]."""
        # The energy of a source is that of all its channels.
        self._energies.add(np.sqrt(np.square(sources, dtype=np.float64).mean(axis=0)))

    def result(self) -> "Heard":
        """Find out who was heard."""
        energies = self._energies.array()
        # Without counting each output has its voice, however soft it is.
        active = active_frames(energies, Thresholds(below_all=inf))
        counted = active_frames(energies).any(axis=1) if self._counts else np.ones(len(active), bool)
        outputs = np.flatnonzero(counted)
        if self._voices is not None:
            outputs = np.sort(np.lexsort((energies.sum(axis=1), active.sum(axis=1), counted))[-self._voices :])
        hop, seconds = self._energies.hop, self._energies.seconds
        gate = self._counts and self._gate
        return Heard(outputs.tolist(), active[outputs], hop, seconds, gate, self._energies.length)


class Heard:
    """Which outputs are sources, and when somebody is heard in them.

    Parameters
    ----------
    outputs : list of int
        Those that are.
    active : numpy.ndarray
        [outputs, frames] of bool.
    hop : int
        Samples of a frame.
    seconds : float
        How long they are.
    gate : bool
        Whether they are silent elsewhere.
    length : float
        Seconds of the recording, which may end within the last frame.

    Attributes
    ----------
    outputs : list of int
        As given.
    segments : list of Segment
        Who speaks when, by start: ``s1`` is the first of these outputs.

    Examples
    --------
    >>> heard = Heard([2], np.array([[False, True, True, False]]), hop=2, seconds=0.01, gate=True)
    >>> heard.sources_of(np.ones((8, 3, 1), np.float32), start=0).squeeze()
    array([0.  , 0.25, 0.75, 1.  , 1.  , 0.75, 0.25, 0.  ], dtype=float32)
    """

    def __init__(
        self, outputs: list[int], active: np.ndarray, hop: int, seconds: float, gate: bool, length: float = inf
    ):
        self.outputs, self._active, self._hop, self._gate = outputs, active, hop, gate
        turns = to_segments(active, seconds, length)
        self.segments = [Segment(f"s{voice + 1}", *times) for voice, *times in turns]

    def sources_of(self, outputs: np.ndarray, start: int, mixture: np.ndarray | None = None) -> np.ndarray:
        """Choose the sources among outputs, and silence them where nobody is heard.

        To make them sum to the mixture, what is missing is divided among those that are not silenced, as in
        `scaling.consistent`. Where all are, their sum is silence, too.

        Parameters
        ----------
        outputs : numpy.ndarray
            Samples [any number, C, channels], float32.
        start : int
            Samples before them.
        mixture : numpy.ndarray, optional
            [as many, channels]: what the sources are to sum to.

        Returns
        -------
        numpy.ndarray
            [as many, sources, channels]. What is silent comes and goes within a frame.
        """
        sources = outputs[:, self.outputs]
        heard = self._heard(start, len(sources))[..., np.newaxis]
        sources *= heard
        if mixture is not None:
            missing = mixture - sources.sum(axis=1)
            sources += missing[:, np.newaxis] * heard / np.maximum(heard.sum(axis=1, keepdims=True), 1)
        return sources

    def _heard(self, start: int, size: int) -> np.ndarray:
        """Return how much of each source is to be heard, from 0 to 1, [size, sources]."""
        if not self._gate:
            return np.ones((size, len(self.outputs)), np.float32)
        # In frames, from the middle of the first.
        places = (np.arange(start, start + size) + 0.5) / self._hop - 0.5
        frames = np.arange(self._active.shape[1])
        heard = np.empty((size, len(self.outputs)), np.float32)
        for source, active in enumerate(self._active):
            heard[:, source] = np.interp(places, frames, active)
        return heard
