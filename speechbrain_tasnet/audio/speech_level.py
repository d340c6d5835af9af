"""The level of speech while someone speaks: the active speech level of ITU-T P.56."""

from functools import cache
from math import acosh, atan, ceil, cosh, exp, pi, sqrt, tan

import numpy as np
import scipy

# P.56, method B: an envelope smoothed twice, its pauses shorter than the hangover bridged, and the level which
# lies the margin above the threshold between its speech and its pauses.
TIME_CONSTANT = 0.03  # seconds
HANGOVER = 0.2  # seconds
MARGIN = 15.9  # dB
BINS = 20  # thresholds, each half the power of the one before: 60 dB

# The band in which P.56 listens. The order and shape of the filters are those of voicebox.
LOW, HIGH = 200, 5500  # Hz
ORDER, PASS_LOSS, STOP_LOSS = 5, 0.25, 50.0  # dB at the band's edge and beyond it
# So much longer than the hangover that the envelope has died away, too.
TAIL = 0.35  # seconds

# How loud the parts of a mixture are, wherever one is made.
MAX_GAIN_DB = 2.5  # MERL's lists: the first speaker is 0 to 5 dB above the last
NOISE_SNR_DB = (-3.0, 6.0)  # the first speaker above the noise, as the scripts of WHAM! draw it, though in LUFS
PEAK = 0.9  # of the loudest signal


def active_level(samples: np.ndarray, rate: int) -> float:
    """Measure the mean power of speech where it is active: ITU-T P.56 (12/2011), method B.

    The level is the energy over the time at which the envelope lies above a threshold or did so in the last
    0.2 s; the threshold is the one that lies 15.9 dB below that level. The energy is that between 200 Hz and
    5.5 kHz. As the `activlev` of voicebox does, by which MERL levelled wsj0-mix, silence is appended, so that
    the pause at the end counts like any other.

    Parameters
    ----------
    samples : numpy.ndarray
        Speech `[time]`.
    rate : int
        Sampling rate in Hz, at least 1000.

    Returns
    -------
    float
        Power, the square of the samples' unit; 0 if they are all zero or none.

    Examples
    --------
    >>> tone = np.sin(2 * np.pi * 1000 * np.arange(80000) / 8000)
    >>> round(active_level(tone, rate=8000), 2)
    0.49
    >>> pause = np.zeros(80000)
    >>> round(active_level(np.concatenate([pause, tone, pause]), rate=8000), 2)
    0.49
    """
    speech = _in_band(np.concatenate([samples, np.zeros(ceil(TAIL * rate))]), rate)
    energy = float(np.sum(speech**2))  # BLAS would wake its threads
    if not energy > 0:
        return 0.0
    top, active = _activity(_envelope(speech, rate), rate)
    levels = 10 * np.log10(energy / active)
    thresholds = 10 * np.log10(2) * (top - np.arange(BINS))
    return float(10 ** (_level_at_margin(levels, levels - thresholds) / 10))


def _activity(envelope: np.ndarray, rate: int) -> tuple[int, np.ndarray]:
    """Count the active samples at each threshold `2 ** (top - bin)` of the envelope's power, `[BINS]`."""
    _, exponent = np.frexp(envelope**2 + np.finfo(float).tiny)  # power lies in 2 ** [exponent - 1, exponent)
    window = ceil(HANGOVER * rate) + 1
    held = scipy.ndimage.maximum_filter1d(exponent, window, mode="nearest", origin=(window - 1) // 2)
    top = int(held.max())
    active = np.cumsum(np.bincount(np.minimum(top - held, BINS - 1), minlength=BINS))
    return top - 1, active


def _level_at_margin(levels: np.ndarray, above: np.ndarray) -> float:
    """Find the level, in dB, that lies `MARGIN` above its threshold, between two bins by a straight line."""
    short = above - MARGIN
    crossings = np.flatnonzero((short[:-1] < 0) & (short[1:] >= 0))
    if len(crossings) == 0:
        # A click is above every threshold of its envelope; below all of them is a whisper of minutes after one.
        return float(levels[-1] if short[-1] <= 0 else levels[0])
    i = crossings[0]
    return float(levels[i] + (levels[i + 1] - levels[i]) * short[i] / (short[i] - short[i + 1]))


def _envelope(speech: np.ndarray, rate: int) -> np.ndarray:
    """Smooth the magnitude by two exponential means, one after the other."""
    decay = exp(-1 / (TIME_CONSTANT * rate))
    return scipy.signal.lfilter([(1 - decay) ** 2], [1, -2 * decay, decay**2], np.abs(speech))


def _in_band(samples: np.ndarray, rate: int) -> np.ndarray:
    """Filter out what lies outside 200 Hz to 5.5 kHz; at low rates there is nothing above."""
    return scipy.signal.sosfilt(_band(rate), samples)


@cache
def _band(rate: int) -> np.ndarray:
    """Design the filters: Chebyshev type II, the loss at the band's edges and beyond them as given."""
    # The stopband's edge over the passband's, on the axis tan(pi f / rate) of the bilinear transform.
    width = cosh(acosh(sqrt((10 ** (STOP_LOSS / 10) - 1) / (10 ** (PASS_LOSS / 10) - 1))) / ORDER)
    stop = rate / pi * atan(tan(pi * LOW / rate) / width)
    sections = [scipy.signal.cheby2(ORDER, STOP_LOSS, stop, "highpass", fs=rate, output="sos")]
    if rate >= 2.2 * HIGH:
        stop = rate / pi * atan(tan(pi * HIGH / rate) * width)
        sections.append(scipy.signal.cheby2(ORDER, STOP_LOSS, stop, "lowpass", fs=rate, output="sos"))
    return np.concatenate(sections)
