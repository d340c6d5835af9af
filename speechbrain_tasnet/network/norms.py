"""Global, cumulative and channelwise layer norm, and their names in a configuration."""

import torch
from torch import Tensor, nn

from speechbrain_tasnet import ops
from speechbrain_tasnet.errors import InputError


class LayerNorm(nn.Module):
    """What the three norms share: a gain and a bias for each channel.

    Parameters
    ----------
    channels : int
        Size of the last axis of the input.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))


class GlobalLayerNorm(LayerNorm):
    """Normalise over all channels and all frames: the paper's gLN. Sees the future.

    Example
    -------
    >>> GlobalLayerNorm(8)(torch.randn(2, 50, 8)).shape
    torch.Size([2, 50, 8])
    """

    name = "global"
    causal = False

    def forward(self, x: Tensor, padding: Tensor | None = None) -> Tensor:
        """Normalise ``x`` [batch, frames, channels], leaving out frames where ``padding`` is True."""
        return ops.global_norm(x, self.weight, self.bias, padding)


class CumulativeLayerNorm(LayerNorm):
    """Normalise each frame over all channels of all frames so far: the paper's cLN.

    Example
    -------
    >>> CumulativeLayerNorm(8)(torch.randn(2, 50, 8)).shape
    torch.Size([2, 50, 8])
    """

    name = "cumulative"
    causal = True

    def forward(self, x: Tensor, padding: Tensor | None = None) -> Tensor:
        """Normalise ``x`` [batch, frames, channels]; padding comes later, so it has no influence."""
        return ops.cumulative_norm(x, self.weight, self.bias)

    def initial_state(self, batch: int) -> ops.Moments:
        """Return the state before the first frame of ``batch`` streams."""
        return ops.no_moments(batch, self.weight.device)

    def step(self, x: Tensor, state: ops.Moments) -> tuple[Tensor, ops.Moments]:
        """Normalise the next frames of a stream; returns them and the state after them."""
        return ops.cumulative_norm_from(state, x, self.weight, self.bias)


class ChannelwiseLayerNorm(LayerNorm):
    """Normalise each frame over its own channels: what SpeechBrain and Asteroid call cLN.

    Example
    -------
    >>> ChannelwiseLayerNorm(8)(torch.randn(2, 50, 8)).shape
    torch.Size([2, 50, 8])
    """

    name = "channelwise"
    causal = True

    def forward(self, x: Tensor, padding: Tensor | None = None) -> Tensor:
        """Normalise ``x`` [batch, frames, channels]; frames do not touch, so padding has no influence."""
        return ops.channelwise_norm(x, self.weight, self.bias)

    def initial_state(self, batch: int) -> tuple[()]:
        """Return the state before the first frame: it has nothing to remember."""
        return ()

    def step(self, x: Tensor, state: tuple[()]) -> tuple[Tensor, tuple[()]]:
        """Normalise the next frames of a stream."""
        return self(x), state


NORMS = {
    "global": GlobalLayerNorm,
    "gLN": GlobalLayerNorm,
    "cumulative": CumulativeLayerNorm,
    "channelwise": ChannelwiseLayerNorm,
}


def find_norm(name: str, causal: bool, key: str = "norm") -> type[LayerNorm]:
    """Look up a norm by its name in a configuration.

    Parameters
    ----------
    name : str
        ``global`` (or ``gLN``), ``cumulative`` or ``channelwise``.
    causal : bool
        Whether the network must not see the future.
    key : str
        What the configuration calls it, for messages.

    Raises
    ------
    InputError
        If the name is unknown or ambiguous, or the norm would leak the future into a causal network.
    """
    if name == "cLN":
        raise InputError(
            f"{key}='cLN' is ambiguous: the paper means 'cumulative' by it, SpeechBrain and Asteroid mean "
            "'channelwise'; say which"
        )
    if name not in NORMS:
        raise InputError(f"{key}={name!r}: expected 'global', 'cumulative' or 'channelwise'")
    if causal and not NORMS[name].causal:
        raise InputError(
            f"causal=True with {key}={name!r} would see the future, because it averages over the whole utterance; "
            f"use {key}='cumulative' (the paper's) or 'channelwise'"
        )
    return NORMS[name]
