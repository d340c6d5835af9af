"""Scale sources: their sum relative to the mixture, their peak relative to full scale."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

SCALES = ("none", "peak", "mixture", "consistent")
PEAK = 0.9
# One step of 16-bit audio: sources that never exceed it are silence, which is not made louder.
SILENCE = 2.0**-15


def consistent(mixture: Tensor, sources: Tensor) -> Tensor:
    """Make the sources sum to the mixture, by dividing what is missing among them equally.

    The unweighted mixture consistency of Wisdom et al., "Differentiable consistency constraints for improved
    deep speech enhancement" (ICASSP 2019, arXiv 1811.08521): x_i + (m - sum of x) / C.

    Parameters
    ----------
    mixture : Tensor
        [..., time].
    sources : Tensor
        [..., time, C].

    Returns
    -------
    Tensor
        Consistent sources.

    Example
    -------
    >>> import torch
    >>> consistent(torch.ones(1), torch.tensor([[0.5, 0.1]]))
    tensor([[0.7000, 0.3000]])
    """
    missing = mixture - sources.sum(-1)
    return sources + missing.unsqueeze(-1) / sources.shape[-1]


@dataclass
class Levels:
    """What is known of a recording's levels so far, and the one gain for all its sources that follows."""

    peak: float = 0.0  # of any source
    energy: float = 0.0  # of the sources' sum
    likeness: float = 0.0  # inner product of that sum with the mixture

    def compare(self, mixture: Tensor, sources: Tensor) -> None:
        """Add a piece of the mixture, [channels, time], and its sources, [channels, time, C]."""
        total = sources.sum(2).double()
        self.energy += float(total.square().sum())
        self.likeness += float((total * mixture).sum())

    def measure(self, sources: np.ndarray) -> None:
        """Add samples, in any shape, as they will be written."""
        self.peak = max(self.peak, float(np.abs(sources).max(initial=0)))

    def gain(self, scale: str, limited: bool) -> float:
        """Return the gain.

        Parameters
        ----------
        scale : str
            ``peak``: the loudest sample of all sources is scaled to 0.9, unless all are silent.
            ``mixture``: the sum of the sources fits the mixture in the least-squares sense. Otherwise 1.
        limited : bool
            Nothing may lie beyond full scale.

        Returns
        -------
        float
            One for all sources, so that their levels still compare.
        """
        gain = 1.0
        if scale == "peak" and self.peak > SILENCE:
            gain = PEAK / self.peak
        elif scale == "mixture" and self.energy > 0:
            gain = self.likeness / self.energy
        loudest = abs(gain) * self.peak
        return gain / loudest if limited and loudest > 1 else gain
