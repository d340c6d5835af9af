"""Samples in memory, read like a file."""

import numpy as np

from speechbrain_tasnet.audio.audio_file import HIGHEST_RATE, AudioFile
from speechbrain_tasnet.audio.pcm import as_float
from speechbrain_tasnet.errors import InputError, whole_number


class SamplesAudio(AudioFile):
    """Samples that are there already.

    Parameters
    ----------
    samples : numpy.ndarray
        `[time]` or `[time, channels]`, as soundfile gives them: floating point with full scale at 1, or PCM of 16
        or 32 bits.
    samplerate : int
        In Hz.

    Raises
    ------
    InputError
        There are none, or they are of another type or shape.

    Example
    -------
    >>> with SamplesAudio(np.zeros((800, 2), np.int16), 8000) as file:
    ...     file.channels, file.frames, len(file.read(500)), len(file.read(500)), len(file.read(500))
    (2, 800, 500, 300, 0)
    """

    name, exact, format = "the samples", True, "memory"

    def __init__(self, samples: np.ndarray, samplerate: int):
        self.samplerate = whole_number("sample_rate", samplerate, maximum=HIGHEST_RATE)
        if samples.ndim not in (1, 2) or 0 in samples.shape:
            raise InputError(f"samples of shape {list(samples.shape)}: expected [time] or [time, channels]")
        if samples.dtype.kind != "f" and samples.dtype not in (np.int16, np.int32):
            raise InputError(f"samples of {samples.dtype}: expected floating point, int16 or int32")
        self.subtype = str(samples.dtype)
        self._samples = samples.reshape(len(samples), -1)
        self.frames, self.channels = self._samples.shape
        self._done = 0

    def close(self) -> None:
        """Do nothing: the samples belong to the caller."""

    def read(self, size: int) -> np.ndarray:
        """Read on, see `AudioFile.read`."""
        taken = self._samples[self._done : self._done + size]
        self._done += len(taken)
        return as_float(taken)
