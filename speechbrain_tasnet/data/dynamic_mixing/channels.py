"""What lies between people and a recording: their microphones, a telephone's band, a codec."""

from collections.abc import Callable
from io import BytesIO

import numpy as np
import soundfile
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq

# A microphone and how far away it is: so many decibels up or down at frequencies an octave apart.
TILT_DB = 4.0
OCTAVES = 62.5 * 2.0 ** np.arange(10)  # Hz
# Where a telephone's band begins and ends; 300 to 3400 Hz is the classic one.
LOW_HZ, HIGH_HZ = (150, 400), (2800, 3700)
SLOPE = 1.15  # from the end of the band to where nothing is left
HALF = 0.5  # of the items come through a band, and half through a codec

# Codecs by format, subtype and compression of soundfile. Opus from about 20 down to 12 kbit/s: below, little of
# the waveform is left that SI-SNR could compare. It knows these rates only.
CODECS = (("WAV", "ULAW", None), ("WAV", "ALAW", None), ("WAV", "GSM610", None), ("OGG", "OPUS", (0.95, 0.98)))
OPUS_RATES = (8000, 12000, 16000, 24000, 48000)


class Channels:
    """Draws what sources and their mixture have come through.

    Each voice has its microphone, a smooth equaliser, and all of them may share the band of a telephone: both are
    part of the sources, too, which still add up to the mixture. A codec spoils the mixture alone: what it adds
    is to be separated from the voices, as noise is.

    Parameters
    ----------
    rate : int
        Sampling rate in Hz.

    Examples
    --------
    >>> sources = np.random.default_rng(0).normal(size=(2, 8000)).astype(np.float32)
    >>> Channels(8000).voices(sources, np.random.default_rng(1)).shape
    (2, 8000)
    """

    def __init__(self, rate: int):
        self.rate = rate
        self._codecs = [codec for codec in CODECS if codec[1] != "OPUS" or rate in OPUS_RATES]

    def voices(self, sources: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Let each of ``sources`` [C, time] go through a microphone of its own."""
        gains = rng.uniform(-TILT_DB, TILT_DB, (len(sources), len(OCTAVES)))

        def response(hertz: np.ndarray) -> np.ndarray:
            octave = np.log2(np.maximum(hertz, OCTAVES[0]) / OCTAVES[0])
            return 10 ** (np.stack([np.interp(octave, range(len(OCTAVES)), gain) for gain in gains]) / 20)

        return self._filtered(sources, response)

    def together(self, signals: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Let a mixture and its sources, ``signals`` [1 + C, time], go through a telephone's band or a codec."""
        if rng.random() < HALF:
            low, high = rng.uniform(*LOW_HZ), rng.uniform(*HIGH_HZ)

            def response(hertz: np.ndarray) -> np.ndarray:
                edges = [low / SLOPE, low, high, high * SLOPE]
                return np.interp(hertz, edges, [0.0, 1.0, 1.0, 0.0])

            signals = self._filtered(signals, response)
        if rng.random() < HALF:
            signals[0] = self._coded(signals[0], rng)
        return signals

    def _filtered(self, signals: np.ndarray, response: Callable) -> np.ndarray:
        """Filter without delay, by the gain that ``response`` gives to frequencies."""
        time = signals.shape[1]
        size = next_fast_len(time, real=True)
        gains = response(rfftfreq(size, 1 / self.rate)).astype(np.float32)
        return irfft(gains * rfft(signals, size), size)[:, :time]

    def _coded(self, samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Send samples through a codec, which none of those here delays."""
        container, codec, compression = self._codecs[rng.integers(len(self._codecs))]
        level = None if compression is None else rng.uniform(*compression)
        peak = max(float(np.abs(samples).max()), 1e-9)  # a codec's steps are fixed
        file = BytesIO()
        soundfile.write(file, samples / peak, self.rate, format=container, subtype=codec, compression_level=level)
        file.seek(0)
        decoded, _ = soundfile.read(file, dtype="float32", frames=len(samples))
        return peak * decoded
