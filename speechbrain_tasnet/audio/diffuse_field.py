"""A diffuse field: what microphones near each other hear of sound that comes from everywhere.

Habets, Cohen and Gannot, "Generating nonstationary multisensor signals under a spatial coherence constraint",
JASA 2008: as many independent signals as there are microphones are mixed, frequency by frequency, so that any two
of what comes out are as coherent as in a diffuse field, sin(x) / x with x = 2 pi f distance / c.
"""

import numpy as np
import scipy

SPEED_OF_SOUND = 343.0  # m/s
TAPS_SECONDS = 0.032  # of the filters that mix
LEAST = 1e-6  # keeps the coherence of low frequencies, which is nearly 1 everywhere, from being singular


def diffuse_field(independent: np.ndarray, microphones: np.ndarray, rate: int) -> np.ndarray:
    """Mix independent signals into what microphones hear of a diffuse field.

    Parameters
    ----------
    independent : numpy.ndarray
        `[mics, ..., time]`, of equal power.
    microphones : numpy.ndarray
        Their places in metres, `[mics, 3]`.
    rate : int
        Sampling rate in Hz.

    Returns
    -------
    numpy.ndarray
        `[mics, ..., time]`; the first microphone hears the first signal as it is.

    Examples
    --------
    >>> signals = np.random.default_rng(0).normal(size=(2, 8000))
    >>> near = diffuse_field(signals, np.array([[0, 0, 0], [0.01, 0, 0]]), 8000)
    >>> far = diffuse_field(signals, np.array([[0, 0, 0], [9, 0, 0]]), 8000)
    >>> bool(np.corrcoef(near)[0, 1] > 0.9), bool(abs(np.corrcoef(far)[0, 1]) < 0.1)
    (True, True)
    """
    half = round(TAPS_SECONDS * rate / 2)
    frequencies = np.fft.rfftfreq(2 * half, 1 / rate)[:, np.newaxis, np.newaxis]
    distances = np.linalg.norm(microphones[:, np.newaxis] - microphones, axis=-1)
    coherence = np.sinc(2 * frequencies * distances / SPEED_OF_SOUND)
    mixing = np.linalg.cholesky((1 - LEAST) * coherence + LEAST * np.eye(len(microphones)))
    # Real in frequency, so symmetric in time; the window smooths what Cholesky's corners would ring with.
    filters = np.fft.fftshift(np.fft.irfft(mixing, axis=0), axes=0) * np.hanning(2 * half + 1)[:-1, None, None]
    heard = np.empty_like(independent, dtype=float)
    heard[0] = independent[0]
    for microphone in range(1, len(microphones)):
        parts = zip(independent[: microphone + 1], filters[:, microphone].T, strict=False)
        heard[microphone] = sum(_filtered(signal, taps) for signal, taps in parts)
    return heard


def independent_of(signal: np.ndarray, count: int, rate: int, rng: np.random.Generator) -> np.ndarray:
    """Make signals that sound as one does and have nothing else to do with it: its spectrum in other phases.

    Parameters
    ----------
    signal : numpy.ndarray
        `[time]`.
    count : int
        How many to make.
    rate : int
        Sampling rate in Hz.
    rng : numpy.random.Generator
        Draws the phases.

    Returns
    -------
    numpy.ndarray
        `[count, time]`, each of the power of the signal.
    """
    half = round(TAPS_SECONDS * rate / 2)
    phases = rng.uniform(0, 2 * np.pi, (count, half + 1))
    made = [_filtered(signal, taps) for taps in np.fft.irfft(np.exp(1j * phases))]
    powers = np.mean(np.square(made), axis=-1, keepdims=True) if count else np.ones((0, 1))
    return np.reshape(made, (count, signal.size)) * np.sqrt(np.mean(signal**2) / np.maximum(powers, 1e-30))


def _filtered(signal: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """Filter signals `[..., time]` without delay."""
    half = len(taps) // 2
    taps = taps.reshape((1,) * (signal.ndim - 1) + (-1,))
    return scipy.signal.oaconvolve(signal, taps, axes=-1)[..., half : half + signal.shape[-1]]
