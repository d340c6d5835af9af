"""Samples as the integers of PCM: one way to round and to clip, and that of libsndfile, to agree with others."""

import numpy as np


def quantize(samples: np.ndarray, bits: int = 16) -> np.ndarray:
    """Round samples to the levels of signed PCM; what is beyond full scale becomes the outermost level.

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


def quantize_like_libsndfile(samples: np.ndarray) -> np.ndarray:
    """Make 16-bit samples of real ones as libsndfile does, which clips, when soundfile writes them.

    It rounds to 32 bits and drops the lower 16 of them. So it rounds down, which is one level below `quantize`
    at half of all samples; but what lies less than half a 32-bit level below a level becomes that level. This
    was found by writing all levels, the middles between them, their neighbours and random samples, in float32
    and float64, also beyond full scale, with libsndfile 1.2.2. A factor of 2^31 - 1 in place of 2^31 does not
    give the same samples.

    Parameters
    ----------
    samples : numpy.ndarray
        Of any shape, full scale at 1.

    Returns
    -------
    numpy.ndarray
        int16, of the same shape.

    Examples
    --------
    >>> quantize_like_libsndfile(np.array([0.9, -0.9, 1.0, 1.0 - 2.0**-33]) / 2**15).tolist()
    [0, -1, 1, 1]
    >>> quantize_like_libsndfile(np.array([-2.0, 1.0])).tolist()
    [-32768, 32767]
    """
    levels = np.round(samples.astype(np.float64) * 2.0**31)
    return (np.clip(levels, -(2**31), 2**31 - 1).astype(np.int64) >> 16).astype(np.int16)


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


def as_float(samples: np.ndarray) -> np.ndarray:
    """Return signed PCM, or samples that are real already, as float32 with full scale at 1.

    Examples
    --------
    >>> as_float(np.array([-32768, 16384], np.int16)).tolist()
    [-1.0, 0.5]
    """
    real = samples.astype(np.float32)
    return real / -np.float32(np.iinfo(samples.dtype).min) if samples.dtype.kind == "i" else real
