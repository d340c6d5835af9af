"""Mean and variance of all frames so far: the state of a cumulative norm."""

from typing import NamedTuple

import torch
from torch import Tensor


class Moments(NamedTuple):
    """What a cumulative norm knows of the frames so far, [batch, 1] of float64 each."""

    frames: Tensor
    mean: Tensor
    variance: Tensor


def no_moments(batch: int, device: torch.device | None = None) -> Moments:
    """Return the moments of no frames."""
    return Moments(*torch.zeros(3, batch, 1, dtype=torch.float64, device=device).unbind())


def cumulative_moments(mean: Tensor, variance: Tensor, before: Moments) -> tuple[Tensor, Tensor]:
    """Combine the moments of each frame into those of all frames so far.

    The variance is the mean of the frames' own variances and the scatter of their means (Chan et al., 1979):
    differences of large sums would lose it where the mean is large. Both are followed by what each frame changes,
    so that nothing grows with time but the count.

    Parameters
    ----------
    mean, variance : Tensor
        [batch, frames] of float64.
    before : Moments
        Of the frames that came before these.

    Returns
    -------
    tuple of Tensor
        Mean and variance, [batch, frames].

    Example
    -------
    >>> cumulative_moments(torch.tensor([[1.0, 3]]), torch.tensor([[0.0, 0]]), no_moments(1))
    (tensor([[1., 2.]], dtype=torch.float64), tensor([[0., 1.]], dtype=torch.float64))
    """
    seen = before.frames + torch.arange(1, mean.shape[1] + 1, dtype=torch.float64, device=mean.device)
    mean_so_far = before.mean + (mean - before.mean).cumsum(1) / seen
    mean_before = torch.cat([before.mean, mean_so_far], dim=1)[:, :-1]
    scatter = (mean - mean_before) * (mean - mean_so_far)  # what a frame adds to the scatter of the means
    return mean_so_far, before.variance + (variance + scatter - before.variance).cumsum(1) / seen
