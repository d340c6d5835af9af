"""A causal model as an ONNX graph of one step, for programs without torch."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from torch import Tensor, nn

from speechbrain_tasnet import ops
from speechbrain_tasnet.errors import InputError, whole_number
from speechbrain_tasnet.export.graph import Ports, about_model, write_graph
from speechbrain_tasnet.network.encoder_decoder import Decoder, Encoder
from speechbrain_tasnet.network.fit import check_fit
from speechbrain_tasnet.network.mask_network import MaskNet, MaskState
from speechbrain_tasnet.network.output_channels import as_signals, as_sources
from speechbrain_tasnet.network.stream_state import map_tensors, named_tensors


class _State(NamedTuple):
    encoder: Tensor  # [batch, L/2] or [batch, mics, L/2], the samples before the chunk
    masknet: MaskState
    decoder: Tensor


class _Step(nn.Module):
    """One step with all its state as flat inputs and outputs, as ONNX needs it."""

    def __init__(self, encoder: Encoder, masknet: MaskNet, decoder: Decoder, state: _State):
        super().__init__()
        self.encoder, self.masknet, self.decoder = encoder, masknet, decoder
        self.like = state

    def forward(self, chunk: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        values: Iterator[Tensor] = iter(tensors)
        state = map_tensors(lambda name, like: next(values), self.like)
        mixture_w, before = self.encoder.step(chunk, state.encoder)
        masks, masknet = self.masknet.step(mixture_w, state.masknet)
        weights = ops.apply_masks(masks, mixture_w[:, : masks.shape[2]], self.encoder.summed)
        weights = as_sources(weights, self.encoder.outputs)
        signal, tail = self.decoder.step(weights, state.decoder)
        after = _State(before, masknet, tail)
        sources = as_signals(signal.transpose(1, 2), self.encoder.outputs, self.encoder.reference)
        return sources, *(tensor for _, tensor in named_tensors(after))


def export_streaming_onnx(
    encoder: Encoder,
    masknet: MaskNet,
    decoder: Decoder,
    path: Path | str,
    chunk_samples: int,
    sample_rate: int | None = None,
    int8: bool = False,
) -> None:
    """Write a causal model as an ONNX graph of one step of one stream.

    The graph takes ``chunk`` [1, chunk_samples] and the state, one tensor per input, and returns ``sources``
    [1, chunk_samples, C] and the state after it, under the same names with ``next.`` before them. All states are
    zeros at first, with one exception: without edge padding ``encoder`` [1, L/2] is the beginning of the signal,
    and the first chunk what follows. The output then begins with the signal; with edge padding, its first L/2
    samples must be dropped. For several microphones ``chunk`` is [1, chunk_samples, mics] and ``encoder``
    [1, mics, L/2]; ``sources`` have a last axis of microphones if they are estimated at each. The metadata hold
    ``edge_padding``, ``num_spks``, ``mics``, ``outputs`` (as `Encoder` has it), ``reference`` and, if it is known,
    ``sample_rate``.

    Parameters
    ----------
    encoder, masknet, decoder : Encoder, MaskNet, Decoder
        The model, on the CPU and in float32.
    path : path-like
        File to write.
    chunk_samples : int
        Samples of a chunk, a multiple of L/2.
    sample_rate : int, optional
        Of the model, in Hz.
    int8 : bool
        Whether the mask network's matrices have 8 bits per weight, and their products are taken in integers.

    Raises
    ------
    InputError
        If the model is not causal, its parts do not belong together, the chunk is not a multiple of L/2, or a
        package that this needs is not installed.
    """
    check_fit(encoder, masknet, decoder)
    stride = encoder.stride
    if not masknet.config["causal"]:
        raise InputError(
            "causal=False: this model sees the future; train one with --causal True --norm cumulative"
        )
    if whole_number("chunk_samples", chunk_samples) % stride:
        raise InputError(f"chunk_samples={chunk_samples}: expected a multiple of L/2={stride}")
    before = encoder.by_microphone(encoder.silence(1, stride))
    state = _State(
        before, masknet.initial_state(1), decoder.initial_state(masknet.num_sources * encoder.outputs, 1)
    )
    names = [name for name, _ in named_tensors(state)]
    example = (encoder.silence(1, chunk_samples), *(tensor for _, tensor in named_tensors(state)))
    ports = Ports(["chunk", *names], ["sources", *(f"next.{name}" for name in names)])
    about = {**about_model(encoder, masknet, sample_rate), "edge_padding": encoder.edge_padding}
    write_graph(path, _Step(encoder, masknet, decoder, state), example, ports, about, int8)
