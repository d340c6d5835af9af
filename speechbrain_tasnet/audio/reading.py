"""Audio files read to their end at any rate, whole or in blocks: what decodes is what there is."""

import math
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import soundfile

from speechbrain_tasnet.audio.formats import AUDIO_SUFFIXES
from speechbrain_tasnet.audio.layout import layout_of
from speechbrain_tasnet.audio.resampling import resample
from speechbrain_tasnet.audio.sources import open_bytes
from speechbrain_tasnet.audio.views import View
from speechbrain_tasnet.errors import InputError

WAY_OUT = "replace the file or delete it"
FFMPEG = "convert it with ffmpeg -i FILE NEW.wav"
# What becomes of several channels.
CHANNELS = ("mean", "left", "right", "each")
# Far beyond any recording, whose full scale is 1; squares of still larger samples would overflow in a norm.
LOUDEST = 1e6
# Beyond what is recorded, and the filters of a resampler would fill gigabytes.
HIGHEST_RATE = 768_000
MOST_FRAMES = 2**50  # more is a number that nobody has counted
BLOCK = 2**18  # samples of all channels that are read at once
# What libsndfile remarks in its log upon files that are cut off, and reads nevertheless.
CUT = re.compile(r"File seems to be truncated|Data length \d+ should be")


class _Stream(soundfile.SoundFile):
    """A stream that is read from its begin to its end."""

    def seekable(self) -> bool:
        """Return False: soundfile would seek after every read to where it is, and in an mp3 that makes a click."""
        return False


class AudioFile:
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
        Whether the file tells how many there are. If not, they are known when all are read. (Of a FLAC whose
        header was damaged more may come.)
    format, subtype : str
        As soundfile calls them.
    """

    def __init__(self, path: Path | str):
        self.name = str(path)
        with ExitStack() as opened:
            self._file = opened.enter_context(open_bytes(path))
            try:
                self._layout = layout_of(self._file, self._file.seek(0, os.SEEK_END))
            except OSError as error:
                raise InputError(f"{self.name}: cannot be read ({error.strerror}); {WAY_OUT}") from None
            self._number, self._read_in_part, self._total = 0, 0, 0
            self._open_part()
            opened.callback(lambda: self._stream.close())
            self.samplerate, self.channels = self._stream.samplerate, self._stream.channels
            self.format, self.subtype = self._stream.format, self._stream.subtype
            self.frames, self.exact = self._promised()
            self._check()
            self._opened = opened.pop_all()

    def __enter__(self) -> "AudioFile":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._opened.close()

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
        while True:
            try:
                samples = self._stream.read(size, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                raise self._broken(error) from None
            if self._view.error is not None:
                raise InputError(f"{self.name}: cannot be read ({self._view.error.strerror}); {WAY_OUT}")
            self._read_in_part += len(samples)
            self._total += len(samples)
            if len(samples):
                return samples
            self._end_part()
            if self._number + 1 == len(self._layout.parts):
                if self._total == 0:
                    raise InputError(f"{self.name}: holds no samples; {WAY_OUT}")
                return samples
            self._number += 1
            self._stream.close()
            self._open_part()
            found = self._stream.samplerate, self._stream.channels
            if found != (self.samplerate, self.channels):
                raise InputError(
                    f"{self.name}: {self.samplerate} Hz and {self.channels} channels, after {self._total} samples "
                    f"{found[0]} Hz and {found[1]}; {FFMPEG}"
                )

    def _open_part(self) -> None:
        part = self._layout.parts[self._number]
        self._view, self._read_in_part = View(self._file, part), 0
        try:
            self._stream = _Stream(self._view)
        except soundfile.LibsndfileError as error:
            raise self._broken(error) from None

    def _promised(self) -> tuple[int, bool]:
        """Return the samples of all parts, and whether so many will come."""
        parts = self._layout.parts
        frames = 0
        for part in parts:
            # What libsndfile says of a file without a count is no count.
            known = part.frames if part.frames is not None else self._stream.frames if len(parts) == 1 else 0
            frames += known if 0 < known < MOST_FRAMES else 0
        return frames, len(parts) == 1 and parts[0].counted and frames > 0

    def _check(self) -> None:
        """Refuse what a header promises and no file keeps."""
        missing = self._layout.missing
        if not missing and (remark := CUT.search(self._stream.extra_info)):
            missing = remark[0]
        if missing:
            raise InputError(f"{self.name}: cut short, {missing}; {WAY_OUT}")
        if self._stream.frames == 0 and len(self._layout.parts) == 1:
            raise InputError(f"{self.name}: holds no samples; {WAY_OUT}")
        if self.samplerate > HIGHEST_RATE:
            raise InputError(f"{self.name}: {self.samplerate} samples a second; expected at most {HIGHEST_RATE}")

    def _end_part(self) -> None:
        """Refuse a part of which less has come than was promised."""
        part = self._layout.parts[self._number]
        promised = part.frames if part.frames is not None else self._stream.frames
        if part.counted and promised < MOST_FRAMES and self._read_in_part < promised:
            raise InputError(
                f"{self.name}: cut short, {self._read_in_part} samples instead of {promised}; {WAY_OUT}"
            )

    def _broken(self, error: soundfile.LibsndfileError) -> InputError:
        """Return what is wrong with a file that is not decoded."""
        begun = hasattr(self, "samplerate")
        if self._layout.missing:
            return InputError(f"{self.name}: cut short, {self._layout.missing}; {WAY_OUT}")
        reason = error.error_string.strip().rstrip(".") or "damaged or cut short"
        if begun:
            return InputError(f"{self.name}: cannot be decoded ({reason}); {WAY_OUT}")
        way_out = WAY_OUT if Path(self.name).suffix.lower() in AUDIO_SUFFIXES else FFMPEG
        return InputError(f"{self.name}: cannot be read as audio ({reason}); {way_out}")


def open_audio(path: Path | str) -> AudioFile:
    """Open an audio file that holds at least one sample and, as far as its header says, all of them.

    Parameters
    ----------
    path : path-like
        Audio file; also a named pipe, or the end of another one as ``/dev/stdin``, which is first copied to a
        file without a name.

    Returns
    -------
    AudioFile
        To be closed, as by ``with``.

    Raises
    ------
    InputError
        The file is missing, is no audio, is cut short, holds no samples, or has a rate above 768 kHz.
    """
    return AudioFile(path)


def audio_length(path: Path | str, rate: int) -> int:
    """Return how many samples `read_audio` will give.

    Where the file does not tell, it is decoded to count them.

    Parameters
    ----------
    path : path-like
        Audio file.
    rate : int
        Sampling rate in Hz that the file will be read at.

    Returns
    -------
    int
        Number of samples at `rate`.

    Raises
    ------
    InputError
        The file is missing, is no audio, is cut short or holds no samples.
    """
    with open_audio(path) as file:
        return math.ceil(count_samples(file) * rate / file.samplerate)


def count_samples(file: AudioFile) -> int:
    """Return the number of samples in each channel of a file that has just been opened, exactly.

    Parameters
    ----------
    file : AudioFile
        As `open_audio` gives it; it is read to its end if it does not tell.

    Raises
    ------
    InputError
        It had to be read, and cannot be decoded.
    """
    if file.exact:
        return file.frames
    size = max(1, BLOCK // file.channels)
    return sum(iter(lambda: len(file.read(size)), 0))


def audio_rate(path: Path | str) -> int:
    """Return how many samples a second an audio file has.

    Parameters
    ----------
    path : path-like
        Audio file.

    Returns
    -------
    int
        Hz.

    Raises
    ------
    InputError
        The file is missing, is no audio or holds no samples.
    """
    with open_audio(path) as file:
        return file.samplerate


def read_audio(path: Path | str, rate: int) -> np.ndarray:
    """Read an audio file as one channel at one sampling rate.

    Parameters
    ----------
    path : path-like
        Audio file of any rate and number of channels; channels are averaged.
    rate : int
        Sampling rate in Hz to resample to.

    Returns
    -------
    numpy.ndarray
        Samples `[time]`, float32, full scale at 1.

    Raises
    ------
    InputError
        The file is missing, is no audio, is cut short, holds no samples, or holds NaN or infinite ones.
    """
    with open_audio(path) as file:
        samples = np.concatenate([block[0] for block in read_blocks(file)])
        return resample(samples, file.samplerate, rate)


def read_blocks(file: AudioFile, channels: str = "mean") -> Iterator[np.ndarray]:
    """Read an audio file that has just been opened.

    Parameters
    ----------
    file : AudioFile
        As `open_audio` gives it.
    channels : str
        ``mean`` of all, the ``left`` or the ``right`` one, or ``each``. A single channel is on either side.

    Yields
    ------
    numpy.ndarray
        Samples `[channels, time]`, float32, full scale at 1.

    Raises
    ------
    InputError
        The file cannot be decoded, is cut short, or holds NaN, infinite or absurdly large samples.
    """
    size = max(1, BLOCK // file.channels)
    while len(samples := file.read(size)):
        if not (np.abs(samples) <= LOUDEST).all():
            raise InputError(f"{file.name}: holds NaN or infinite samples, or some above {LOUDEST:g}; {WAY_OUT}")
        yield _choose(samples, channels)


def _choose(samples: np.ndarray, channels: str) -> np.ndarray:
    """Make of samples [time, all channels] those that are wanted, [channels, time]."""
    if channels == "mean":
        return samples.mean(axis=1)[np.newaxis]
    if channels == "each":
        return samples.T
    side = 0 if channels == "left" else min(1, samples.shape[1] - 1)
    return samples[:, side][np.newaxis]
