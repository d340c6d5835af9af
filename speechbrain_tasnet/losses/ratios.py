"""Ratios of wanted to unwanted power between zero-mean signals [batch, C, time], in dB.

Each has two versions: for signals in the same places, with a derivative, and for all pairs of them, from inner
products, to find out which belong together.
"""

import torch
from torch import Tensor

# SpeechBrain's own constant, in the places where its `cal_si_snr` has it, so that the values agree.
EPS = 1e-8


def decibels(wanted: Tensor, unwanted: Tensor, cap: float | None = None) -> Tensor:
    """Compare two energies.

    Parameters
    ----------
    wanted, unwanted : Tensor
        Of any shape.
    cap : float, optional
        What the ratio comes near to when nothing is unwanted, in dB, smoothly as in FUSS (arXiv 2011.00803).

    Example
    -------
    >>> decibels(torch.tensor([100.0, 1e6]), torch.tensor([1.0, 1.0]), cap=30.0).round(decimals=1)
    tensor([19.6000, 30.0000])
    """
    if cap is not None:
        unwanted = unwanted + 10 ** (-cap / 10) * wanted
    return 10 * torch.log10(wanted / (unwanted + EPS) + EPS)


def si_snr(targets: Tensor, estimates: Tensor, cap: float | None = None) -> Tensor:
    """Compute the scale-invariant signal-to-noise ratio [batch, C], section II-E of the paper."""
    energy = targets.square().sum(2, keepdim=True)
    projected = (targets * estimates).sum(2, keepdim=True) / (energy + EPS) * targets
    return decibels(projected.square().sum(2), (estimates - projected).square().sum(2), cap)


def snr(targets: Tensor, estimates: Tensor, cap: float | None = None) -> Tensor:
    """Compute the signal-to-noise ratio [batch, C], in which a wrong level counts."""
    return decibels(targets.square().sum(2), (estimates - targets).square().sum(2), cap)


def level_error(targets: Tensor, estimates: Tensor) -> Tensor:
    """Compute how many dB what an estimate has of its target is louder or softer than it, [batch, C]."""
    inner, energy = (targets * estimates).sum(2), targets.square().sum(2)
    return _level_error(inner, energy)


def _level_error(inner: Tensor, energy: Tensor) -> Tensor:
    return decibels(inner.square() / (energy + EPS), energy).abs()


def sa_sdr(targets: Tensor, estimates: Tensor, cap: float | None = None) -> Tensor:
    """Compute the source-aggregated SDR [batch] (arXiv 2110.15581): one ratio of the energies of all sources."""
    return decibels(targets.square().sum((1, 2)), (estimates - targets).square().sum((1, 2)), cap)


class Pairs:
    """The energies between all targets and all estimates.

    They are taken in float64, because the energy of a residue is a difference of nearly equal numbers.

    Parameters
    ----------
    targets, estimates : Tensor
        [batch, C, time].

    Attributes
    ----------
    targets : Tensor
        Their energies, [batch, C, 1].
    estimates : Tensor
        Theirs, [batch, 1, C].
    """

    def __init__(self, targets: Tensor, estimates: Tensor):
        targets, estimates = targets.double(), estimates.double()
        self._inner = targets @ estimates.transpose(1, 2)
        self.targets = targets.square().sum(2).unsqueeze(2)
        self.estimates = estimates.square().sum(2).unsqueeze(1)

    def si_snr(self, cap: float | None = None) -> Tensor:
        """Compute the ratios of `si_snr`, [batch, C targets, C estimates]."""
        projected = self._inner.square() / (self.targets + EPS)
        return decibels(projected, (self.estimates - projected).clamp(min=0), cap)

    def snr(self, cap: float | None = None) -> Tensor:
        """Compute the ratios of `snr`, [batch, C targets, C estimates]."""
        return decibels(self.targets, self.errors(), cap)

    def level_errors(self) -> Tensor:
        """Compute the differences of `level_error`, [batch, C targets, C estimates]."""
        return _level_error(self._inner, self.targets)

    def errors(self) -> Tensor:
        """Compute the energies of the differences, [batch, C targets, C estimates]."""
        return (self.targets - 2 * self._inner + self.estimates).clamp(min=0)
