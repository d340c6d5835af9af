"""Samples as the integers of PCM: one way to round and to clip."""

import numpy as np


def quantize(samples: np.ndarray, bits: int = 16) -> np.ndarray:
    """Round samples to the levels of signed PCM; what lies beyond full scale becomes the outermost level.

    Parameters
    ----------
    samples : numpy.ndarray
        Of any shape, full scale at 1; 1 itself has no level and becomes the one below.
    bits : int
        Of a sample, up to 32.

    Returns
    -------
    numpy.ndarray
        int32, of the same shape.

    Examples
    --------
    >>> quantize(np.array([-2.0, -1.0, 0.5, 1.0]), bits=8).tolist()
    [-128, -128, 64, 127]
    """
    scale = full_scale(bits)
    return np.clip(np.round(samples.astype(np.float64) * scale), -scale, scale - 1).astype(np.int32)


def count_clipped(samples: np.ndarray, bits: int = 16) -> int:
    """Count the samples that `quantize` moves by more than half a level.

    Examples
    --------
    >>> count_clipped(np.array([-1.0, 0.5, 1.0, 1.1])), count_clipped(np.array([0.9999]))
    (2, 0)
    """
    levels = np.round(samples.astype(np.float64) * full_scale(bits))
    return int((levels != quantize(samples, bits)).sum())


def full_scale(bits: int = 16) -> int:
    """Return the level that stands for 1."""
    return 2 ** (bits - 1)
