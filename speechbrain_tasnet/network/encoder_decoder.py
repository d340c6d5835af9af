"""Encoder and decoder: a waveform as weights of N basis signals, and back (section II-B of the paper).

The letters N and L are the paper's.
"""

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from speechbrain_tasnet import ops
from speechbrain_tasnet.errors import InputError, whole_number
from speechbrain_tasnet.network.output_channels import count_outputs, encoder_order

# How many strides of L/2 samples the frames span, by what becomes of samples that fill no whole stride.
TAILS = {
    "fill": lambda samples, stride: (samples + stride - 1) // stride,
    "drop": lambda samples, stride: samples // stride,
    "odd": lambda samples, stride: (samples + stride) // (2 * stride) * 2 + 1,
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

    With several microphones each has basis signals of its own, the parallel encoders of Gu et al., "End-to-End
    Multi-Channel Speech Separation", arXiv 1905.06286. Those of the reference are masked and decoded; the others
    tell the mask network by their delays and levels who speaks from where, and may be masked themselves.

    Parameters
    ----------
    N : int
        Basis signals.
    L : int
        Samples of each, even; a frame starts every L/2 samples.
    activation : str, optional
        None for a linear encoder (the paper's best), or ``relu``.
    edge_padding : bool
        Whether to pad the signal with half a frame of zeros on both sides, so that every sample is in two
        frames, as in the authors' code and torchaudio. Must match the decoder's.
    tail : str
        What to do with the last samples if they do not fill a stride of L/2: ``fill`` it up with zeros, or
        ``drop`` them, so that they come out as zeros (most other toolkits). ``odd`` adds one zero or more, up to
        an odd number of strides (the authors' code), which a global norm takes in.
    mics : int
        Microphones, M.
    reference : int
        Which of them the sources are estimated at, counted from 0.
    outputs : str
        ``reference``; ``sum`` for sources at the reference from all microphones, ``each`` for sources at every
        one, see `network.output_channels`.

    Attributes
    ----------
    summed : int
        Microphones whose masked weights add up to a source.
    outputs : int
        Microphones that sources are estimated at.
    masked : int
        Microphones that have masks.

    Raises
    ------
    InputError
        If a value is out of range, or edge padding is combined with dropped samples.

    Example
    -------
    >>> Encoder(N=512, L=16)(torch.randn(2, 8000)).shape
    torch.Size([2, 512, 999])
    >>> Encoder(N=512, L=16, mics=2)(torch.randn(2, 8000, 2)).shape
    torch.Size([2, 1024, 999])
    """

    def __init__(
        self,
        N: int = 512,
        L: int = 16,
        activation: str | None = None,
        edge_padding: bool = False,
        tail: str = "fill",
        mics: int = 1,
        reference: int = 0,
        outputs: str = "reference",
    ):
        super().__init__(N, L, edge_padding)
        if activation not in (None, "relu"):
            raise InputError(f"activation={activation!r}: expected None (linear) or 'relu'")
        if tail not in TAILS:
            raise InputError(f"tail={tail!r}: expected one of {list(TAILS)}")
        if tail == "drop" and edge_padding:
            raise InputError("tail='drop' with edge_padding=True: the padding would follow a gap; use 'fill'")
        whole_number("mics", mics)
        if whole_number("reference", reference, minimum=0) >= mics:
            raise InputError(f"reference={reference}: expected one of the {mics} microphones, 0 to {mics - 1}")
        sizes = {"N": N, "L": L, "activation": activation, "edge_padding": edge_padding, "tail": tail}
        self.config = {**sizes, "mics": mics, "reference": reference, "outputs": outputs}
        self.summed, self.outputs = count_outputs(outputs, mics)
        self.masked = self.summed * self.outputs
        self.activation = activation
        self.tail = tail
        self.mics = mics
        self.reference = reference
        self._channels = () if mics == 1 else (mics,)
        if mics > 1:
            taps = [torch.empty_like(self.weight).uniform_(-1, 1) / math.sqrt(L) for _ in range(mics - 1)]
            self.spatial = nn.Parameter(torch.stack(taps))  # [M - 1, N, 1, L]

    def num_frames(self, num_samples: Tensor | int) -> Tensor | int:
        """Count the frames that are made of a signal of one sample or more, at least one.

        Example
        -------
        >>> Encoder(N=4, L=16).num_frames(17), Encoder(N=4, L=16, edge_padding=True).num_frames(17)
        (2, 4)
        """
        steps = TAILS[self.tail](num_samples, self.stride)
        if self.edge_padding:
            return steps + 1
        return steps.clamp(min=2) - 1 if isinstance(steps, Tensor) else torch.sym_max(steps, 2) - 1

    def forward(self, signal: Tensor) -> Tensor:
        """Encode a batch of waveforms.

        Parameters
        ----------
        signal : Tensor
            [batch, time], or [batch, time, M] of several microphones; any time of one sample or more.

        Returns
        -------
        Tensor
            [batch, N, frames], or [batch, M * N, frames]: the reference's weights first, then those of the others
            in their order. For sources at each microphone [batch, (2 M - 1) * N, frames]: the first M * N by the
            reference's basis signals.

        Raises
        ------
        InputError
            If the shape is another.
        """
        signal = self.by_microphone(signal)
        if signal.shape[-1] == 0:
            raise InputError(f"signal of shape {list(signal.shape)}: expected time at least 1")
        front = self.stride if self.edge_padding else 0
        covered = (self.num_frames(signal.shape[-1]) + 1) * self.stride
        return self._encode(F.pad(signal, (front, covered - front - signal.shape[-1])))  # or cut, where negative

    def by_microphone(self, signal: Tensor, name: str = "signal") -> Tensor:
        """Check the shape of a signal and bring time to its end.

        Parameters
        ----------
        signal : Tensor
            [batch, time], or [batch, time, M] of several microphones.
        name : str
            What to call it in a message.

        Returns
        -------
        Tensor
            [batch, time] or [batch, M, time].

        Raises
        ------
        InputError
            If the shape is another.
        """
        if self.mics == 1 and signal.ndim == 2:
            return signal
        if self.mics > 1 and signal.ndim == 3 and signal.shape[2] == self.mics:
            return signal.transpose(1, 2)
        shape = "[batch, time]" if self.mics == 1 else f"[batch, time, {self.mics}], a channel for each microphone"
        raise InputError(f"{name} of shape {list(signal.shape)}: expected {shape}")

    def at_reference(self, signal: Tensor) -> Tensor:
        """Return of ``signal`` [batch, time] or [batch, time, M] what the reference hears, [batch, time]."""
        return signal if self.mics == 1 else signal[..., self.reference]

    def silence(self, batch: int, samples: int) -> Tensor:
        """Return zeros in the shape of a signal, [batch, samples] or [batch, samples, M]."""
        return self.weight.new_zeros(batch, samples, *self._channels)

    def _encode(self, signal: Tensor) -> Tensor:
        """Encode whole frames, [batch, time] or [batch, M, time]."""
        if self.mics == 1:
            weights = ops.encode(signal, self.weight, self.stride)
        else:
            order = encoder_order(self.mics, self.reference)
            sets = [(mic, self.weight) for mic in order[: self.outputs]]
            sets += zip(order[1:], self.spatial.unbind(), strict=True)
            weights = torch.cat([ops.encode(signal[:, mic], taps, self.stride) for mic, taps in sets], dim=2)
        return (torch.relu(weights) if self.activation else weights).transpose(1, 2)

    def initial_state(self, batch: int) -> Tensor:
        """Return the samples that wait for their frame: at first the edge padding alone.

        Returns
        -------
        Tensor
            [batch, 0 to L - 1], or [batch, M, 0 to L - 1] of several microphones.
        """
        return self.weight.new_zeros(batch, *self._channels, self.stride if self.edge_padding else 0)

    def step(self, signal: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Encode the next samples of a stream, [batch, time] or [batch, time, M], any time, also none.

        Returns the frames that are complete now, in the shape of `forward`, and what waits for the next ones.
        """
        waiting = torch.cat([state, self.by_microphone(signal)], dim=-1)
        frames = max(waiting.shape[-1] // self.stride - 1, 0)
        if frames == 0:
            channels = (self.outputs + self.mics - 1) * len(self.weight)
            return signal.new_zeros(len(signal), channels, 0), waiting
        return self._encode(waiting[..., : (frames + 1) * self.stride]), waiting[..., frames * self.stride :]


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
        """Return what the last frame adds to samples still to come, [batch, sources, L/2]: zeros at first."""
        return self.weight.new_zeros(batch, sources, self.stride)

    def step(self, weights: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Decode [sources, batch, N, frames] to [batch, sources, frames * L/2], with the first edge padding."""
        signal = ops.decode(weights.permute(1, 0, 3, 2), self.weight)
        begun = signal[..., : self.stride] + state
        joined = torch.cat([begun, signal[..., self.stride :]], dim=-1)
        return joined[..., : -self.stride], joined[..., -self.stride :]
