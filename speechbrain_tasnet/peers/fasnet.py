"""Asteroid's FaSNet-TAC, which filters the microphones and sums them, in three parts (arXiv 1910.14104).

It does not mask, it returns waveforms. So here a frame is a sample, what is masked is a one in each, and a mask is
a source.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.padding import padding_mask
from speechbrain_tasnet.peers.asteroid import not_there

if TYPE_CHECKING:
    from asteroid.models.fasnet import FasNetTAC


def fasnet_tac(C: int, mics: int, reference: int = 0, sample_rate: int = 8000, **sizes: int) -> "FasNetTAC":
    """Build it.

    Parameters
    ----------
    C : int
        Sources.
    mics : int
        Microphones, which is checked alone: its weights are the same for any number.
    reference : int
        The first, which its features compare the others with.
    sample_rate : int
        In Hz.
    sizes
        As ``asteroid.models.fasnet.FasNetTAC`` calls them.

    Raises
    ------
    InputError
        Asteroid is not installed, or the network does not have such a value.
    """
    try:
        from asteroid.models.fasnet import FasNetTAC
    except ImportError as error:
        raise not_there(error) from None
    if mics < 2:
        raise InputError(f"mics={mics}: FaSNet-TAC compares microphones; expected at least 2")
    if reference:
        raise InputError(f"reference={reference}: the reference of FaSNet-TAC is the first, 0")
    return FasNetTAC(C, sample_rate=sample_rate, **sizes)


class Encoder(nn.Module):
    """Pass the mixture on, after a channel of ones.

    Parameters
    ----------
    mics : int
        Microphones, M.

    Example
    -------
    >>> Encoder(mics=2)(torch.randn(3, 800, 2)).shape
    torch.Size([3, 3, 800])
    """

    def __init__(self, mics: int):
        super().__init__()
        self.mics = mics

    def num_frames(self, num_samples: Tensor | int) -> Tensor | int:
        """Count the samples."""
        return num_samples

    def forward(self, signal: Tensor) -> Tensor:
        """Turn [batch, time, M] into [batch, 1 + M, time]."""
        return torch.cat([torch.ones_like(signal[..., :1]), signal], dim=2).transpose(1, 2)


class MaskNet(nn.Module):
    """The whole of a ``FasNetTAC``."""

    def __init__(self, net: "FasNetTAC"):
        super().__init__()
        self.network = net

    def forward(self, mixture_w: Tensor, num_frames: Tensor | None = None) -> Tensor:
        """Estimate sources [C, batch, 1, time] from ``mixture_w`` [batch, 1 + M, time], zero behind their ends."""
        sources = self.network(mixture_w[:, 1:]).transpose(0, 1).unsqueeze(2)
        if num_frames is None:
            return sources
        return sources.masked_fill(padding_mask(num_frames, mixture_w.shape[2]).transpose(1, 2), 0)


class Decoder(nn.Module):
    """Pass the sources on: [..., 1, time] as [..., time]."""

    def forward(self, weights: Tensor) -> Tensor:
        """Drop the axis of the one weight that a sample has."""
        return weights.squeeze(-2)
