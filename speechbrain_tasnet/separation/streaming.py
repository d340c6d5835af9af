"""Separate live: chunks of any size in, the samples of the sources that can be known out."""

from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from speechbrain_tasnet import ops
from speechbrain_tasnet.audio.reading import LOUDEST
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.network.encoder_decoder import Decoder, Encoder
from speechbrain_tasnet.network.fit import check_fit
from speechbrain_tasnet.network.mask_network import MaskNet, MaskState
from speechbrain_tasnet.network.output_channels import as_signals, as_sources
from speechbrain_tasnet.network.samples import Samples, as_samples, check_weights, fit_weights
from speechbrain_tasnet.network.stream_state import map_tensors, named_tensors
from speechbrain_tasnet.network.tcn import BlockState
from speechbrain_tasnet.ops.denormals import flushed


class StreamState(NamedTuple):
    """All that is remembered of a batch of streams; in every tensor the first axis is that of the streams."""

    encoder: Tensor
    masknet: MaskState
    decoder: Tensor
    heard: Tensor  # [batch] of int64, samples that came in
    decoded: Tensor  # [batch] of int64, samples that came out of the decoder


class StreamingSeparator:
    """A causal separator that is fed chunk by chunk and returns each sample as soon as it is known.

    All that it returns, joined, equals what `separate` returns for the whole signal. Sample ``i`` is returned with
    sample ``i + L - 1`` at the latest: a delay of 2 ms at 8 kHz with L=16.

    Parameters
    ----------
    encoder, masknet, decoder : Encoder, MaskNet, Decoder
        A causal model. On a CPU its weights are packed here, once: later changes to them have no effect on this
        object (except for those of further microphones).

    Raises
    ------
    InputError
        If the model sees the future.

    Example
    -------
    >>> masknet = MaskNet(16, 8, 16, 8, X=2, norm="cumulative", causal=True)
    >>> live = StreamingSeparator(Encoder(16), masknet, Decoder(16))
    >>> live.step(torch.randn(1, 80)).shape, live.step(torch.randn(1, 3)).shape, live.flush().shape
    (torch.Size([1, 72, 2]), torch.Size([1, 0, 2]), torch.Size([1, 11, 2]))
    """

    def __init__(self, encoder: Encoder, masknet: MaskNet, decoder: Decoder):
        check_weights({"encoder": encoder, "masknet": masknet, "decoder": decoder})
        config = masknet.config
        if not config["causal"]:
            raise InputError(
                f"causal=False, norm={config['norm']!r}: this model sees the future, so it cannot stream; train "
                "one with --causal True --norm cumulative (or channelwise)"
            )
        check_fit(encoder, masknet, decoder)
        self.encoder, self.masknet, self.decoder = encoder, masknet, decoder
        self._packed_net = masknet.pack()
        self._state: StreamState | None = None

    @torch.no_grad()
    def step(self, chunk: Samples) -> Samples:
        """Process the next samples, and return the source samples that are now known.

        Parameters
        ----------
        chunk : Tensor or numpy.ndarray
            [batch, n], or [batch, n, M] of several microphones; any n, also 0, and another one each time; batch is
            the same until `flush` or `reset`. Of any type that `separate` takes.

        Returns
        -------
        Tensor or numpy.ndarray
            [batch, m, C], or [batch, m, C, M] at each microphone: over the whole stream as many as went in, less
            at most L - 1 that are still open. An array if the chunk was one, in the type of the chunk; for PCM in
            float32.

        Raises
        ------
        InputError
            If the shape is another, or a sample is not finite or absurdly large; the stream then continues as if
            the chunk had not been given.
        """
        chunk, back = as_samples(chunk, "chunk")
        self.encoder.by_microphone(chunk, "chunk")
        if len(chunk) == 0:
            raise InputError(f"chunk of shape {list(chunk.shape)}: no streams, expected at least 1")
        if self._state is not None and len(chunk) != len(self._state.heard):
            raise InputError(
                f"chunk of {len(chunk)} streams: expected {len(self._state.heard)}; reset() starts again"
            )
        chunk = fit_weights(chunk, self.encoder).to(self.encoder.weight.device)
        if not (chunk.abs() <= LOUDEST).all():
            raise InputError(
                f"chunk with NaN, infinite samples or some above {LOUDEST:g}: expected full scale at 1"
            )
        if self._state is None:
            self.reset(len(chunk))
        known = self._run(chunk)
        self._state = self._state._replace(heard=self._state.heard + chunk.shape[1])
        return back(known)

    @torch.no_grad()
    def flush(self) -> Tensor:
        """Return what is still open, as if silence followed, and get ready for new streams.

        Returns
        -------
        Tensor
            [batch, m, C] or [batch, m, C, M], so that as many samples came out in all as went in; no streams:
            [0, 0, C]. In the type of the weights.
        """
        state = self._state
        if state is None or state.heard[0] == 0:
            self._state = None
            batch = 0 if state is None else len(state.heard)
            return self._signals(self.decoder.initial_state(self._decoded, batch)[..., :0])
        heard, stride = int(state.heard[0]), self.encoder.stride
        frames = int(self.encoder.num_frames(heard))
        edge = stride if self.encoder.edge_padding else 0
        missing = max((frames + 1) * stride - edge - heard, 0)
        before = self._given(state)
        known = self._run(self.encoder.silence(len(state.heard), missing))
        tail = self._state.decoder
        # And zeros for samples that the encoder drops.
        tail = F.pad(tail, (0, max(heard - before - known.shape[1] - tail.shape[2], 0)))
        self._state = None
        return torch.cat([known, self._signals(tail)], dim=1)[:, : heard - before]

    def reset(self, batch: int | None = None) -> None:
        """Drop the streams; start ``batch`` new ones now, or else with the next chunk."""
        self._state = None if batch is None else self._packed(self._initial_state(batch))

    def state_dict(self) -> dict[str, Tensor]:
        """Copy the state into a flat dictionary of tensors, as `torch.save` and safetensors take it.

        Returns
        -------
        dict of Tensor
            In every tensor the first axis is that of the streams; empty before the first chunk.
        """
        if self._state is None:
            return {}
        return {name: tensor.clone() for name, tensor in named_tensors(self._unpacked(self._state))}

    def load_state_dict(self, tensors: dict[str, Tensor]) -> None:
        """Continue streams whose state was saved by a separator with the same weights, on any device.

        Raises
        ------
        InputError
            If the tensors are not those of such a state.
        """
        if not tensors:
            self.reset()
            return
        if "heard" not in tensors or tensors["heard"].ndim != 1:
            raise InputError("heard is missing or has no [batch]: expected the state_dict of a StreamingSeparator")
        if len(tensors["heard"].unique()) != 1:
            raise InputError("heard differs between the streams: expected streams that began together")
        fresh = self._initial_state(len(tensors["heard"]))
        names = {name for name, _ in named_tensors(fresh)}
        if names != set(tensors):
            raise InputError(
                f"{min(names ^ set(tensors))}: expected the state of a model of the same configuration"
            )
        self._state = self._packed(map_tensors(lambda name, like: _as(like, name, tensors[name]), fresh))

    def _initial_state(self, batch: int) -> StreamState:
        count = torch.zeros(batch, dtype=torch.int64)
        return StreamState(
            self.encoder.initial_state(batch),
            self.masknet.initial_state(batch),
            self.decoder.initial_state(self._decoded, batch),
            count,
            count,
        )

    def _packed(self, state: StreamState) -> StreamState:
        if self._packed_net is None:
            return state
        return state._replace(masknet=self._packed_net.begin(*state.masknet))

    def _unpacked(self, state: StreamState) -> StreamState:
        if self._packed_net is None:
            return state
        norm, blocks, spatial = state.masknet.unpack()
        return state._replace(masknet=MaskState(norm, tuple(BlockState(*layers) for layers in blocks), spatial))

    @flushed()
    def _run(self, chunk: Tensor) -> Tensor:
        """Run samples through the network: [batch, n] to [batch, m, C], as `step` does."""
        state = self._state
        mixture_w, waiting = self.encoder.step(chunk, state.encoder)
        if mixture_w.shape[2] == 0:
            self._state = state._replace(encoder=waiting)
            return self._signals(state.decoder[..., :0])
        masks, masknet = self.masknet.step(mixture_w, state.masknet)
        weights = ops.apply_masks(masks, mixture_w[:, : masks.shape[2]], self.encoder.summed)
        weights = as_sources(weights, self.encoder.outputs)
        signal, tail = self.decoder.step(weights, state.decoder)
        decoded = state.decoded + signal.shape[2]
        before = self._given(state)
        self._state = StreamState(waiting, masknet, tail, state.heard, decoded)
        return self._signals(signal[..., signal.shape[2] - (self._given(self._state) - before) :])

    @property
    def _decoded(self) -> int:
        """Signals that the decoder makes: of every source one for each microphone that it is estimated at."""
        return self.masknet.num_sources * self.encoder.outputs

    def _signals(self, decoded: Tensor) -> Tensor:
        """Reshape what was decoded, [batch, signals, m], to its public shape."""
        return as_signals(decoded.transpose(1, 2), self.encoder.outputs, self.encoder.reference)

    def _given(self, state: StreamState) -> int:
        """Count the samples returned: those decoded, less the edge padding."""
        edge = self.encoder.stride if self.encoder.edge_padding else 0
        return max(int(state.decoded[0]) - edge, 0)


def _as(like: Tensor, name: str, tensor: Tensor) -> Tensor:
    """Move a loaded tensor to the device and dtype of a fresh one; only the encoder's has no fixed length."""
    if tensor.shape != like.shape and not (name == "encoder" and tensor.shape[:-1] == like.shape[:-1]):
        raise InputError(f"{name} of shape {list(tensor.shape)}: expected {list(like.shape)}")
    return tensor.detach().to(like, copy=True)
