"""The RMS level of samples that come in pieces."""

import numpy as np


class RmsLevel:
    """The RMS level of all samples that have been added.

    Example
    -------
    >>> level = RmsLevel()
    >>> level.decibels
    >>> for piece in ([0.1, -0.1], [[0.1], [0.1]]):
    ...     level.add(np.array(piece))
    >>> round(level.decibels, 3)
    -20.0
    """

    def __init__(self):
        self._energy, self._count = 0.0, 0

    def add(self, samples: np.ndarray) -> None:
        """Take in samples of any shape, full scale at 1."""
        self._energy += float(np.square(samples, dtype=np.float64).sum())
        self._count += samples.size

    @property
    def decibels(self) -> float | None:
        """Level in dB of full scale; None of silence, which has none."""
        return 10 * float(np.log10(self._energy / self._count)) if self._energy else None
