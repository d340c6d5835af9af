"""SpeechBrain's separation networks: their encoder, their decoder, and any of their mask networks."""

import torch.nn.functional as F  # noqa: N812
from speechbrain.lobes.models import dual_path
from torch import Tensor, nn

from speechbrain_tasnet.peers.parts import PeerMaskNet


class Encoder(nn.Module):
    """SpeechBrain's encoder: a ReLU behind N filters of L samples, L/2 apart.

    Samples behind the last whole frame are dropped, and come out of `separate` as zeros, as in its recipes.

    Parameters
    ----------
    N, L : int
        Filters, samples of each.

    Example
    -------
    >>> import torch
    >>> Encoder(N=8, L=16)(torch.randn(2, 100)).shape
    torch.Size([2, 8, 11])
    """

    tail = "drop"

    def __init__(self, N: int, L: int):
        super().__init__()
        self.kernel_size, self.stride = L, L // 2
        self.encoder = dual_path.Encoder(kernel_size=L, out_channels=N)

    def num_frames(self, num_samples: Tensor | int) -> Tensor | int:
        """Count the whole frames of a signal, at least one."""
        frames = (num_samples - self.kernel_size) // self.stride + 1
        return frames.clamp(min=1) if isinstance(frames, Tensor) else max(frames, 1)

    def forward(self, signal: Tensor) -> Tensor:
        """Encode [batch, time] as [batch, N, frames]; one shorter than a frame is filled up with zeros."""
        return self.encoder(F.pad(signal, (0, max(self.kernel_size - signal.shape[1], 0))))


class MaskNet(PeerMaskNet):
    """One of SpeechBrain's mask networks, its weights drawn as its recipes draw them.

    Those build one block and copy it, so each layer draws its weights once more.

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


class Decoder(nn.Module):
    """SpeechBrain's decoder, the way back from N filters of L samples.

    Parameters
    ----------
    N, L : int
        As for `Encoder`.

    Example
    -------
    >>> import torch
    >>> Decoder(N=8, L=16)(torch.randn(3, 2, 8, 11)).shape
    torch.Size([3, 2, 96])
    """

    def __init__(self, N: int, L: int):
        super().__init__()
        self.decoder = dual_path.Decoder(in_channels=N, out_channels=1, kernel_size=L, stride=L // 2, bias=False)

    def forward(self, weights: Tensor) -> Tensor:
        """Decode [..., N, frames] to [..., (frames + 1) * L / 2]."""
        return self.decoder(weights.flatten(0, -3)).reshape(*weights.shape[:-2], -1)
