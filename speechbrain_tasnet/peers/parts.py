"""Parts that the adapters share."""

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.padding import padding_mask


class WholeFrames(nn.Module):
    """An encoder of L samples a frame, L/2 apart, that drops what fills no frame; `separate` gives zeros there.

    Parameters
    ----------
    encoder : Module
        Takes [batch, time] and gives [batch, N, frames].
    L : int
        Samples of a frame, even.

    Raises
    ------
    InputError
        L is odd.

    Example
    -------
    >>> import torch
    >>> encoder = WholeFrames(nn.Sequential(nn.Unflatten(1, (1, -1)), nn.Conv1d(1, 8, 16, stride=8)), L=16)
    >>> encoder(torch.randn(2, 100)).shape, encoder.num_frames(100)
    (torch.Size([2, 8, 11]), 11)
    """

    tail = "drop"

    def __init__(self, encoder: nn.Module, L: int):
        super().__init__()
        self.kernel_size, self.stride = even(L), L // 2
        self.encoder = encoder

    def num_frames(self, num_samples: Tensor | int) -> Tensor | int:
        """Count the whole frames of a signal, at least one."""
        frames = (num_samples - self.kernel_size) // self.stride + 1
        return frames.clamp(min=1) if isinstance(frames, Tensor) else max(frames, 1)

    def forward(self, signal: Tensor) -> Tensor:
        """Encode [batch, time] as [batch, N, frames]; a signal shorter than a frame is filled up with zeros."""
        return self.encoder(F.pad(signal, (0, max(self.kernel_size - signal.shape[1], 0))))


class SourcesFirst(nn.Module):
    """A mask network that gives [batch, C, N, frames], made to give [C, batch, N, frames]."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, mixture_w: Tensor) -> Tensor:
        """Estimate masks from [batch, N, frames]."""
        return self.network(mixture_w).transpose(0, 1)


class Masks(nn.Module):
    """A mask network of another toolkit, which knows how long the items of a padded batch are.

    Parameters
    ----------
    network : Module
        Takes [batch, N, frames] and gives [C, batch, N, frames].

    Example
    -------
    >>> import torch
    >>> masknet = Masks(nn.Sequential(nn.Conv1d(4, 4, 1), nn.Unflatten(0, (1, -1))))
    >>> masknet(torch.randn(2, 4, 9), torch.tensor([9, 5])).shape
    torch.Size([1, 2, 4, 9])
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, mixture_w: Tensor, num_frames: Tensor | None = None) -> Tensor:
        """Estimate masks [C, batch, N, frames] from ``mixture_w`` [batch, N, frames].

        They are zero behind ``num_frames`` [batch], but what the network meets there it takes for signal.
        """
        masks = self.network(mixture_w)
        if num_frames is None:
            return masks
        return masks.masked_fill(padding_mask(num_frames, mixture_w.shape[2]).transpose(1, 2), 0)


class Flat(nn.Module):
    """A decoder that takes one axis before [N, frames], made to take any number.

    Parameters
    ----------
    decoder : Module
        Takes [batch, N, frames] and gives [batch, time], with or without an axis of one between.
    """

    def __init__(self, decoder: nn.Module):
        super().__init__()
        self.decoder = decoder

    def forward(self, weights: Tensor) -> Tensor:
        """Decode [..., N, frames] to [..., time]."""
        return self.decoder(weights.flatten(0, -3)).reshape(*weights.shape[:-2], -1)


def even(L: int) -> int:
    """Pass on a frame's length.

    Raises
    ------
    InputError
        It is odd.
    """
    if L % 2:
        raise InputError(f"L={L}: expected an even number of samples, since frames overlap by half")
    return L
