"""Convolutional blocks packed for streams on a processor: weights, memory and scratch of `loops_stream`."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from speechbrain_tasnet.ops import loops_stream
from speechbrain_tasnet.ops.loops_stream import Memory, Packed, Scratch
from speechbrain_tasnet.ops.moments import Moments
from speechbrain_tasnet.ops.naive import BlockWeights
from speechbrain_tasnet.ops.tile import WIDTH, panels

# So many rows are done at once: they stay in the second-level cache.
ROWS = 64


class PackedBlocks:
    """The weights of a causal network's blocks, packed once for any number of streams.

    Parameters
    ----------
    blocks : sequence of BlockWeights
        Of float32, on the processor.
    dilations : sequence of int
        Frames between the taps of each.
    norm : str
        ``cumulative`` or ``channelwise``.
    """

    def __init__(self, blocks: Sequence[BlockWeights], dilations: Sequence[int], norm: str):
        skip_channels = 0 if blocks[0].skip_weight is None else len(blocks[0].skip_weight)
        self.channels_out = skip_channels or blocks[0].expand_weight.shape[1]
        self.cumulative = norm == "cumulative"
        self.reaches = [(blocks[0].taps.shape[2] - 1) * dilation for dilation in dilations]
        outputs = [_output(w, skip_channels) for w in blocks]
        folded = [weight * w.gain2 for w, (weight, _) in zip(blocks, outputs, strict=True)]
        added = [weight @ w.shift2 + bias for w, (weight, bias) in zip(blocks, outputs, strict=True)]
        self.arrays = Packed(
            expand=_stack(panels(w.expand_weight) for w in blocks),
            output=_stack(map(panels, folded)),
            hidden=_stack(
                torch.stack([w.expand_bias, w.gain1, w.shift1, w.taps_bias, *w.taps.squeeze(1).T]) for w in blocks
            ),
            finish=_stack(torch.stack([f.sum(1), a]) for f, a in zip(folded, added, strict=True)),
            slopes=_stack(torch.cat([w.slope1, w.slope2]) for w in blocks),
            dilations=np.array(dilations),
            cumulative=self.cumulative,
        )

    def begin(self, states: Sequence[tuple]) -> "PackedState":
        """Pack the states of the blocks: of each first norm, depthwise convolution and second norm."""
        return PackedState(self, states)

    def scratch(self, rows: int) -> Scratch:
        """Make the arrays in which the loops work on so many rows."""
        outputs, hidden = self.arrays.finish.shape[2], self.arrays.hidden.shape[2]
        return Scratch(
            carried=np.zeros((rows, outputs), np.float32),
            hidden=np.zeros((rows, _rounded(hidden)), np.float32),
            product=np.zeros((rows, _rounded(outputs)), np.float32),
            convolved=np.zeros((1, hidden), np.float32),
            mean=np.zeros(rows, np.float32),
            rstd=np.zeros(rows, np.float32),
        )


class PackedState:
    """What the blocks remember of a batch of streams; a step changes it in place.

    Parameters
    ----------
    blocks : PackedBlocks
        Whose.
    states : sequence of tuple
        As for `PackedBlocks.begin`.
    """

    def __init__(self, blocks: PackedBlocks, states: Sequence[tuple]):
        self.blocks = blocks
        # Frames in the order of time are a ring that begins a new turn.
        self._ring = torch.cat([past for _, past, _ in states], dim=1).contiguous()
        self._turned = 0
        batch = len(self._ring)
        self._moments = torch.zeros(len(states), 2, batch, 2, dtype=torch.float64)
        self._seen = 0
        if blocks.cumulative:
            self._seen = int(states[0][0].frames[0])
            for i, (first, _, second) in enumerate(states):
                self._moments[i] = torch.stack([torch.cat([m.mean, m.variance], dim=1) for m in (first, second)])
        self._memory = Memory(self._ring.numpy(), self._moments.numpy())
        self._scratch = blocks.scratch(max(ROWS, batch))

    def step(self, x: Tensor) -> Tensor:
        """Take the next frames [batch, frames, channels] through the blocks: [batch, frames, channels out]."""
        few = max(1, ROWS // len(x))
        parts = [self._few(part) for part in x.split(few, dim=1)]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)

    def _few(self, x: Tensor) -> Tensor:
        batch, frames, channels = x.shape
        carried = torch.from_numpy(self._scratch.carried[: batch * frames])
        carried[:, :channels] = x.reshape(-1, channels)
        carried[:, channels:] = 0
        loops_stream.run(
            self.blocks.arrays, self._memory, self._scratch, batch, frames, self._seen, self._turned
        )  # fmt: skip
        self._seen += frames
        self._turned += frames
        return carried[:, -self.blocks.channels_out :].unflatten(0, (batch, frames)).clone()

    def unpack(self) -> list[tuple]:
        """Give the states as `PackedBlocks.begin` takes them."""
        frames = torch.full((len(self._ring), 1), float(self._seen), dtype=torch.float64)
        pasts = self._ring.split(self.blocks.reaches, dim=1)
        return [
            (self._norm(frames, i, 0), past.roll(-self._turned, dims=1), self._norm(frames, i, 1))
            for i, past in enumerate(pasts)
        ]

    def _norm(self, frames: Tensor, block: int, norm: int) -> tuple:
        return Moments(frames, *self._moments[block, norm].clone().split(1, dim=1)) if self.blocks.cumulative else ()


def _stack(arrays: Iterable[Tensor]) -> np.ndarray:
    return torch.stack(list(arrays)).contiguous().numpy()


def _output(w: BlockWeights, skip_channels: int) -> tuple[Tensor, Tensor]:
    """Put residual and skip product together; a missing residual is a product with zeros."""
    channels, hidden = w.expand_weight.shape[1], len(w.expand_weight)
    like = w.expand_weight
    residual = w.residual_weight if w.residual_weight is not None else like.new_zeros(channels, hidden)
    residual_bias = w.residual_bias if w.residual_bias is not None else like.new_zeros(channels)
    if not skip_channels:
        return residual, residual_bias
    return torch.cat([residual, w.skip_weight]), torch.cat([residual_bias, w.skip_bias])


def _rounded(channels: int) -> int:
    return -(-channels // WIDTH) * WIDTH
