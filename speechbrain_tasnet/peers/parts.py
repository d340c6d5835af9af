"""What the adapters share."""

from torch import Tensor, nn

from speechbrain_tasnet.lengths import padding_mask


class PeerMaskNet(nn.Module):
    """A mask network of another toolkit.

    Parameters
    ----------
    network : Module
        Takes [batch, N, frames] and gives [C, batch, N, frames].

    Example
    -------
    >>> import torch
    >>> masknet = PeerMaskNet(nn.Sequential(nn.Conv1d(4, 4, 1), nn.Unflatten(0, (1, -1))))
    >>> masknet(torch.randn(2, 4, 9), torch.tensor([9, 5])).shape
    torch.Size([1, 2, 4, 9])
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, mixture_w: Tensor, num_frames: Tensor | None = None) -> Tensor:
        """Estimate masks [C, batch, N, frames] from ``mixture_w`` [batch, N, frames].

        They are zero behind ``num_frames`` [batch], but what the network saw there counts for all frames.
        """
        masks = self.network(mixture_w)
        if num_frames is None:
            return masks
        return masks.masked_fill(padding_mask(num_frames, mixture_w.shape[2]).transpose(1, 2), 0)
