"""Background noise for mixtures, as loud as in WHAM!."""

from collections.abc import Collection, Sequence
from math import sqrt
from pathlib import Path

import numpy as np

from speechbrain_tasnet.audio.speech_level import NOISE_SNR_DB
from speechbrain_tasnet.data.dynamic_mixing.recordings import Recordings
from speechbrain_tasnet.data.folders.noise import training_noise
from speechbrain_tasnet.errors import InputError


class Noise:
    """The recordings of noise in a folder, see `folders.noise.training_noise`.

    Parameters
    ----------
    folder : path-like
        Audio files of any rate and number of channels.
    rate : int
        Sampling rate in Hz of what is drawn.
    snr : tuple of float
        Range of the first speaker's level above it, in dB; by default as in WHAM!.
    exclude : collection of str
        Recordings to leave out, see `training_noise`.

    Raises
    ------
    InputError
        The folder is missing or holds no audio to train on, or a file in it cannot be used.
    """

    def __init__(
        self,
        folder: Path | str,
        rate: int,
        snr: Sequence[float] = NOISE_SNR_DB,
        exclude: Collection[str] = (),
    ):
        if len(snr) != 2 or not -100 <= snr[0] <= snr[1] <= 100:
            raise InputError(f"noise_snr={list(snr)}: expected two levels in dB, such as [-3, 6]")
        self._snr = snr
        self._recordings = Recordings(training_noise(folder, exclude), rate, _mean_power)

    def draw(self, size: int, speech_power: float, rng: np.random.Generator) -> np.ndarray:
        """Draw a stretch of noise, and how far it is below the speech.

        Parameters
        ----------
        size : int
            Samples wanted; a recording that is shorter begins again.
        speech_power : float
            Active level of the first speaker; the noise's is the mean power of the stretch.
        rng : numpy.random.Generator
            Draws.

        Returns
        -------
        numpy.ndarray
            Noise `[size]`, float32.

        Raises
        ------
        InputError
            The file drawn is silent, or can no longer be read.
        """
        noise = self._recordings.cut(int(rng.integers(len(self._recordings.paths))), size, rng)
        noise = np.resize(noise, size)
        below = 10 ** (-rng.uniform(*self._snr) / 10)
        return noise * sqrt(speech_power * below / _mean_power(noise))


def _mean_power(samples: np.ndarray, rate: int | None = None) -> float:
    """Measure the mean power of samples; how fast they come does not matter."""
    return float(np.mean(np.square(samples, dtype=np.float64)))
