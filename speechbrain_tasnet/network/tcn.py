"""The temporal convolutional network between bottleneck and masks (section II-C of the paper).

Data is [batch, frames, channels] throughout.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from speechbrain_tasnet import ops
from speechbrain_tasnet.errors import InputError, whole_number
from speechbrain_tasnet.network.norms import find_norm
from speechbrain_tasnet.padding import padding_mask


class DepthwiseConv(nn.Module):
    """Dilated convolution of each channel with its own kernel, as many frames out as in.

    Parameters
    ----------
    channels : int
        Channels in and out.
    kernel_size : int
        Taps of each kernel.
    dilation : int
        Frames between taps.
    causal : bool
        Whether the padding lies wholly on the left.

    Example
    -------
    >>> DepthwiseConv(8, kernel_size=3, dilation=4, causal=False)(torch.randn(2, 50, 8)).shape
    torch.Size([2, 50, 8])
    """

    def __init__(self, channels: int, kernel_size: int, dilation: int, causal: bool):
        super().__init__()
        self.dilation = dilation
        self.causal = causal
        bound = 1 / math.sqrt(kernel_size)  # as nn.Conv1d would draw them
        self.weight = nn.Parameter(torch.empty(channels, 1, kernel_size).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(channels).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``x`` [batch, frames, channels]; zeros precede its start and follow its end."""
        return ops.depthwise(x, self.weight, self.bias, self.dilation, self.causal)

    def initial_state(self, batch: int) -> Tensor:
        """Return the frames that the taps reach back to before the first one: zeros [batch, reach, channels]."""
        channels, _, taps = self.weight.shape
        return self.weight.new_zeros(batch, (taps - 1) * self.dilation, channels)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Convolve the next frames of a stream; the layer must be causal."""
        return ops.depthwise_from(state, x, self.weight, self.bias, self.dilation)


class PReLU(nn.PReLU):
    """PReLU with one learned slope, shared by all channels."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to ``x`` of any shape."""
        return ops.prelu(x, self.weight)


class Linear(nn.Linear):
    """The 1x1 convolution, which is a matrix product where channels come last."""

    def forward(self, x: Tensor) -> Tensor:
        """Map the last axis of ``x``."""
        return ops.linear(x, self.weight, self.bias)


class BlockState(NamedTuple):
    """What a causal block remembers of a stream: the states of its layers."""

    norm1: tuple
    depthwise: Tensor
    norm2: tuple


class ConvBlock(nn.Module):
    """1x1 - PReLU - norm - depthwise - PReLU - norm, then one 1x1 each for the residual and the skip path.

    Parameters
    ----------
    channels : int
        Channels of the residual path, the paper's B.
    hidden_channels : int
        Channels inside the block, the paper's H.
    skip_channels : int
        Channels of the skip path, the paper's Sc; 0 for none.
    kernel_size : int
        Taps of the depthwise convolution, the paper's P.
    dilation : int
        Frames between those taps.
    norm : str
        ``global``, ``cumulative`` or ``channelwise``.
    causal : bool
        Whether the block must not see the future.
    residual : bool
        False in a last block whose residual output nothing reads.

    Example
    -------
    >>> block = ConvBlock(8, 16, 4, kernel_size=3, dilation=2, norm="global", causal=False)
    >>> x, skip = block(torch.randn(2, 50, 8), torch.zeros(2, 50, 4))
    >>> x.shape, skip.shape
    (torch.Size([2, 50, 8]), torch.Size([2, 50, 4]))
    """

    def __init__(
        self,
        channels: int,
        hidden_channels: int,
        skip_channels: int,
        kernel_size: int,
        dilation: int,
        norm: str,
        causal: bool,
        residual: bool = True,
    ):
        super().__init__()
        norm_class = find_norm(norm, causal)
        self.expand = Linear(channels, hidden_channels)
        self.prelu1 = PReLU()
        self.norm1 = norm_class(hidden_channels)
        self.depthwise = DepthwiseConv(hidden_channels, kernel_size, dilation, causal)
        self.prelu2 = PReLU()
        self.norm2 = norm_class(hidden_channels)
        self.residual = Linear(hidden_channels, channels) if residual else None
        self.skip = Linear(hidden_channels, skip_channels) if skip_channels else None

    def forward(self, x: Tensor, skip: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run the block.

        Parameters
        ----------
        x : Tensor
            [batch, frames, channels].
        skip : Tensor
            [batch, frames, skip_channels], the sum of the skip outputs of the blocks before.
        valid : Tensor, optional
            [batch] of int, frames that each item of a padded batch has; None: all of them.

        Returns
        -------
        tuple of Tensor
            ``x`` plus the residual output and ``skip`` plus the skip output; without channels, for a path that
            the block does not have.
        """
        conv = self.depthwise
        x, added = ops.stack([self.weights()], [conv.dilation], conv.causal, self.norm1.name, x)(x, valid)
        return x, skip + added

    def weights(self) -> ops.BlockWeights:
        """Collect the weights in the order in which they are used."""
        return ops.BlockWeights(
            *_weight_and_bias(self.expand), self.prelu1.weight, *_weight_and_bias(self.norm1),
            *_weight_and_bias(self.depthwise), self.prelu2.weight, *_weight_and_bias(self.norm2),
            *_weight_and_bias(self.residual), *_weight_and_bias(self.skip),
        )  # fmt: skip

    def initial_state(self, batch: int) -> BlockState:
        """Return the state before the first frame of ``batch`` streams."""
        return BlockState(*(layer.initial_state(batch) for layer in (self.norm1, self.depthwise, self.norm2)))

    def step(self, x: Tensor, skip: Tensor, state: BlockState) -> tuple[Tensor, Tensor, BlockState]:
        """Run the next frames of a stream; returns what `forward` would, and the state after them."""
        hidden, norm1 = self.norm1.step(self.prelu1(self.expand(x)), state.norm1)
        hidden, past = self.depthwise.step(hidden, state.depthwise)
        hidden, norm2 = self.norm2.step(self.prelu2(hidden), state.norm2)
        return *self.add_paths(x, skip, hidden), BlockState(norm1, past, norm2)

    def add_paths(self, x: Tensor, skip: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Add what ``hidden`` [batch, frames, hidden_channels] gives to both paths, as `forward` returns them."""
        x = x[..., :0] if self.residual is None else x + self.residual(hidden)
        return x, skip if self.skip is None else skip + self.skip(hidden)


class ReflectingBlock(ConvBlock):
    """A block whose depthwise convolution meets the reflected signal beyond its ends, as SpeechBrain's does.

    It runs layer by layer, since the fast way through a block knows zeros alone.

    Example
    -------
    >>> block = ReflectingBlock(8, 16, 4, kernel_size=3, dilation=2, norm="global", causal=False)
    >>> x, skip = block(torch.randn(2, 50, 8), torch.zeros(2, 50, 4))
    >>> x.shape, skip.shape
    (torch.Size([2, 50, 8]), torch.Size([2, 50, 4]))
    """

    def forward(self, x: Tensor, skip: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run the block, as `ConvBlock.forward` does."""
        padding = None if valid is None else padding_mask(valid, x.shape[1])
        conv = self.depthwise
        hidden = self.norm1(self.prelu1(self.expand(x)), padding)
        longer = ops.reflect(hidden, (conv.weight.shape[2] - 1) * conv.dilation, valid)
        hidden = ops.weigh_taps(longer, conv.weight, conv.bias, conv.dilation)
        return self.add_paths(x, skip, self.norm2(self.prelu2(hidden), padding))


# What nobody trains, and what would keep a processor busy before there is any weight. Dilations double from block
# to block, so twenty blocks see a quarter of an hour.
MOST_BLOCKS = 256
MOST_BLOCKS_IN_REPEAT = 20

# By what the convolutions meet beyond the signal.
BLOCKS = {"zeros": ConvBlock, "reflect": ReflectingBlock}


def _weight_and_bias(layer: nn.Module | None) -> tuple[Tensor | None, Tensor | None]:
    return (None, None) if layer is None else (layer.weight, layer.bias)


def _is_watched(block: nn.Module) -> bool:
    """Return whether hooks observe what goes into a block or out of it."""
    hooks = block._forward_hooks, block._forward_pre_hooks, block._backward_hooks, block._backward_pre_hooks
    return any(hooks)


# Blocks in a row: from [batch, frames, B] and the frames of each item to the ends of both paths.
StackedBlocks = Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor]]


class TemporalConvNet(nn.Module):
    """R repeats of X blocks with dilations 1, 2, 4, ..., 2^(X-1).

    Its output is the sum of the skip outputs or, without a skip path, the last residual output.

    Parameters
    ----------
    B, H, Sc, P, X, R : int
        The paper's letters: bottleneck channels, hidden channels, skip channels (0 for no skip path),
        kernel size, blocks in a repeat, repeats.
    norm : str
        ``global``, ``cumulative`` or ``channelwise``.
    causal : bool
        Whether the network must not see the future.
    conv_padding : str
        ``zeros`` or ``reflect``: what the depthwise convolutions meet beyond the signal.

    Raises
    ------
    InputError
        If ``conv_padding`` is unknown, or would reflect a future that a causal network must not see, or there are
        more blocks than anybody trains.

    Example
    -------
    >>> tcn = TemporalConvNet(B=8, H=16, Sc=4, P=3, X=3, R=2, norm="global", causal=False)
    >>> tcn(torch.randn(2, 50, 8)).shape
    torch.Size([2, 50, 4])
    """

    def __init__(
        self,
        B: int,
        H: int,
        Sc: int,
        P: int,
        X: int,
        R: int,
        norm: str,
        causal: bool,
        conv_padding: str = "zeros",
    ):
        super().__init__()
        if conv_padding not in BLOCKS:
            raise InputError(f"conv_padding={conv_padding!r}: expected one of {list(BLOCKS)}")
        if causal and conv_padding == "reflect":
            raise InputError("conv_padding='reflect' with causal=True would see the future; use 'zeros'")
        whole_number("X", X, maximum=MOST_BLOCKS_IN_REPEAT)
        if X * R > MOST_BLOCKS:
            raise InputError(f"X={X} times R={R}: expected at most {MOST_BLOCKS} blocks")
        block = BLOCKS[conv_padding]
        self.skip_channels = Sc
        self.out_channels = Sc or B
        dilations = [2**x for _ in range(R) for x in range(X)]
        self.receptive_field = 1 + (P - 1) * sum(dilations)  # frames
        self.lookahead = 0 if causal else sum((P - 1) * d - (P - 1) * d // 2 for d in dilations)  # frames
        last = len(dilations) - 1
        self.blocks = nn.ModuleList(
            block(B, H, Sc, P, dilation, norm, causal, residual=not (Sc and i == last))
            for i, dilation in enumerate(dilations)
        )

    def forward(self, x: Tensor, valid: Tensor | None = None, stacked: StackedBlocks | None = None) -> Tensor:
        """Run all blocks.

        Parameters
        ----------
        x : Tensor
            [batch, frames, B].
        valid : Tensor, optional
            [batch] of int, frames that each item of a padded batch has; None: all of them.
        stacked : callable, optional
            The blocks as `stack` has made them ready, where they are run several times with the same weights.

        Returns
        -------
        Tensor
            [batch, frames, Sc or B].
        """
        if stacked is None:
            stacked = self.stack(x)
        x, skip = stacked(x, valid)
        return skip if self.skip_channels else x

    def stack(self, like: Tensor) -> StackedBlocks:
        """Prepare the blocks, with their current weights, for any number of inputs such as ``like``."""
        if isinstance(self.blocks[0], ReflectingBlock) or any(map(_is_watched, self.blocks)):
            return self._one_by_one
        dilations = [block.depthwise.dilation for block in self.blocks]
        first = self.blocks[0]
        weights = [block.weights() for block in self.blocks]
        return ops.stack(weights, dilations, first.depthwise.causal, first.norm1.name, like)

    def _one_by_one(self, x: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
        skip = x.new_zeros(*x.shape[:2], self.skip_channels)
        for block in self.blocks:
            x, skip = block(x, skip, valid)
        return x, skip

    def initial_state(self, batch: int) -> tuple[BlockState, ...]:
        """Return the state before the first frame of ``batch`` streams."""
        return tuple(block.initial_state(batch) for block in self.blocks)

    def step(self, x: Tensor, state: tuple[BlockState, ...]) -> tuple[Tensor, tuple[BlockState, ...]]:
        """Run the next frames of a stream; returns what `forward` would, and the state after them."""
        skip = x.new_zeros(*x.shape[:2], self.skip_channels)
        after = []
        for block, before in zip(self.blocks, state, strict=True):
            x, skip, now = block.step(x, skip, before)
            after.append(now)
        return skip if self.skip_channels else x, tuple(after)
