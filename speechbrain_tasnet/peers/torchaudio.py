"""torchaudio's Conv-TasNet, in three parts.

It is non-causal, with the paper's global norm and a linear encoder; its skip path is as wide as its bottleneck.
Half a frame of zeros stands before and after the signal.
"""

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torchaudio.models import ConvTasNet

from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.peers.parts import Flat, Masks, SourcesFirst, even


def conv_tasnet(
    N: int, L: int, B: int, H: int, P: int, X: int, R: int, C: int, mask_activation: str = "sigmoid"
) -> ConvTasNet:
    """Build it from the paper's letters; ``mask_activation`` is ``sigmoid`` or ``relu``.

    Raises
    ------
    InputError
        It does not have such a value.
    """
    if mask_activation not in ("sigmoid", "relu"):
        raise InputError(f"mask_activation={mask_activation!r}: torchaudio has sigmoid and relu")
    return ConvTasNet(C, even(L), N, P, B, H, X, R, mask_activation)


class Encoder(nn.Module):
    """The encoder of a ``torchaudio.models.ConvTasNet``.

    Example
    -------
    >>> import torch
    >>> Encoder(conv_tasnet(N=8, L=16, B=4, H=8, P=3, X=2, R=1, C=2))(torch.randn(2, 100)).shape
    torch.Size([2, 8, 14])
    """

    def __init__(self, net: ConvTasNet):
        super().__init__()
        self.stride = net.enc_stride
        self.encoder = net.encoder

    def num_frames(self, num_samples: Tensor | int) -> Tensor | int:
        """Count the frames of a signal."""
        return (num_samples + self.stride - 1) // self.stride + 1

    def forward(self, signal: Tensor) -> Tensor:
        """Encode [batch, time], filled up to whole strides, as [batch, N, frames]."""
        return self.encoder(F.pad(signal, (0, -signal.shape[1] % self.stride)).unsqueeze(1))


class MaskNet(Masks):
    """The mask network of a ``torchaudio.models.ConvTasNet``."""

    def __init__(self, net: ConvTasNet):
        super().__init__(SourcesFirst(net.mask_generator))


class Decoder(Flat):
    """The decoder of a ``torchaudio.models.ConvTasNet``."""

    def __init__(self, net: ConvTasNet):
        super().__init__(net.decoder)
