"""The mask network: from the encoded mixture to a mask for each source.

Luo and Mesgarani, "Conv-TasNet: Surpassing Ideal Time-Frequency Magnitude Masking for Speech Separation",
IEEE/ACM TASLP 2019, arXiv 1809.07454. The letters N, L, B, H, Sc, P, X, R are the paper's, C counts sources.
"""

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from speechbrain_tasnet import ops
from speechbrain_tasnet.errors import InputError, whole_number
from speechbrain_tasnet.network.norms import LayerNorm, find_norm
from speechbrain_tasnet.network.output_channels import count_outputs
from speechbrain_tasnet.network.tcn import Linear, PReLU, StackedBlocks, TemporalConvNet
from speechbrain_tasnet.padding import padding_mask

if TYPE_CHECKING:
    from speechbrain_tasnet.ops.cpu.packed_weights import PackedNet

MASK_ACTIVATIONS = {
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "softmax": lambda scores: scores.softmax(dim=2),  # over the sources of [batch, frames, C, N]
    "softmax_filters": lambda scores: scores.softmax(dim=3),  # over the filters, as SpeechBrain's softmax
}


class MaskState(NamedTuple):
    """What a causal mask network remembers of a stream: the states of its norms and its blocks."""

    norm: tuple
    tcn: tuple
    spatial: tuple = ()


class SpatialInput(nn.Module):
    """The way of one more microphone into the bottleneck: a norm and a linear layer of its own.

    A norm for each microphone makes the network indifferent to how loud each is, and leaves the others as they
    are when one is added.

    Parameters
    ----------
    N, B : int
        Channels in and out.
    norm : type
        The kind of norm.
    """

    def __init__(self, N: int, B: int, norm: type[LayerNorm]):
        super().__init__()
        self.norm = norm(N)
        self.linear = Linear(N, B, bias=False)

    def forward(self, x: Tensor, padding: Tensor | None = None) -> Tensor:
        """Map [batch, frames, N] to [batch, frames, B], leaving out of the norm where ``padding`` is True."""
        return self.linear(self.norm(x, padding))

    def step(self, x: Tensor, state: tuple) -> tuple[Tensor, tuple]:
        """Map the next frames of a stream; returns them and the state of the norm after them."""
        x, state = self.norm.step(x, state)
        return self.linear(x), state


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
        ``sigmoid`` (the paper's best), ``relu``, or ``softmax`` over the sources; ``softmax_filters`` exists for
        SpeechBrain's weights.
    input_norm : str, optional
        Another norm for the encoded mixture; None: the same as in the blocks.
    conv_padding : str
        How the blocks' convolutions are padded: with ``zeros``, or, as in SpeechBrain's non-causal models, with
        the reflected signal, ``reflect``; that runs layer by layer, without the fast path.
    mics : int
        Microphones, M, as `Encoder` has them: what all of them hear comes together in the bottleneck.
    outputs : str
        ``reference``, or ``sum`` or ``each`` for masks for every microphone, as `Encoder` has it.

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
        input_norm: str | None = None,
        conv_padding: str = "zeros",
        mics: int = 1,
        outputs: str = "reference",
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
        if mask_activation.startswith("softmax") and outputs == "sum":
            raise InputError(
                f"mask_activation={mask_activation!r} with outputs='sum': masks that add up to 1 cannot leave a "
                "microphone out; use 'sigmoid' or 'relu'"
            )
        options = {"norm": norm, "causal": causal, "mask_activation": mask_activation}
        whole_number("mics", mics)
        self.config = {**sizes, "Sc": Sc, **options, "input_norm": input_norm, "conv_padding": conv_padding}
        self.config |= {"mics": mics, "outputs": outputs}
        summed, self.outputs = count_outputs(outputs, mics)
        self.num_sources = C
        self.mask_activation = mask_activation
        first_norm = find_norm(norm, causal) if input_norm is None else find_norm(input_norm, causal, "input_norm")
        self.norm = first_norm(N)
        self.bottleneck = Linear(N, B)
        if mics > 1:
            self.spatial = nn.ModuleList([SpatialInput(N, B, first_norm) for _ in range(mics - 1)])
        self.tcn = TemporalConvNet(B, H, Sc, P, X, R, norm, causal, conv_padding)
        self.prelu = PReLU()
        self.mask = Linear(self.tcn.out_channels, C * summed * self.outputs * N)

    def forward(
        self, mixture_w: Tensor, num_frames: Tensor | None = None, stacked: StackedBlocks | None = None
    ) -> Tensor:
        """Estimate the masks.

        Parameters
        ----------
        mixture_w : Tensor
            [batch, M * N, frames], the encoded mixture, as `Encoder` gives it.
        num_frames : Tensor, optional
            [batch] of int, frames that each item of a padded batch really has; None: all of them.
        stacked : callable, optional
            See `TemporalConvNet.stack`.

        Returns
        -------
        Tensor
            [C, batch, N, frames], or [C, batch, M * N, frames] for each microphone, zero where an item has ended.
        """
        x, others = self._by_microphone(mixture_w)
        padding = None if num_frames is None else padding_mask(num_frames, x.shape[1])
        x = self.bottleneck(self.norm(x, padding))  # [batch, frames, B]
        for spatial, other in others:
            x = x + spatial(other, padding)
        x = self.tcn(x, num_frames, stacked)  # [batch, frames, Sc, or B without a skip path]
        masks = self._masks(self.mask(self.prelu(x)))
        return masks if padding is None else masks.masked_fill(padding.transpose(1, 2), 0)

    def _by_microphone(self, mixture_w: Tensor) -> tuple[Tensor, list[tuple[SpatialInput, Tensor]]]:
        """Part the encoded mixture into what the reference hears, [batch, frames, N], and the others."""
        x = mixture_w.transpose(1, 2)
        if self.config["mics"] == 1:
            return x, []
        parts = x.split(self.config["N"], dim=2)
        return parts[0], list(zip(self.spatial, parts[self.outputs :], strict=True))

    def _masks(self, x: Tensor) -> Tensor:
        """Turn scores [batch, frames, C * masked * N] into masks [C, batch, masked * N, frames]."""
        x = x.unflatten(2, (self.num_sources, -1))
        return MASK_ACTIVATIONS[self.mask_activation](x).permute(2, 0, 3, 1)

    def initial_state(self, batch: int) -> MaskState:
        """Return the state before the first frame of ``batch`` streams."""
        inputs = self.spatial if self.config["mics"] > 1 else ()
        spatial = tuple(each.norm.initial_state(batch) for each in inputs)
        return MaskState(self.norm.initial_state(batch), self.tcn.initial_state(batch), spatial)

    def step(self, mixture_w: Tensor, state: MaskState) -> tuple[Tensor, MaskState]:
        """Estimate the masks of the next frames of a stream, as `forward` would; returns them and the new state.

        A packed state (see `pack`) includes the weights, and changes in place.
        """
        x, others = self._by_microphone(mixture_w)
        steps = [spatial.step(other, past) for (spatial, other), past in zip(others, state.spatial, strict=True)]
        added, spatial = [out for out, _ in steps], tuple(past for _, past in steps)
        if not isinstance(state, MaskState):
            return self._masks(state.step(x, added, spatial)), state
        x, norm = self.norm.step(x, state.norm)
        x, tcn = self.tcn.step(sum(added, self.bottleneck(x)), state.tcn)
        return self._masks(self.mask(self.prelu(x))), MaskState(norm, tcn, spatial)

    def pack(self) -> "PackedNet | None":
        """Pack the current weights for fast steps on a CPU; None if that is not possible.

        A packed network has one kind of norm throughout.

        ``begin`` of the result turns a state into one that `step` takes in its place; ``unpack`` turns it back.
        """
        if self.norm.name != self.tcn.blocks[0].norm1.name:
            return None
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
