"""Read audio files to their end at any rate, whole or in blocks, whatever their headers say."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from speechbrain_tasnet.audio.audio_file import RESTORE, AudioFile
from speechbrain_tasnet.audio.media_file import MediaAudio
from speechbrain_tasnet.audio.resampling import resample
from speechbrain_tasnet.audio.soundfile_file import SoundFileAudio, UnknownFormatError
from speechbrain_tasnet.audio.sources import Bytes, name_of, open_bytes
from speechbrain_tasnet.errors import InputError

# What becomes of several channels.
CHANNELS = ("mean", "left", "right", "each")
# Far beyond any recording, whose full scale is 1; squares of still larger samples would overflow in a norm.
LOUDEST = 1e6
BLOCK = 2**18  # samples of all channels that are read at once


def open_audio(path: Bytes | AudioFile) -> AudioFile:
    """Open an audio file that holds at least one sample and, as far as its header says, all of them.

    Parameters
    ----------
    path : path-like, bytes or binary file
        Audio file; also a named pipe, or the end of another one as ``/dev/stdin``, which is first copied to a
        file without a name. What a file holds, or one that is open. An `AudioFile` is that already.

    Returns
    -------
    AudioFile
        To be closed, as by ``with``.

    Raises
    ------
    InputError
        The file is missing, is not audio, is cut short, holds no samples, or has a rate above 768 kHz.
    """
    if isinstance(path, AudioFile):
        return path
    file, name = open_bytes(path), name_of(path)
    try:
        if file.seek(0, os.SEEK_END) == 0:
            raise InputError(f"{name}: empty (0 bytes); {RESTORE}")
        try:
            return SoundFileAudio(name, file)
        except UnknownFormatError as unknown:
            return MediaAudio(name, file, unknown)
    except BaseException:
        file.close()
        raise


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
        The file is missing, is not audio, is cut short or holds no samples.
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
        The file is missing, is not audio or holds no samples.
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
        The file is missing, is not audio, is cut short, holds no samples, or holds NaN or infinite ones.
    """
    return _read(path, rate, "mean")[0]


def read_channels(path: Path | str, rate: int) -> np.ndarray:
    """Read all channels of an audio file at one sampling rate.

    Parameters
    ----------
    path, rate
        As for `read_audio`.

    Returns
    -------
    numpy.ndarray
        Samples `[channels, time]`, float32, full scale at 1.

    Raises
    ------
    InputError
        As `read_audio`.
    """
    return _read(path, rate, "each")


def _read(path: Path | str, rate: int, channels: str) -> np.ndarray:
    with open_audio(path) as file:
        samples = np.concatenate(list(read_blocks(file, channels)), axis=1)
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
            raise InputError(f"{file.name}: holds NaN or infinite samples, or some above {LOUDEST:g}; {RESTORE}")
        yield _choose(samples, channels)


def _choose(samples: np.ndarray, channels: str) -> np.ndarray:
    """Choose the wanted channels of samples [time, all channels], and return them as [channels, time]."""
    if channels == "mean":
        return samples.mean(axis=1)[np.newaxis]
    if channels == "each":
        return samples.T
    side = 0 if channels == "left" else min(1, samples.shape[1] - 1)
    return samples[:, side][np.newaxis]
