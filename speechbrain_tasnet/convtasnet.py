"""Conv-TasNet: encoder, mask network, decoder, and how a mixture goes through the three.

Luo and Mesgarani, "Conv-TasNet: Surpassing Ideal Time-Frequency Magnitude Masking for Speech Separation",
IEEE/ACM TASLP 2019, arXiv 1809.07454. The letters N, L, B, H, Sc, P, X, R are the paper's, C counts sources.
"""

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from speechbrain_tasnet import ops
from speechbrain_tasnet.errors import InputError, whole_number
from speechbrain_tasnet.lengths import padding_mask, valid_samples
from speechbrain_tasnet.norms import find_norm
from speechbrain_tasnet.tcn import Linear, PReLU, TemporalConvNet

if TYPE_CHECKING:
    from speechbrain_tasnet.ops.packed import PackedNet

MASK_ACTIVATIONS = {
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "softmax": lambda scores: scores.softmax(dim=2),  # over the sources of [batch, frames, C, N]
}


class _Basis(nn.Module):
    """N basis signals of L samples, half overlapping: what encoder and decoder share."""

    def __init__(self, N: int, L: int, edge_padding: bool):
        super().__init__()
        whole_number("N", N)
        whole_number("L", L, minimum=2)
        if L % 2:
            raise InputError(f"L={L}: expected an even number of samples, since frames overlap by half")
        self.kernel_size = L
        self.stride = L // 2
        self.edge_padding = edge_padding
        bound = 1 / math.sqrt(L)  # as nn.Conv1d would draw them
        self.weight = nn.Parameter(torch.empty(N, 1, L).uniform_(-bound, bound))


class Encoder(_Basis):
    """Turn a waveform into non-negative or linear weights of N learned basis signals.

    Parameters
    ----------
    N : int
        Basis signals.
    L : int
        Samples of each, even; a frame starts every L/2 samples.
    activation : str, optional
        None for a linear encoder (the paper's best), or ``relu``.
    edge_padding : bool
        Whether half a frame of zeros stands before and after the signal, so that every sample lies in two
        frames, as in the authors' code and torchaudio. Must be the decoder's too.

    Raises
    ------
    InputError
        If a value is out of range.

    Example
    -------
    >>> Encoder(N=512, L=16)(torch.randn(2, 8000)).shape
    torch.Size([2, 512, 999])
    """

    def __init__(self, N: int = 512, L: int = 16, activation: str | None = None, edge_padding: bool = False):
        super().__init__(N, L, edge_padding)
        if activation not in (None, "relu"):
            raise InputError(f"activation={activation!r}: expected None (linear) or 'relu'")
        self.config = {"N": N, "L": L, "activation": activation, "edge_padding": edge_padding}
        self.activation = activation

    def num_frames(self, num_samples: Tensor | int) -> Tensor | int:
        """Count the frames that cover a signal of one sample or more, the last one filled up with zeros.

        Example
        -------
        >>> Encoder(N=4, L=16).num_frames(17), Encoder(N=4, L=16, edge_padding=True).num_frames(17)
        (2, 4)
        """
        steps = -(-num_samples // self.stride)  # rounded up
        if self.edge_padding:
            return steps + 1
        return steps.clamp(min=2) - 1 if isinstance(steps, Tensor) else max(steps, 2) - 1

    def forward(self, signal: Tensor) -> Tensor:
        """Encode a batch of waveforms.

        Parameters
        ----------
        signal : Tensor
            [batch, time], any time of one sample or more.

        Returns
        -------
        Tensor
            [batch, N, frames].

        Raises
        ------
        InputError
            If the shape is another.
        """
        if signal.ndim != 2 or signal.shape[1] == 0:
            raise InputError(f"signal of shape {list(signal.shape)}: expected [batch, time], time at least 1")
        front = self.stride if self.edge_padding else 0
        covered = (self.num_frames(signal.shape[1]) + 1) * self.stride
        padded = F.pad(signal, (front, covered - front - signal.shape[1]))
        weights = ops.encode(padded, self.weight, self.stride)
        return (torch.relu(weights) if self.activation else weights).transpose(1, 2)

    def initial_state(self, batch: int) -> Tensor:
        """Give the samples that wait for their frame, [batch, 0 to L - 1]: at first the edge padding alone."""
        return self.weight.new_zeros(batch, self.stride if self.edge_padding else 0)

    def step(self, signal: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Encode the next samples of a stream, [batch, time], any time, also none.

        Returns the frames that are complete now, [batch, N, frames], and what waits for the next ones.
        """
        waiting = torch.cat([state, signal], dim=1)
        frames = max(waiting.shape[1] // self.stride - 1, 0)
        if frames == 0:
            return signal.new_zeros(len(signal), len(self.weight), 0), waiting
        weights = ops.encode(waiting[:, : (frames + 1) * self.stride], self.weight, self.stride)
        weights = torch.relu(weights) if self.activation else weights
        return weights.transpose(1, 2), waiting[:, frames * self.stride :]


class Decoder(_Basis):
    """Turn weights of N learned basis signals back into a waveform.

    Parameters
    ----------
    N, L, edge_padding
        As for `Encoder`.

    Raises
    ------
    InputError
        If a value is out of range.

    Example
    -------
    >>> Decoder(N=512, L=16)(torch.randn(2, 512, 999)).shape
    torch.Size([2, 8000])
    """

    def __init__(self, N: int = 512, L: int = 16, edge_padding: bool = False):
        super().__init__(N, L, edge_padding)
        self.config = {"N": N, "L": L, "edge_padding": edge_padding}

    def forward(self, weights: Tensor) -> Tensor:
        """Decode ``weights`` [..., N, frames] to [..., (frames + 1) * L / 2], less the edge padding."""
        signal = ops.decode(weights.transpose(-1, -2), self.weight)
        return signal[..., self.stride : -self.stride] if self.edge_padding else signal

    def initial_state(self, sources: int, batch: int) -> Tensor:
        """Give what the last frame adds to samples still to come, [batch, sources, L/2]: zeros at first."""
        return self.weight.new_zeros(batch, sources, self.stride)

    def step(self, weights: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Decode [sources, batch, N, frames] to [batch, sources, frames * L/2], with the first edge padding."""
        signal = ops.decode(weights.permute(1, 0, 3, 2), self.weight)
        begun = signal[..., : self.stride] + state
        joined = torch.cat([begun, signal[..., self.stride :]], dim=-1)
        return joined[..., : -self.stride], joined[..., -self.stride :]


class MaskState(NamedTuple):
    """What a causal mask network remembers of a stream: the states of its norm and its blocks."""

    norm: tuple
    tcn: tuple


class MaskNet(nn.Module):
    """Estimate a mask for each source from the encoded mixture.

    Parameters
    ----------
    N, B, H, Sc, P, X, R : int
        The paper's letters (its table I): encoder channels, bottleneck channels, hidden channels of a block,
        skip channels (0 for no skip path), kernel size, blocks in a repeat, repeats.
    C : int
        Sources.
    norm : str
        ``global`` (the paper's gLN), ``cumulative`` (the paper's cLN) or ``channelwise``.
    causal : bool
        Whether the network must not see the future; needs a norm that does not either.
    mask_activation : str
        ``sigmoid`` (the paper's best), ``relu``, or ``softmax`` over the sources.

    Raises
    ------
    InputError
        If a value is out of range, unknown or impossible together with another.

    Example
    -------
    >>> MaskNet(N=16, B=8, H=16, Sc=8, X=3, R=2, C=2)(torch.randn(4, 16, 50)).shape
    torch.Size([2, 4, 16, 50])
    """

    def __init__(
        self,
        N: int = 512,
        B: int = 128,
        H: int = 512,
        Sc: int = 128,
        P: int = 3,
        X: int = 8,
        R: int = 3,
        C: int = 2,
        norm: str = "global",
        causal: bool = False,
        mask_activation: str = "sigmoid",
    ):
        super().__init__()
        sizes = {"N": N, "B": B, "H": H, "P": P, "X": X, "R": R, "C": C}
        for name, value in sizes.items():
            whole_number(name, value)
        whole_number("Sc", Sc, minimum=0)
        if mask_activation not in MASK_ACTIVATIONS:
            raise InputError(f"mask_activation={mask_activation!r}: expected one of {list(MASK_ACTIVATIONS)}")
        if mask_activation == "softmax" and C == 1:
            raise InputError("mask_activation='softmax' with C=1: the only mask would be 1; use 'sigmoid'")
        self.config = {**sizes, "Sc": Sc, "norm": norm, "causal": causal, "mask_activation": mask_activation}
        self.num_sources = C
        self.mask_activation = mask_activation
        self.norm = find_norm(norm, causal)(N)
        self.bottleneck = Linear(N, B)
        self.tcn = TemporalConvNet(B, H, Sc, P, X, R, norm, causal)
        self.prelu = PReLU()
        self.mask = Linear(self.tcn.out_channels, C * N)

    def forward(self, mixture_w: Tensor, num_frames: Tensor | None = None) -> Tensor:
        """Estimate the masks.

        Parameters
        ----------
        mixture_w : Tensor
            [batch, N, frames], the encoded mixture.
        num_frames : Tensor, optional
            [batch] of int, frames that each item of a padded batch really has; None: all of them.

        Returns
        -------
        Tensor
            [C, batch, N, frames], zero where an item has ended.
        """
        x = mixture_w.transpose(1, 2)  # [batch, frames, N]
        padding = None if num_frames is None else padding_mask(num_frames, x.shape[1])
        x = self.bottleneck(self.norm(x, padding))  # [batch, frames, B]
        x = self.tcn(x, num_frames)  # [batch, frames, Sc, or B without a skip path]
        masks = self._masks(self.mask(self.prelu(x)))
        return masks if padding is None else masks.masked_fill(padding.transpose(1, 2), 0)

    def _masks(self, x: Tensor) -> Tensor:
        """Turn scores [batch, frames, C * N] into masks [C, batch, N, frames]."""
        x = x.unflatten(2, (self.num_sources, -1))
        return MASK_ACTIVATIONS[self.mask_activation](x).permute(2, 0, 3, 1)

    def initial_state(self, batch: int) -> MaskState:
        """Give the state before the first frame of ``batch`` streams."""
        return MaskState(self.norm.initial_state(batch), self.tcn.initial_state(batch))

    def step(self, mixture_w: Tensor, state: MaskState) -> tuple[Tensor, MaskState]:
        """Estimate the masks of the next frames of a stream, as `forward` would; returns them and the new state.

        A packed state (see `pack`) brings its weights along, and changes in place.
        """
        x = mixture_w.transpose(1, 2)  # [batch, frames, N]
        if not isinstance(state, MaskState):
            return self._masks(state.step(x)), state
        x, norm = self.norm.step(x, state.norm)
        x, tcn = self.tcn.step(self.bottleneck(x), state.tcn)
        return self._masks(self.mask(self.prelu(x))), MaskState(norm, tcn)

    def pack(self) -> "PackedNet | None":
        """Pack the weights as they are now for fast steps on a processor; None where that is not possible.

        What ``begin`` of the result makes of a state, `step` takes in its place; ``unpack`` is the way back.
        """
        blocks = [block.weights() for block in self.tcn.blocks]
        weights = ops.MaskWeights(
            *self.norm.parameters(),
            *self.bottleneck.parameters(),
            blocks,
            self.prelu.weight,
            *self.mask.parameters(),
        )
        dilations = [block.depthwise.dilation for block in self.tcn.blocks]
        return ops.pack(weights, dilations, self.norm.name)


def separate(
    encoder: nn.Module,
    masknet: nn.Module,
    decoder: nn.Module,
    mixture: Tensor,
    lengths: Tensor | None = None,
) -> Tensor:
    """Separate a batch of mixtures: the one way through the network, for training and for use.

    Parameters
    ----------
    encoder, masknet, decoder : Module
        `Encoder`, `MaskNet` and `Decoder`, possibly wrapped for distributed training.
    mixture : Tensor
        [batch, time].
    lengths : Tensor, optional
        [batch], SpeechBrain's relative lengths in (0, 1]. Each item then comes out as it would alone,
        whatever the padding holds, and with zeros behind its end.

    Returns
    -------
    Tensor
        [batch, time, C], the mixture's own length.

    Raises
    ------
    InputError
        If the mixture is not [batch, time] or has no samples.

    Example
    -------
    >>> encoder, decoder = Encoder(N=16, L=8), Decoder(N=16, L=8)
    >>> masknet = MaskNet(N=16, B=8, H=16, Sc=8, X=3, R=2, C=3)
    >>> separate(encoder, masknet, decoder, torch.randn(2, 1001)).shape
    torch.Size([2, 1001, 3])
    """
    padding, num_frames = None, None
    if lengths is not None and bool((lengths < 1).any()):
        num_samples = valid_samples(lengths, mixture.shape[1])
        padding = padding_mask(num_samples, mixture.shape[1])  # [batch, time, 1]
        mixture = mixture.masked_fill(padding.squeeze(2), 0)
        # A wrapper for distributed training hides the methods, and only its forward may be called.
        num_frames = getattr(encoder, "module", encoder).num_frames(num_samples)
    mixture_w = encoder(mixture)  # [batch, N, frames]
    masks = masknet(mixture_w) if num_frames is None else masknet(mixture_w, num_frames)
    estimates = decoder(ops.apply_masks(masks, mixture_w))[..., : mixture.shape[1]]  # [C, batch, time]
    estimates = estimates.permute(1, 2, 0)
    return estimates if padding is None else estimates.masked_fill(padding, 0)
