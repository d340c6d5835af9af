"""Channels drawn for training items: microphones, a telephone's band, codecs."""

import numpy as np

from speechbrain_tasnet.audio.channels import CODECS, band, coded, filtered, knows

# A microphone and its distance: up to this many decibels up or down at frequencies an octave apart.
TILT_DB = 4.0
OCTAVES = 62.5 * 2.0 ** np.arange(10)  # Hz
LOW_HZ, HIGH_HZ = (150, 400), (2800, 3700)  # where a telephone's band begins and ends
OPUS_COMPRESSION = (0.95, 0.98)  # 20 to 12 kbit/s; below, little of the waveform is left that SI-SNR could compare
# Share of the items that come through a band, and share that come through a codec. Without what lies below 300 Hz
# a network has to learn who is who again; codecs it learns on the way.
BAND_SHARE, CODEC_SHARE = 0.75, 0.5


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
        self.codecs = [codec for codec in CODECS if knows(codec, rate)]

    def voices(self, sources: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Pass each of ``sources`` [C, time] through a microphone of its own."""
        gains = rng.uniform(-TILT_DB, TILT_DB, (len(sources), len(OCTAVES)))

        def response(hertz: np.ndarray) -> np.ndarray:
            octave = np.log2(np.maximum(hertz, OCTAVES[0]) / OCTAVES[0])
            return 10 ** (np.stack([np.interp(octave, range(len(OCTAVES)), gain) for gain in gains]) / 20)

        return filtered(sources, self.rate, response)

    def together(self, signals: np.ndarray, rng: np.random.Generator, mics: int = 1) -> np.ndarray:
        """Pass mixture and sources, ``signals`` [mics + C, time], through a telephone's band or a codec."""
        if rng.random() < BAND_SHARE:
            signals = band(signals, self.rate, rng.uniform(*LOW_HZ), rng.uniform(*HIGH_HZ))
        if rng.random() < CODEC_SHARE:
            codec = self.codecs[rng.integers(len(self.codecs))]
            compression = rng.uniform(*OPUS_COMPRESSION)
            for heard in signals[:mics]:
                heard[:] = coded(heard, self.rate, codec, compression)
        return signals
