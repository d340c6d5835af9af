"""Receptive field and latency of a model, both computed from its configuration."""

import math
from typing import NamedTuple

from speechbrain_tasnet.network.encoder_decoder import Encoder
from speechbrain_tasnet.network.mask_network import MaskNet


class Span(NamedTuple):
    """A stretch of time."""

    samples: float
    seconds: float


def receptive_field(encoder: Encoder, masknet: MaskNet, sample_rate: int) -> Span:
    """Return how much signal the convolutions see for one frame of output: ((RF - 1) L/2 + L) samples.

    RF = 1 + R (P - 1) (2^X - 1) frames, as in the paper's table II. A global or cumulative norm sees
    beyond it, but only its two statistics.

    Parameters
    ----------
    encoder, masknet : Encoder, MaskNet
        The model.
    sample_rate : int
        Hz.

    Returns
    -------
    Span
        Samples and seconds.

    Example
    -------
    >>> receptive_field(Encoder(), MaskNet(), sample_rate=8000)
    Span(samples=12256, seconds=1.532)
    """
    samples = (masknet.tcn.receptive_field - 1) * encoder.stride + encoder.kernel_size
    return Span(samples, samples / sample_rate)


def latency(encoder: Encoder, masknet: MaskNet, sample_rate: int) -> Span:
    """Return the algorithmic latency: how much signal a sample must wait for on any machine.

    A frame of L samples for a causal model, plus the convolutions' lookahead for others; infinite with a
    global norm, which needs the whole utterance.

    Parameters
    ----------
    encoder, masknet : Encoder, MaskNet
        The model.
    sample_rate : int
        Hz.

    Returns
    -------
    Span
        Samples and seconds.

    Example
    -------
    >>> latency(Encoder(), MaskNet(norm="cumulative", causal=True), sample_rate=8000)
    Span(samples=16, seconds=0.002)
    >>> latency(Encoder(), MaskNet(), sample_rate=8000)
    Span(samples=inf, seconds=inf)
    """
    if not (masknet.norm.causal and masknet.tcn.blocks[0].norm1.causal):
        return Span(math.inf, math.inf)
    samples = encoder.kernel_size + masknet.tcn.lookahead * encoder.stride
    return Span(samples, samples / sample_rate)
