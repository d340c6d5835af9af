"""What an open audio file is, whatever decodes it."""

from abc import ABC, abstractmethod

import numpy as np

from speechbrain_tasnet.errors import InputError

FFMPEG = "convert it with ffmpeg -i FILE NEW.wav"
# What to do about a file, which may be somebody's only recording.
RESTORE = "restore it from a copy, or leave it out"
RESCUE = "restore it from a copy, or save what can be read with ffmpeg -i FILE NEW.wav"
CHECK = "check whether it is the right file, and complete"
# And about one of a corpus, which must not stay in it as it is.
WAY_OUT = "replace the file or delete it"
# Beyond what is recorded, and the filters of a resampler would fill gigabytes.
HIGHEST_RATE = 768_000


class AudioFile(ABC):
    """An audio file that is read once, from its begin to its end.

    Attributes
    ----------
    name : str
        As it was given, for messages.
    samplerate : int
        Hz.
    channels : int
        How many there are.
    frames : int
        Samples in each channel: all that will come, or an error, where `exact` is true; otherwise an estimate, 0
        where there is none.
    exact : bool
        Whether the file says how many there are. If not, they are known when all are read. (Of a FLAC whose
        header was damaged more may come.)
    format, subtype : str
        As soundfile calls them; of others as FFmpeg does.
    """

    name: str
    samplerate: int
    channels: int
    frames: int
    exact: bool
    format: str
    subtype: str

    def __enter__(self) -> "AudioFile":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Close the file."""

    @abstractmethod
    def read(self, size: int) -> np.ndarray:
        """Read on.

        Parameters
        ----------
        size : int
            Samples wanted of each channel.

        Returns
        -------
        numpy.ndarray
            Samples `[time, channels]`, float32, full scale at 1; fewer than wanted at the end of a stream, none at
            the end of the file.

        Raises
        ------
        InputError
            The file cannot be decoded or is cut short.
        """

    def _check_rate(self) -> None:
        """Refuse a rate that nothing is recorded at."""
        if self.samplerate > HIGHEST_RATE:
            raise InputError(f"{self.name}: {self.samplerate} samples per second; expected at most {HIGHEST_RATE}")

    def _check_same(self, samplerate: int, channels: int, done: int) -> None:
        """Refuse a file that changes its rate or channels after ``done`` samples."""
        if (samplerate, channels) != (self.samplerate, self.channels):
            raise InputError(
                f"{self.name}: {self.samplerate} Hz and {self.channels} channels, after {done} samples "
                f"{samplerate} Hz and {channels}; {FFMPEG}"
            )
