"""The shift trick of Demucs (Défossez et al. 2019, arXiv 1911.13254): the mean over shifted copies of the mixture.

Where the frames of a network begin is an accident of the recording. Frames that begin a little later give sources
with other errors, of which the mean keeps only what is common to all.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from speechbrain_tasnet.losses.assignment import best_order


def average_over_shifts(separate: Callable[[Tensor], Tensor], shifts: int, hop: int) -> Callable[[Tensor], Tensor]:
    """Make a function that separates several times, with frames that begin later each time.

    Parameters
    ----------
    separate : callable
        From mixtures [batch, time] or [batch, time, mics] to sources [batch, time, C] or [batch, time, C, mics],
        in any order.
    shifts : int
        How often, at equal parts of a hop, so at most as often as it has samples; with 1, ``separate`` itself is
        returned.
    hop : int
        Samples from one frame of the network to the next.

    Returns
    -------
    callable
        Gives sources of the same shape, float32, in the order of those that are not shifted.

    Example
    -------
    >>> separate = average_over_shifts(lambda x: torch.stack([x, -x], dim=2), shifts=4, hop=8)
    >>> separate(torch.ones(1, 100)).shape
    torch.Size([1, 100, 2])
    """
    if shifts == 1:
        return separate

    def several(mixture: Tensor) -> Tensor:
        first = separate(mixture).float()
        total = first.clone()
        for number in range(1, shifts):
            late = number * hop // shifts
            silence = mixture.new_zeros(mixture.shape[0], late, *mixture.shape[2:])
            sources = separate(torch.cat([silence, mixture], dim=1)).float()[:, late:]
            total += _in_order(sources, first)
        return total / shifts

    return several


def _in_order(sources: Tensor, first: Tensor) -> Tensor:
    """Put sources [batch, time, C, ...] in the order in which they agree best with others."""
    order = best_order(torch.einsum("btc...,btk...->bck", first, sources))
    return torch.stack([item[:, places] for item, places in zip(sources, order, strict=True)])
