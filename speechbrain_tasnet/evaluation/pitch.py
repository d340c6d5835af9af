"""The pitch of voices, which tells two men from a man and a woman where no metadata do."""

import numpy as np

LOW_HZ, HIGH_HZ = 60, 400
FRAME, STEP = 0.05, 0.02  # seconds; three periods of the lowest voice
VOICED = 0.5  # of its power that a frame must repeat a period later
LOUD = 0.1  # of the mean power, or there is nobody in the frame
# Men speak below, women and children above; a few do otherwise.
BORDER_HZ = 165


def median_pitch(samples: np.ndarray, rate: int) -> float | None:
    """Measure the fundamental frequency of a voice, in the middle of all its voiced frames.

    The period is the lag of the highest peak of the autocorrelation, normalised by the power of both frames that
    are compared, so that a voice that fades looks as periodic as one that does not.

    Parameters
    ----------
    samples : numpy.ndarray
        [time], one voice.
    rate : int
        In Hz.

    Returns
    -------
    float or None
        In Hz; None if no frame is voiced.

    Examples
    --------
    >>> time = np.arange(16000) / 8000
    >>> round(median_pitch(sum(np.cos(2 * np.pi * 125 * k * time) for k in range(2, 9)), 8000))
    125
    """
    size, step = round(FRAME * rate), round(STEP * rate)
    lags = np.arange(round(rate / HIGH_HZ), round(rate / LOW_HZ) + 1)
    starts = np.arange(0, len(samples) - size - lags[-1], step)
    if len(starts) == 0:
        return None
    longer = np.lib.stride_tricks.sliding_window_view(samples, size + lags[-1])[starts]
    power = np.square(longer[:, :size]).sum(1)
    loud = power > LOUD * power.mean()
    longer, power = longer[loud], power[loud]
    padded = 2 * (size + lags[-1])
    spectrum = np.fft.rfft(longer[:, :size], padded).conj() * np.fft.rfft(longer, padded)
    products = np.fft.irfft(spectrum)[:, lags]
    energy = np.cumsum(np.square(longer), axis=1)
    later = energy[:, lags + size - 1] - energy[:, lags - 1]
    likeness = products / np.sqrt(power[:, None] * later + 1e-20)
    voiced = likeness.max(1) > VOICED if len(likeness) else np.zeros(0, bool)
    if not voiced.any():
        return None
    # Of equally good lags the shortest: multiples of a period fit as well as the period.
    good = likeness[voiced] > 0.9 * likeness[voiced].max(1, keepdims=True)
    first = good.argmax(1)
    return float(np.median(rate / lags[_peak(likeness[voiced], first)]))


def _peak(likeness: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Climb from where a peak begins to its top."""
    places, rows = first.copy(), np.arange(len(likeness))
    for _ in range(likeness.shape[1]):
        following = np.minimum(places + 1, likeness.shape[1] - 1)
        higher = likeness[rows, following] > likeness[rows, places]
        if not higher.any():
            break
        places[higher] = following[higher]
    return places


def voices_of(targets: np.ndarray, rate: int) -> str | None:
    """Return whether the voices of a mixture are ``low``, ``high`` or ``low and high``.

    Parameters
    ----------
    targets : numpy.ndarray
        [time, C].
    rate : int
        In Hz.

    Returns
    -------
    str or None
        None if one of them has no pitch.
    """
    pitches = [median_pitch(target, rate) for target in targets.T]
    if None in pitches:
        return None
    kinds = {"low" if pitch < BORDER_HZ else "high" for pitch in pitches}
    return " and ".join(sorted(kinds, reverse=True))
