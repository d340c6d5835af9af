"""Audio files read at any rate, whole or in blocks."""

import re
from collections.abc import Iterator
from math import ceil
from pathlib import Path

import numpy as np
import soundfile

from speechbrain_tasnet.audio.resampling import resample
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.system import lfs

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
# Programs that write a wav into a pipe cannot know its size and promise about this much or more.
STREAMED_WAV = 0x7FFF0000
WAY_OUT = "replace the file or delete it"
# What becomes of several channels.
CHANNELS = ("mean", "left", "right", "each")
# Far beyond any recording, whose full scale is 1; squares of still larger samples would overflow in a norm.
LOUDEST = 1e6
# Beyond what is recorded, and the filters of a resampler would fill gigabytes.
HIGHEST_RATE = 768_000
BLOCK = 2**18  # samples of all channels that are read at once


class AudioFile(soundfile.SoundFile):
    """An audio file that is read from its begin to its end."""

    def seekable(self) -> bool:
        """Return False: soundfile would seek after every read to where it is, and in an mp3 that makes a click."""
        return False


def open_audio(path: Path | str) -> AudioFile:
    """Open an audio file that holds at least one sample and, as far as its header says, all of them.

    Parameters
    ----------
    path : path-like
        Audio file.

    Returns
    -------
    AudioFile
        To be closed, as by ``with``.

    Raises
    ------
    InputError
        The file is missing, is no audio, is cut short, holds no samples, or has a rate above 768 kHz.
    """
    if not Path(path).is_file():
        kind = "a folder" if Path(path).is_dir() else "no such file"
        raise InputError(f"{path}: {kind}; expected an audio file ({', '.join(AUDIO_SUFFIXES)})")
    try:
        file = AudioFile(str(path))
    except soundfile.LibsndfileError as error:
        if lfs.is_pointer(path):
            raise InputError(f"{path}: {lfs.WAY_OUT}") from None
        raise InputError(f"{path}: cannot be read as audio ({_reason(error)}); {WAY_OUT}") from None
    except TypeError:  # soundfile believes the suffix .raw
        raise InputError(f"{path}: samples without a header; convert the file to wav") from None
    try:
        _check_header(file)
    except InputError:
        file.close()
        raise
    return file


def _check_header(file: AudioFile) -> None:
    """Refuse what a header promises and no file keeps."""
    # libsndfile reads what there is of a wav and only remarks upon the rest in its log.
    size = re.search(r"^data : (\d+) \(should be (\d+)\)", file.extra_info, re.MULTILINE)
    if size and int(size[1]) < STREAMED_WAV:
        raise InputError(f"{file.name}: cut short, {size[2]} bytes of audio instead of {size[1]}; {WAY_OUT}")
    if file.frames == 0:
        raise InputError(f"{file.name}: holds no samples; {WAY_OUT}")
    if file.samplerate > HIGHEST_RATE:
        raise InputError(f"{file.name}: {file.samplerate} samples a second; expected at most {HIGHEST_RATE}")


def audio_length(path: Path | str, rate: int) -> int:
    """Return how many samples `read_audio` will give.

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
        The file is missing, is no audio or holds no samples.
    """
    with open_audio(path) as file:
        return ceil(file.frames * rate / file.samplerate)


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
    start = 0
    size = max(1, BLOCK // file.channels)
    while start < file.frames:
        try:
            samples = file.read(size, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise InputError(f"{file.name}: cannot be decoded ({_reason(error)}); {WAY_OUT}") from None
        if len(samples) < min(size, file.frames - start):
            raise InputError(
                f"{file.name}: cut short, {start + len(samples)} samples instead of {file.frames}; {WAY_OUT}"
            )
        if not (np.abs(samples) <= LOUDEST).all():
            raise InputError(f"{file.name}: holds NaN or infinite samples, or some above {LOUDEST:g}; {WAY_OUT}")
        start += len(samples)
        yield _choose(samples, channels)


def _choose(samples: np.ndarray, channels: str) -> np.ndarray:
    """Make of samples [time, all channels] those that are wanted, [channels, time]."""
    if channels == "mean":
        return samples.mean(axis=1)[np.newaxis]
    if channels == "each":
        return samples.T
    side = 0 if channels == "left" else min(1, samples.shape[1] - 1)
    return samples[:, side][np.newaxis]


def _reason(error: soundfile.LibsndfileError) -> str:
    """Return libsndfile's reason alone, as part of a sentence."""
    return error.error_string.strip().rstrip(".")
