"""Recording channels: the band of a telephone, a codec, a microphone's frequency response."""

from collections.abc import Callable
from io import BytesIO

import numpy as np
import scipy
import soundfile

from speechbrain_tasnet.errors import InputError

TELEPHONE = (300.0, 3400.0)  # Hz, the classic band
SLOPE = 1.15  # from the end of a band to where nothing is left
# Codecs by their container and subtype in soundfile.
CODECS = {"mulaw": ("WAV", "ULAW"), "alaw": ("WAV", "ALAW"), "gsm": ("WAV", "GSM610"), "opus": ("OGG", "OPUS")}
OPUS_RATES = (8000, 12000, 16000, 24000, 48000)
OPUS_COMPRESSION = 0.98  # of soundfile's range: about 12 kbit/s
CHANNELS = ("telephone", *CODECS)


def filtered(signals: np.ndarray, rate: int, response: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Filter signals without delay.

    Parameters
    ----------
    signals : numpy.ndarray
        [..., time].
    rate : int
        In Hz.
    response : callable
        From frequencies in Hz, [bins], to gains, [bins] or [..., bins].

    Returns
    -------
    numpy.ndarray
        The same shape and type.

    Examples
    --------
    >>> filtered(np.ones((2, 100), np.float32), 8000, lambda hertz: (hertz > 0) * 1.0).round(3).max()
    np.float32(0.0)
    """
    time = signals.shape[-1]
    size = scipy.fft.next_fast_len(time, real=True)
    gains = response(scipy.fft.rfftfreq(size, 1 / rate)).astype(signals.dtype)
    return scipy.fft.irfft(gains * scipy.fft.rfft(signals, size), size)[..., :time]


def band(signals: np.ndarray, rate: int, low: float, high: float) -> np.ndarray:
    """Keep what lies from ``low`` to ``high`` Hz of signals [..., time], without delay."""
    edges = [low / SLOPE, low, high, high * SLOPE]
    return filtered(signals, rate, lambda hertz: np.interp(hertz, edges, [0.0, 1.0, 1.0, 0.0]))


def coded(samples: np.ndarray, rate: int, codec: str, compression: float = OPUS_COMPRESSION) -> np.ndarray:
    """Send samples through a codec and back, aligned with the original.

    Parameters
    ----------
    samples : numpy.ndarray
        [time]; they are scaled to full scale and back, because a codec's steps are fixed.
    rate : int
        In Hz.
    codec : str
        One of CODECS.
    compression : float
        Of Opus, from 0 to 1.

    Returns
    -------
    numpy.ndarray
        [time], of the same type.

    Raises
    ------
    InputError
        The codec does not know the rate.

    Examples
    --------
    >>> tone = np.sin(np.arange(800) / 5)
    >>> bool(np.abs(coded(tone, 8000, "mulaw") - tone).max() < 0.03)
    True
    """
    if not knows(codec, rate):
        raise InputError(f"{codec} at {rate} Hz: expected one of {', '.join(map(str, OPUS_RATES))} Hz")
    container, subtype = CODECS[codec]
    peak = max(float(np.abs(samples).max()), 1e-9)
    file, level = BytesIO(), compression if codec == "opus" else None
    soundfile.write(file, samples / peak, rate, format=container, subtype=subtype, compression_level=level)
    file.seek(0)
    decoded, _ = soundfile.read(file, dtype=samples.dtype.name, frames=len(samples))
    return peak * decoded


def knows(codec: str, rate: int) -> bool:
    """Return whether a codec takes audio of a rate."""
    return codec != "opus" or rate in OPUS_RATES
