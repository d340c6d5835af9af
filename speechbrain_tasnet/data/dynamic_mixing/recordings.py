"""Recordings known by their headers, read a stretch at a time, where there is something to hear."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from fractions import Fraction
from functools import lru_cache
from math import ceil, isnan
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import torch

from speechbrain_tasnet.audio.audio_file import WAY_OUT
from speechbrain_tasnet.audio.pcm import full_scale
from speechbrain_tasnet.audio.random_access import system_name
from speechbrain_tasnet.audio.reading import count_samples, open_audio, read_audio
from speechbrain_tasnet.data.skipping import blaming
from speechbrain_tasnet.data.speed import resampler
from speechbrain_tasnet.errors import InputError

THREADS = 16  # what a slow disk needs to be kept busy; a fast one does not mind
QUIET = 0.1  # of a recording's level: the mean power that a stretch must have
TRIES = 8
# 44100 Hz at speed 0.95 is 8379 : 1600 of 8 kHz; the filters of such a ratio fill megabytes.
LARGEST_DENOMINATOR = 500


class Header(NamedTuple):
    """What is known about a file before a stretch of it is read."""

    rate: int  # Hz
    frames: int  # samples in each channel
    offset: int | None  # where they begin, if they are mono 16-bit PCM in a wav
    from_begin: bool  # whether it must be read from its beginning, because it does not say how long it is


class Recordings:
    """Audio files, heard at one sampling rate.

    Levels are measured when they are first needed. They are in shared memory, so that the processes of a
    loader, which may live for one epoch only, measure each file once.

    Parameters
    ----------
    paths : sequence of Path
        Audio files of any rate and number of channels; channels are averaged.
    rate : int
        Sampling rate in Hz of what is read.
    measure : callable
        From samples [time] and rate to the power of a whole file, 0 if it is silent.

    Raises
    ------
    InputError
        A file is missing, is not audio or holds no samples.
    """

    def __init__(self, paths: Sequence[Path], rate: int, measure: Callable[[np.ndarray, int], float]):
        self.paths, self.rate, self._measure = list(paths), rate, measure
        with ThreadPoolExecutor(THREADS) as pool:
            self._headers = list(pool.map(_read_header, self.paths))
        self._levels = torch.full((len(self.paths),), torch.nan, dtype=torch.float64).share_memory_()

    def seconds(self, number: int) -> float:
        """Return how long a recording is."""
        return self._headers[number].frames / self._headers[number].rate

    def level(self, number: int) -> float:
        """Return the power of a recording.

        Raises
        ------
        BadItemError
            It is silent, or cannot be read as a whole.
        """
        level = float(self._levels[number])
        if isnan(level):
            with self._blaming(number):
                level = self._measure(read_audio(self.paths[number], self.rate), self.rate)
                if not level > 0:
                    raise InputError(f"{self.paths[number]}: silent; delete the file")
            self._levels[number] = level
        return level

    def cut(self, number: int, size: int, rng: np.random.Generator, speed: float = 1.0) -> np.ndarray:
        """Read a stretch at a random place, though not in a long pause.

        Parameters
        ----------
        number : int
            Which recording.
        size : int
            Samples wanted.
        rng : numpy.random.Generator
            Draws the place.
        speed : float
            How fast it is played: pitch and tempo rise with it.

        Returns
        -------
        numpy.ndarray
            Samples `[size]`, float32, full scale at 1; all there is where the recording is shorter.

        Raises
        ------
        BadItemError
            The file is silent, or can no longer be read.
        """
        floor = QUIET * self.level(number)
        path, header = self.paths[number], self._headers[number]
        old, new = _ratio(header.rate, self.rate, speed)
        wanted = ceil(size * old / new)
        with self._blaming(number):
            if header.frames <= wanted:
                samples = _read_whole(path, header)
            else:
                for _ in range(TRIES):
                    samples = _read(path, header, int(rng.integers(header.frames - wanted + 1)), wanted)
                    if floor * wanted <= np.dot(samples, samples) < np.inf:
                        break
                else:
                    samples = _audible(_read_whole(path, header), wanted, rng)
        if old != new:
            samples = resampler(old, new)(torch.from_numpy(samples)).numpy()
        return samples[:size]

    def part(self, number: int, start: int, size: int, speed: float = 1.0) -> np.ndarray:
        """Read a stretch at a given place, whatever is heard there.

        Parameters
        ----------
        number : int
            Which recording.
        start, size : int
            Samples before it and in it, of what is heard.
        speed : float
            How fast it is played.

        Returns
        -------
        numpy.ndarray
            Samples `[size]`, float32, full scale at 1; fewer where the recording ends.

        Raises
        ------
        BadItemError
            The file can no longer be read.
        """
        path, header = self.paths[number], self._headers[number]
        old, new = _ratio(header.rate, self.rate, speed)
        first = min(start * old // new, header.frames)
        count = min(ceil(size * old / new), header.frames - first)
        if count <= 0:
            return np.zeros(0, np.float32)
        with self._blaming(number):
            samples = _read(path, header, first, count)
        if old != new:
            samples = resampler(old, new)(torch.from_numpy(samples)).numpy()
        return samples[:size]

    def _blaming(self, number: int) -> AbstractContextManager[None]:
        return blaming(str(self.paths[number]))


def _read_header(path: Path) -> Header:
    """Read what `Header` holds."""
    with open_audio(path) as file:
        plain = (file.format, file.subtype, file.channels) == ("WAV", "PCM_16", 1)
        return Header(file.samplerate, count_samples(file), _data_offset(path) if plain else None, not file.exact)


def _data_offset(path: Path) -> int | None:
    """Find the byte at which the samples of a wav begin, if they have the byte order of a processor of today."""
    with path.open("rb") as file:
        if file.read(4) != b"RIFF":
            return None
        file.seek(12)
        while (chunk := file.read(8))[:4] != b"data":
            if len(chunk) < 8:
                return None
            size = int.from_bytes(chunk[4:], "little")
            file.seek(size + size % 2, os.SEEK_CUR)
        return file.tell()


def _read(path: Path, header: Header, start: int, count: int) -> np.ndarray:
    """Read samples at the file's own rate: float32, full scale at 1."""
    try:
        if header.from_begin:
            samples = read_audio(path, header.rate)[start : start + count]
        elif header.offset is None:
            samples, _ = soundfile.read(system_name(path), count, start, dtype="float32", always_2d=True)
            samples = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)
        else:
            # Four times as fast as through the library.
            with open(path, "rb", buffering=0) as file:
                if file.read(4) != b"RIFF":
                    raise InputError(f"{path}: overwritten, no longer a wav; {WAY_OUT}")
                file.seek(header.offset + 2 * start)
                pcm = np.frombuffer(file.read(2 * count), "<i2")
            samples = np.multiply(pcm, 1 / full_scale(), dtype=np.float32)
    except (soundfile.LibsndfileError, OSError) as error:
        raise unreadable(path, error) from None
    if len(samples) != count:
        raise InputError(f"{path}: cut short, no samples after {start + len(samples)}; {WAY_OUT}")
    return samples


def _read_whole(path: Path, header: Header) -> np.ndarray:
    """Read all samples, of which some must be heard: the level may have been measured on better ones."""
    samples = _read(path, header, 0, header.frames)
    if not 0 < np.dot(samples, samples) < np.inf:
        raise InputError(f"{path}: silent, or holds NaN or infinite samples; {WAY_OUT}")
    return samples


def unreadable(path: Path, error: soundfile.LibsndfileError | OSError) -> InputError:
    """Return what is wrong with a file.

    Parameters
    ----------
    path : Path
        The file.
    error : LibsndfileError or OSError
        What reading it has raised.

    Returns
    -------
    InputError
        To be raised.
    """
    if not path.exists():
        return InputError(f"{path}: the file is gone; restore it, or start again without it")
    reason = error.error_string.strip(" .") if isinstance(error, soundfile.LibsndfileError) else error.strerror
    return InputError(f"{path}: cannot be read as audio ({reason}); {WAY_OUT}")


def _audible(samples: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Cut out one of the stretches that hold a tenth or more of the energy of the one that holds most."""
    energy = np.concatenate([[0.0], np.cumsum(samples.astype(np.float64) ** 2)])
    energy = energy[size:] - energy[:-size]
    start = rng.choice(np.flatnonzero(energy >= QUIET * energy.max()))
    return samples[start : start + size]


@lru_cache
def _ratio(old_rate: int, new_rate: int, speed: float) -> tuple[int, int]:
    """Return how many samples of a file become how many of what is heard."""
    return Fraction(old_rate * speed / new_rate).limit_denominator(LARGEST_DENOMINATOR).as_integer_ratio()
