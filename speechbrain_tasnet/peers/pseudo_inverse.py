"""The encoder "Pinv" of the paper's table III, which learns nothing: it inverts its decoder."""

import torch
from torch import Tensor, nn

from speechbrain_tasnet import ops
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.peers.parts import WholeFrames


class Encoder(WholeFrames):
    """Encode with the pseudo-inverse of a decoder's basis V [N, L]: w = x (VᵀV)⁻¹Vᵀ, so that w V = x.

    Parameters
    ----------
    decoder : Decoder
        Its basis is this encoder's, whatever becomes of it; it stays the decoder's in checkpoints and optimizers.

    Raises
    ------
    InputError
        The basis has fewer than L signals, and w V = x no solution.

    Example
    -------
    >>> from speechbrain_tasnet import Decoder
    >>> decoder = Decoder(N=64, L=16)
    >>> signal = torch.randn(2, 800)
    >>> weights = Encoder(decoder)(signal)
    >>> weights.shape
    torch.Size([2, 64, 99])
    >>> twice = decoder(weights)  # but for its ends: frames overlap by half
    >>> torch.allclose(twice[:, 8:-8], 2 * signal[:, 8:-8], atol=1e-4)
    True
    """

    def __init__(self, decoder: nn.Module):
        N, _, L = decoder.weight.shape
        if N < L:
            raise InputError(f"N={N}: expected at least L={L}; fewer signals have no left inverse")
        super().__init__(_Inverse(decoder), L)


class _Inverse(nn.Module):
    """Frames of half overlap times the pseudo-inverse of a decoder's basis."""

    def __init__(self, decoder: nn.Module):
        super().__init__()
        self.decoder = (decoder,)  # in a tuple it is no part of this module, nor are its weights

    def forward(self, signal: Tensor) -> Tensor:
        basis = self.decoder[0].weight.squeeze(1)  # [N, L]
        inverse = torch.linalg.pinv(basis).T.contiguous().unsqueeze(1)  # [N, 1, L], as an encoder's weights are
        return ops.encode(signal, inverse, basis.shape[1] // 2).transpose(1, 2)
