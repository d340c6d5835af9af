"""Resample a signal, at once or, if it comes in blocks, without seams."""

from collections.abc import Iterable, Iterator
from math import gcd

import numpy as np
import scipy

# What scipy's `resample_poly` takes for a whole signal: zero crossings on either side, and the window's shape.
ZERO_CROSSINGS = 10
WINDOW = ("kaiser", 5.0)


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
    return scipy.signal.resample_poly(samples, new_rate // common, old_rate // common, axis=-1)


def resample_blocks(blocks: Iterable[np.ndarray], old_rate: int, new_rate: int) -> Iterator[np.ndarray]:
    """Change the sampling rate; together the blocks are what `resample` makes of the whole.

    Parameters
    ----------
    blocks : iterable of numpy.ndarray
        Samples `[..., any number]` each.
    old_rate, new_rate : int
        Hz.

    Yields
    ------
    numpy.ndarray
        Samples `[..., any number]`, in all `ceil(time * new_rate / old_rate)`.

    Examples
    --------
    >>> blocks = resample_blocks([np.zeros((2, 400)), np.zeros((2, 41))], 44100, 8000)
    >>> np.concatenate(list(blocks), axis=-1).shape
    (2, 80)
    """
    if old_rate == new_rate:
        yield from blocks
        return
    common = gcd(old_rate, new_rate)
    up, down = new_rate // common, old_rate // common
    reach = ZERO_CROSSINGS * max(up, down)  # of the filter to either side, at `up` times the old rate
    taps = scipy.signal.firwin(2 * reach + 1, 1 / max(up, down), window=WINDOW)
    held, done = None, 0  # samples that are still needed; how many of theirs have gone out
    for block in blocks:
        held = block if held is None else np.concatenate([held, block], axis=-1)
        # Only the outputs before this one are out of reach of the samples to come.
        known = max(done, (held.shape[-1] * up - reach - 1) // down)
        if known - done < up:
            continue  # less than a period, which would be computed again and again
        yield _resample(held, up, down, taps)[..., done:known]
        # Whole periods of the two rates go, so that what stays begins where an output does.
        periods = max(0, (known * down - reach) // (up * down))
        held, done = held[..., periods * down :], known - periods * up
    if held is not None:
        yield _resample(held, up, down, taps)[..., done:]


def _resample(samples: np.ndarray, up: int, down: int, taps: np.ndarray) -> np.ndarray:
    """Resample along the last axis."""
    return scipy.signal.resample_poly(samples, up, down, axis=-1, window=taps.astype(samples.dtype))
