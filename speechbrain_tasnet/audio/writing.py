"""Audio files written as one channel of 16-bit PCM."""

import wave
from pathlib import Path

import numpy as np

from speechbrain_tasnet.audio.pcm import quantize
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.system.files import new_file


def write_wav(path: Path | str, samples: np.ndarray, rate: int) -> None:
    """Write 16-bit PCM; the file appears whole or not at all.

    Parameters
    ----------
    path : path-like
        File to write.
    samples : numpy.ndarray
        Samples `[time]` or `[time, channels]`, full scale at 1.
    rate : int
        Sampling rate in Hz.

    Raises
    ------
    InputError
        A sample is beyond full scale, or is NaN, or the file cannot be written (`DiskError`).
    """
    peak = float(np.max(np.abs(samples), initial=0.0))
    if not peak <= 1:
        raise InputError(f"{path}: peak {peak:.4g} is beyond full scale (1); scale the samples down first")
    write_pcm(path, quantize(np.asarray(samples)), rate)


def write_pcm(path: Path | str, samples: np.ndarray, rate: int) -> None:
    """Write samples that are integers already; the file appears whole or not at all.

    Parameters
    ----------
    path : path-like
        File to write.
    samples : numpy.ndarray
        Integers `[time]` or `[time, channels]` of 16 bits.
    rate : int
        Sampling rate in Hz.

    Raises
    ------
    DiskError
        The file cannot be written.
    """
    # Not soundfile, which waits for the disk after every file.
    with new_file(path) as partial, partial.open("wb") as stream, wave.open(stream, "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
