"""What a separator costs: parameters, multiply-accumulates, latency and time."""

import copy
import math
import time
from functools import partial
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from speechbrain_tasnet.network.encoder_decoder import Encoder
from speechbrain_tasnet.network.mask_network import MaskNet
from speechbrain_tasnet.network.model import Model
from speechbrain_tasnet.network.receptive_field import latency
from speechbrain_tasnet.network.tcn import ConvBlock

SECONDS = 4.0  # of audio, for the real-time factor
REPEATS = (5, 50)  # at least and at most


def count_parameters(model: nn.Module) -> int:
    """Count the parameters of a network."""
    return sum(p.numel() for p in model.parameters())


def macs_per_second(model: Model, sample_rate: int, seconds: float = 4.0) -> float:
    """Count the multiply-accumulates of separating a second of audio.

    These are the ones of convolutions, matrix products, recurrences and attention; norms, activations and the
    products with the masks, a few thousandths, are left out. Nothing is computed, but where a network cannot do
    without numbers: the shapes alone go through it, so that it is the same on every machine and for every fast
    path.

    Parameters
    ----------
    model : Model
        Stays as it is.
    sample_rate : int
        In Hz.
    seconds : float
        Length of the mixture, over which they are averaged: attention over a whole mixture costs more in a longer
        one, and the frames at the edges less.

    Example
    -------
    >>> from speechbrain_tasnet import Decoder, Encoder, MaskNet
    >>> sizes = {"N": 256, "B": 128, "H": 256, "Sc": 128, "X": 7, "R": 2}
    >>> model = Model(Encoder(256, 32), MaskNet(**sizes), Decoder(256, 32))
    >>> round(macs_per_second(model, 8000) / 1e9, 2)
    0.74
    """
    try:
        return _macs_per_second(model, "meta", sample_rate, seconds)
    except Exception:  # another toolkit's network may look at its numbers; what is really wrong is raised again
        return _macs_per_second(model, "cpu", sample_rate, seconds)


def _macs_per_second(model: Model, device: str, sample_rate: int, seconds: float) -> float:
    bare = copy.deepcopy(model).to(device, torch.float64).eval()
    uncounted: list[int] = []
    for module in bare.modules():
        if isinstance(module, nn.RNNBase):
            module.forward = partial(_recur, module, uncounted)
        elif isinstance(module, ConvBlock):
            module.register_forward_pre_hook(partial(_note_taps, uncounted))
    channels = () if (mics := getattr(bare.encoder, "mics", 1)) == 1 else (mics,)
    mixture = torch.zeros(1, round(seconds * sample_rate), *channels, device=device, dtype=torch.float64)
    counter = FlopCounterMode(display=False)
    # With gradients torch takes no fused attention, whose products the counter would not see, and in float64 our
    # own network takes the way that is written to be read.
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        bare(mixture)
    return (counter.get_total_flops() / 2 + sum(uncounted)) / seconds


def _recur(layer: nn.RNNBase, products: list[int], x: Tensor, state: object = None) -> tuple[Tensor, object]:
    """Stand in for a recurrence: every step multiplies with every weight; returns what has its shapes."""
    products.append(x.shape[0] * x.shape[1] * sum(p.numel() for p in layer.parameters() if p.ndim == 2))
    directions = 1 + layer.bidirectional
    batch = x.shape[0 if layer.batch_first else 1]
    last = x.new_empty(directions * layer.num_layers, batch, layer.hidden_size)
    out = x.new_empty(*x.shape[:2], directions * layer.hidden_size)
    return out, (last, last) if layer.mode == "LSTM" else last


def _note_taps(products: list[int], block: ConvBlock, args: tuple[Tensor, ...]) -> None:
    """Record the products of our depthwise convolution, which are elementwise on the way that is to be read."""
    batch, frames, _ = args[0].shape
    products.append(batch * frames * block.depthwise.weight.numel())


def latency_ms(model: Model, sample_rate: int) -> float:
    """Return the algorithmic latency: the milliseconds of signal that a sample waits for on any machine.

    Infinite for a network that takes in the whole mixture, and for one of another toolkit, none of which streams.

    Example
    -------
    >>> from speechbrain_tasnet import Decoder, Encoder, MaskNet
    >>> masknet = MaskNet(norm="cumulative", causal=True)
    >>> latency_ms(Model(Encoder(), masknet, Decoder()), 8000)
    2.0
    """
    if not (isinstance(model.encoder, Encoder) and isinstance(model.masknet, MaskNet)):
        return math.inf
    return 1000 * latency(model.encoder, model.masknet, sample_rate).seconds


@torch.no_grad()
def real_time_factor(model: Model, sample_rate: int, mics: int = 1, patience: float = 5.0) -> float:
    """Return how long one thread takes to separate one mixture, in its own duration: the median of some turns.

    Parameters
    ----------
    model : Model
        In its evaluation mode.
    sample_rate : int
        In Hz.
    mics : int
        Microphones.
    patience : float
        Seconds to spend on turns.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    channels = () if mics == 1 else (mics,)
    mixture = 0.1 * torch.randn(1, round(SECONDS * sample_rate), *channels)
    times, began = [], time.perf_counter()
    model(mixture)
    while len(times) < REPEATS[0] or (time.perf_counter() - began < patience and len(times) < REPEATS[1]):
        start = time.perf_counter()
        model(mixture)
        times.append(time.perf_counter() - start)
    torch.set_num_threads(threads)
    return median(times) / SECONDS
