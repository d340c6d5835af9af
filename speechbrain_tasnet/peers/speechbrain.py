"""SpeechBrain's separation networks: their encoder, their decoder, and any of their mask networks.

Some of its blocks mistake a batch for a sequence, which its recipes, with one mixture per batch, do not notice:
mixtures would hear each other. `SequenceFirst` and `ItemByItem` give such blocks the layout they assume.
"""

import torch
from speechbrain.lobes.models import dual_path
from torch import Tensor, nn

from speechbrain_tasnet.peers.parts import Flat, Masks, WholeFrames


class Encoder(WholeFrames):
    """SpeechBrain's encoder: a ReLU behind N filters of L samples.

    Example
    -------
    >>> import torch
    >>> Encoder(N=8, L=16)(torch.randn(2, 100)).shape
    torch.Size([2, 8, 11])
    """

    def __init__(self, N: int, L: int):
        super().__init__(dual_path.Encoder(kernel_size=L, out_channels=N), L)


class ParallelEncoder(nn.Module):
    """An encoder for each microphone, the channels of all one after the other.

    SpeechBrain's recipe BinauralWSJ0Mix has one for each ear (``convtasnet-parallel.yaml``), and a mask for every
    channel of both. It is trained on what both ears hear; here on the first microphone alone.

    Parameters
    ----------
    N, L, mics : int
        Filters of each microphone, their samples, and microphones.

    Example
    -------
    >>> import torch
    >>> ParallelEncoder(N=8, L=16, mics=2)(torch.randn(3, 100, 2)).shape
    torch.Size([3, 16, 11])
    """

    tail = "drop"

    def __init__(self, N: int, L: int, mics: int):
        super().__init__()
        self.mics = mics
        self.encoders = nn.ModuleList(Encoder(N, L) for _ in range(mics))

    def num_frames(self, num_samples: Tensor | int) -> Tensor | int:
        """Count the whole frames of a signal, at least one."""
        return self.encoders[0].num_frames(num_samples)

    def forward(self, signal: Tensor) -> Tensor:
        """Encode [batch, time, mics] as [batch, mics * N, frames]."""
        return torch.cat([encode(signal[..., mic]) for mic, encode in enumerate(self.encoders)], dim=1)


class ParallelDecoder(nn.Module):
    """SpeechBrain's decoder of what the masks have left of all microphones, whose channels are added up first.

    Parameters
    ----------
    N, L, mics : int
        As for `ParallelEncoder`.

    Example
    -------
    >>> import torch
    >>> ParallelDecoder(N=8, L=16, mics=2)(torch.randn(3, 2, 16, 11)).shape
    torch.Size([3, 2, 96])
    """

    def __init__(self, N: int, L: int, mics: int):
        super().__init__()
        self.mics = mics
        self.decoder = Decoder(N, L)

    def forward(self, weights: Tensor) -> Tensor:
        """Decode [..., mics * N, frames] to [..., time]."""
        return self.decoder(weights.unflatten(-2, (self.mics, -1)).sum(-3))


class Decoder(Flat):
    """SpeechBrain's decoder, the way back from N filters of L samples.

    Example
    -------
    >>> import torch
    >>> Decoder(N=8, L=16)(torch.randn(3, 2, 8, 11)).shape
    torch.Size([3, 2, 96])
    """

    def __init__(self, N: int, L: int):
        super().__init__(
            dual_path.Decoder(in_channels=N, out_channels=1, kernel_size=L, stride=L // 2, bias=False)
        )


class MaskNet(Masks):
    """One of SpeechBrain's mask networks, its weights drawn as its recipes draw them.

    A network is built of copies of one block; drawing every layer's weights once more makes them differ.

    Parameters
    ----------
    network : Module
        Such as ``dual_path.Dual_Path_Model``: from [batch, N, frames] to [C, batch, N, frames].
    """

    def __init__(self, network: nn.Module):
        super().__init__(network)
        for layer in network.modules():
            if hasattr(layer, "reset_parameters"):
                layer.reset_parameters()

    def forward(self, mixture_w: Tensor, num_frames: Tensor | None = None) -> Tensor:
        """As `Masks.forward`."""
        for layer in self.modules():
            if isinstance(layer, ItemByItem):
                layer.items = len(mixture_w)
        return super().forward(mixture_w, num_frames)


class SequenceFirst(nn.Module):
    """A block of torch's layers in their default order, [frames, batch, channels], given the batch first.

    ``dual_path.DPTNetBlock`` is one; without this, its attention and its LSTM run over the batch.

    Parameters
    ----------
    block : Module
        The block.
    """

    def __init__(self, block: nn.Module):
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        """Run the block over the frames."""
        return self.block(x.transpose(0, 1)).transpose(0, 1)


class ItemByItem(nn.Module):
    """A block that is given the chunks of all items of a batch as one sequence, [1, items * chunks, channels].

    ``ResourceEfficientSeparationPipeline`` does so with its memory of type ``av``; here each item has its own.

    Parameters
    ----------
    block : Module
        Takes [batch, chunks, channels].
    """

    def __init__(self, block: nn.Module):
        super().__init__()
        self.block = block
        self.items = 1

    def forward(self, x: Tensor) -> Tensor:
        """Run the block over the chunks of each item."""
        return self.block(x.unflatten(1, (self.items, -1)).squeeze(0)).flatten(0, 1).unsqueeze(0)
