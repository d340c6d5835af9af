"""One channel of audio on disk: read at any rate, write as 16-bit PCM."""

import re
import wave
from math import ceil, gcd
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import resample_poly

from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.files import new_file

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
FULL_SCALE = 2**15
# Programs that write a wav into a pipe cannot know its size and promise about this much or more.
STREAMED_WAV = 0x7FFF0000
WAY_OUT = "replace the file or delete it"


def audio_length(path: Path | str, rate: int) -> int:
    """Tell from the header how many samples `read_audio` will give.

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
    with _open(path) as file:
        return ceil(file.frames * rate / file.samplerate)


def audio_rate(path: Path | str) -> int:
    """Tell from the header how many samples a second an audio file has.

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
    with _open(path) as file:
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
    with _open(path) as file:
        file_rate = file.samplerate
        try:
            samples = file.read(dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise InputError(f"{path}: cannot be decoded ({_reason(error)}); {WAY_OUT}") from None
        if len(samples) != file.frames:
            raise InputError(f"{path}: cut short, {len(samples)} samples instead of {file.frames}; {WAY_OUT}")
    if not np.isfinite(samples).all():
        raise InputError(f"{path}: holds NaN or infinite samples; {WAY_OUT}")
    return resample(samples.mean(axis=1), file_rate, rate)


def resample(samples: np.ndarray, old_rate: int, new_rate: int) -> np.ndarray:
    """Change the sampling rate.

    Parameters
    ----------
    samples : numpy.ndarray
        Samples `[..., time]`.
    old_rate, new_rate : int
        Hz.

    Returns
    -------
    numpy.ndarray
        Samples `[..., ceil(time * new_rate / old_rate)]`.

    Examples
    --------
    >>> resample(np.zeros((2, 441), np.float32), 44100, 8000).shape
    (2, 80)
    """
    if old_rate == new_rate:
        return samples
    common = gcd(new_rate, old_rate)
    return resample_poly(samples, new_rate // common, old_rate // common, axis=-1)


def write_wav(path: Path | str, samples: np.ndarray, rate: int) -> None:
    """Write one channel as 16-bit PCM; the file appears whole or not at all.

    Parameters
    ----------
    path : path-like
        File to write.
    samples : numpy.ndarray
        Samples `[time]`, full scale at 1.
    rate : int
        Sampling rate in Hz.

    Raises
    ------
    InputError
        A sample lies beyond full scale, or is NaN, or the file cannot be written (`DiskError`).
    """
    peak = float(np.max(np.abs(samples), initial=0.0))
    if not peak <= 1:
        raise InputError(f"{path}: peak {peak:.4g} lies beyond full scale (1); scale the samples down first")
    # 1.0 itself has no 16-bit value.
    pcm = np.minimum(np.round(np.asarray(samples, np.float64) * FULL_SCALE), FULL_SCALE - 1).astype("<i2")
    # Not soundfile, which waits for the disk after every file.
    with new_file(path) as partial, partial.open("wb") as stream, wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm.tobytes())


def _open(path: Path | str) -> soundfile.SoundFile:
    """Open an audio file that holds at least one sample and, as far as its header tells, all of them."""
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file; expected an audio file ({', '.join(AUDIO_SUFFIXES)})")
    try:
        file = soundfile.SoundFile(path)
    except soundfile.LibsndfileError as error:
        raise InputError(f"{path}: cannot be read as audio ({_reason(error)}); {WAY_OUT}") from None
    # libsndfile reads what there is of a wav and only remarks upon the rest in its log.
    size = re.search(r"^data : (\d+) \(should be (\d+)\)", file.extra_info, re.MULTILINE)
    if size and int(size[1]) < STREAMED_WAV:
        file.close()
        raise InputError(f"{path}: cut short, {size[2]} bytes of audio instead of {size[1]}; {WAY_OUT}")
    if file.frames == 0:
        file.close()
        raise InputError(f"{path}: holds no samples; {WAY_OUT}")
    return file


def _reason(error: soundfile.LibsndfileError) -> str:
    """Give libsndfile's reason alone, as part of a sentence."""
    return error.error_string.strip().rstrip(".")
