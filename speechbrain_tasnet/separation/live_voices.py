"""Detect who is heard in a stream, as it comes, and silence sources where nobody is."""

from typing import NamedTuple

import numpy as np
import scipy

from speechbrain_tasnet.audio.activity import Thresholds

# Seconds: over which energy is smoothed, in which a voice comes and goes, and after which the level of the loudest
# speech is forgotten.
SMOOTHING = 0.05
RAMP = 0.01
MEMORY = 10.0
# By which smoothed speech exceeds its mean at its loudest, within such a memory: 4 to 9 dB, 6 in the median.
PEAK_DB = 6.0
# No speech is softer than -60 dB of full scale: what is there before anybody has spoken is noise.
SOFTEST = 1e-6
THRESHOLDS = Thresholds()


class Event(NamedTuple):
    """A voice begins or ends to be heard."""

    speaker: str  # s1, s2 and so on, as files of sources are
    event: str  # "start" or "end"
    time: float  # seconds from the beginning of the stream


class LiveVoices:
    """Detects voices in the sources of a stream, and silences sources in which nobody is heard.

    A voice is heard by the same thresholds as in a recording (`audio.activity`), as far as they can be known
    without waiting: nothing is delayed. It is heard as soon as it is loud enough, and until it has not been for as
    long as a pause within a segment may last. What is softer than -60 dB of full scale is not heard.

    Parameters
    ----------
    rate : int
        Sampling rate in Hz.
    gate : bool
        Whether to make sources silent; otherwise they stay as they are.

    Examples
    --------
    >>> voices = LiveVoices(8000)
    >>> speech = np.random.default_rng(0).normal(size=8000)
    >>> sources, events = voices.hear(np.stack([speech, 0.01 * speech], axis=1))  # one, and what leaks of it
    >>> bool(sources[:, 0].any()), bool(sources[:, 1].any()), [event[:2] for event in events]
    (True, False, [('s1', 'start')])
    >>> voices.end()
    [Event(speaker='s1', event='end', time=1.0)]
    """

    def __init__(self, rate: int, gate: bool = True):
        self._rate, self._gate = rate, gate
        length = round(SMOOTHING * rate)
        self._window = np.full(length, 1 / length)
        self._forget = 1 / (MEMORY * rate)
        self._below_loudest = 10 ** (-THRESHOLDS.below_loudest / 10)
        self._below_peak = 10 ** (-(THRESHOLDS.below_speech + PEAK_DB) / 10)
        self._hold = round(THRESHOLDS.longest_gap * rate)
        self._done = 0  # samples
        self._peak = np.log(SOFTEST)
        self._smooth: np.ndarray | None = None  # [window - 1, C], of the filter
        self._since: np.ndarray  # [C], samples since a voice was last loud enough
        self._gains: np.ndarray  # [C]

    def hear(self, sources: np.ndarray) -> tuple[np.ndarray, list[Event]]:
        """Process the next samples.

        Parameters
        ----------
        sources : numpy.ndarray
            [time, C], or [time, C, mics], any number of samples.

        Returns
        -------
        numpy.ndarray
            In the same shape, silent where nobody is heard.
        list of Event
            Who has begun or ended to be heard, in the order in which that is known: an end half a second later.
        """
        count, voices = sources.shape[:2]
        if self._smooth is None:
            self._smooth = np.zeros((len(self._window) - 1, voices))
            self._since, self._gains = np.full(voices, self._hold), np.zeros(voices)
        if not count:
            return sources, []
        energies = np.square(sources, dtype=np.float64)
        loud = self._loud(energies if energies.ndim == 2 else energies.mean(axis=2))
        # Samples since the last loud one, 0 at a loud one.
        places = np.arange(count)[:, np.newaxis]
        last = np.maximum.accumulate(np.where(loud, places, -1 - self._since), axis=0)
        since = places - last
        heard = since < self._hold
        was_heard = np.concatenate([self._since[np.newaxis] < self._hold, heard[:-1]])
        events = [
            (place, voice, bool(heard[place, voice])) for place, voice in np.argwhere(heard != was_heard).tolist()
        ]
        if self._gate:
            ramps = self._ramps(heard).astype(sources.dtype)
            sources = sources * ramps.reshape(ramps.shape + (1,) * (sources.ndim - 2))
        self._since = np.minimum(since[-1], self._hold)
        found = [self._event(voice, begins, self._done + place) for place, voice, begins in events]
        self._done += count
        return sources, found

    def end(self) -> list[Event]:
        """Return the ends of the voices that are heard as the stream ends."""
        if self._smooth is None:
            return []
        open_ends = sorted((self._done - int(self._since[voice]), voice) for voice in self._heard_now())
        return [Event(f"s{voice + 1}", "end", time / self._rate) for time, voice in open_ends]

    def _loud(self, energies: np.ndarray) -> np.ndarray:
        """Return which samples [time, C] are louder than what leaks of another voice, and than noise."""
        smooth, self._smooth = scipy.signal.lfilter(self._window, 1, energies, axis=0, zi=self._smooth)
        loudest = smooth.max(axis=1)
        # The loudest so far, forgotten exponentially: a running maximum of levels on a rising floor.
        rise = self._forget * np.arange(1, len(loudest) + 1)
        peaks = np.maximum(np.maximum.accumulate(np.log(loudest + SOFTEST) + rise), self._peak) - rise
        self._peak = peaks[-1]
        floor = np.maximum(self._below_loudest * loudest, self._below_peak * np.exp(peaks))
        return smooth > np.maximum(floor, SOFTEST)[:, np.newaxis]

    def _ramps(self, heard: np.ndarray) -> np.ndarray:
        """Return gains [time, C] that follow who is heard within a ramp."""
        steps = np.where(heard, 1, -1) / (RAMP * self._rate)
        gains = np.empty(heard.shape)
        for voice in range(heard.shape[1]):
            changes = np.flatnonzero(np.diff(heard[:, voice])) + 1
            for run in np.split(np.arange(len(heard)), changes):
                gains[run, voice] = np.clip(self._gains[voice] + np.cumsum(steps[run, voice]), 0, 1)
                self._gains[voice] = gains[run[-1], voice]
        return gains

    def _heard_now(self) -> list[int]:
        return np.flatnonzero(self._since < self._hold).tolist()

    def _event(self, voice: int, begins: bool, sample: int) -> Event:
        # That a voice has ended is known when it has been silent for long enough.
        time = sample if begins else sample - self._hold + 1
        return Event(f"s{voice + 1}", "start" if begins else "end", time / self._rate)
