"""A causal mask network packed for streams on a CPU: the weights, state and scratch memory of `stream`."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from speechbrain_tasnet.ops.block_weights import BlockWeights, MaskWeights
from speechbrain_tasnet.ops.cpu import stream
from speechbrain_tasnet.ops.cpu.linear import pack_weights
from speechbrain_tasnet.ops.cpu.products import rounded
from speechbrain_tasnet.ops.cpu.stream import Memory, Packed, Scratch
from speechbrain_tasnet.ops.moments import Moments

# Rows that are done at once: they stay in the second-level cache.
ROWS = 64


class PackedNet:
    """The weights of a causal mask network up to its last activation, packed once for any number of streams.

    Parameters
    ----------
    weights : MaskWeights
        Of float32, on the CPU.
    dilations : sequence of int
        Frames between the taps of each block.
    norm : str
        ``cumulative`` or ``channelwise``.
    """

    def __init__(self, weights: MaskWeights, dilations: Sequence[int], norm: str):
        w, blocks = weights, weights.blocks
        self.cumulative = norm == "cumulative"
        self.reaches = [(blocks[0].taps.shape[2] - 1) * dilation for dilation in dilations]
        front = _fold(w.bottleneck_weight, w.bottleneck_bias, w.gain, w.shift)
        outputs = [_fold(*_output(block), block.gain2, block.shift2) for block in blocks]
        self.arrays = Packed(
            front=pack_weights([front[0]]),
            front_finish=_stack([front[1]]),
            expand=pack_weights([block.expand_weight for block in blocks]),
            output=pack_weights([weight for weight, _ in outputs]),
            hidden=_stack(
                torch.stack([b.expand_bias, b.gain1, b.shift1, b.taps_bias, *b.taps.squeeze(1).T]) for b in blocks
            ),
            finish=_stack(finish for _, finish in outputs),
            slopes=_stack([*(torch.cat([b.slope1, b.slope2]) for b in blocks), torch.cat([w.slope, w.slope])]),
            back=pack_weights([w.mask_weight]),
            back_bias=w.mask_bias.detach().numpy().copy(),
            dilations=np.array(dilations),
            has_skip=blocks[0].skip_weight is not None,
            cumulative=self.cumulative,
        )

    def begin(self, norm: tuple, blocks: Sequence[tuple], spatial: tuple = ()) -> "PackedStreams":
        """Pack the state of the first norm, and those of first norm, convolution and second norm of each block.

        What other microphones have to remember, ``spatial``, is kept as it is.
        """
        return PackedStreams(self, norm, blocks, spatial)

    def scratch(self, rows: int) -> Scratch:
        """Allocate the arrays in which the loops work on this many rows."""
        outputs, hidden = self.arrays.finish.shape[2], self.arrays.hidden.shape[2]

        def zeros(*shape):
            return np.zeros(shape, np.float32)

        return Scratch(
            carried=zeros(rows, outputs),
            hidden=zeros(rows, rounded(hidden)),
            product=zeros(rows, rounded(outputs)),
            scores=zeros(rows, rounded(len(self.arrays.back_bias))),
            convolved=zeros(1, hidden),
            mean=zeros(rows),
            rstd=zeros(rows),
        )


class PackedStreams:
    """The state of a packed network for a batch of streams; a step changes it in place.

    Parameters
    ----------
    net : PackedNet
        The network.
    norm, blocks, spatial
        As for `PackedNet.begin`.
    """

    def __init__(self, net: PackedNet, norm: tuple, blocks: Sequence[tuple], spatial: tuple):
        self.net, self.spatial = net, spatial
        # Frames in the order of time are a ring that begins a new turn.
        self._ring = torch.cat([past for _, past, _ in blocks], dim=1).contiguous()
        self._turned = self._seen = 0
        batch = len(self._ring)
        norms = [norm, *(norm for first, _, second in blocks for norm in (first, second))]
        self._moments = torch.zeros(len(norms), batch, 2, dtype=torch.float64)
        if net.cumulative:
            self._seen = int(norm.frames[0])
            self._moments[:] = torch.stack([torch.cat([m.mean, m.variance], dim=1) for m in norms])
        self._memory = Memory(self._ring.numpy(), self._moments.numpy())
        self._scratch = net.scratch(max(ROWS, batch))

    def step(self, x: Tensor, added: Sequence[Tensor] = (), spatial: tuple = ()) -> Tensor:
        """Take the next frames [batch, frames, N] to scores [batch, frames, C * N], valid until the next step.

        ``added`` are tensors [batch, frames, B] that other microphones give to the bottleneck, ``spatial`` is what
        they remember from here on. Computes in float32, also under autocast: half precision would not be faster.
        """
        self.spatial = spatial
        more = sum(added[1:], added[0]) if added else x.new_zeros(*x.shape[:2], 0)
        most = max(1, ROWS // len(x))
        if x.shape[1] <= most:
            return self._few(x, more)
        parts = zip(x.split(most, dim=1), more.split(most, dim=1), strict=True)
        return torch.cat([self._few(*part).clone() for part in parts], dim=1)

    def _few(self, x: Tensor, added: Tensor) -> Tensor:
        batch, frames, _ = x.shape
        arrays = self.net.arrays
        # As the tiles read them.
        rows, more = (part.flatten(0, 1).float().contiguous().numpy() for part in (x, added))
        stream.run(arrays, self._memory, self._scratch, rows, more, frames, self._seen, self._turned)
        self._seen += frames
        self._turned += frames
        scores = torch.from_numpy(self._scratch.scores)[: len(rows), : len(arrays.back_bias)]
        return scores.unflatten(0, (batch, frames))

    def unpack(self) -> tuple[tuple, list[tuple], tuple]:
        """Return the states as `PackedNet.begin` takes them."""
        frames = torch.full((len(self._ring), 1), float(self._seen), dtype=torch.float64)
        norms = [
            Moments(frames, *moments.clone().split(1, dim=1)) if self.net.cumulative else ()
            for moments in self._moments
        ]
        pasts = [past.roll(-self._turned, dims=1) for past in self._ring.split(self.net.reaches, dim=1)]
        return norms[0], list(zip(norms[1::2], pasts, norms[2::2], strict=True)), self.spatial


def _stack(arrays: Iterable[Tensor]) -> np.ndarray:
    return torch.stack(list(arrays)).numpy()


def _fold(weight: Tensor, bias: Tensor, gain: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Move gain and shift of a norm into the linear layer after it.

    Returns the weight for what is not normalised yet, and its rows' sums with all that is added at the end.
    """
    folded = weight * gain
    return folded, torch.stack([folded.sum(1), weight @ shift + bias])


def _output(w: BlockWeights) -> tuple[Tensor, Tensor]:
    """Put residual and skip product together; a residual that does not exist is a product with zeros."""
    if w.residual_weight is None:
        channels = w.expand_weight.shape[1]
        w = w._replace(
            residual_weight=w.skip_weight.new_zeros(channels, w.skip_weight.shape[1]),
            residual_bias=w.skip_weight.new_zeros(channels),
        )
    if w.skip_weight is None:
        return w.residual_weight, w.residual_bias
    return torch.cat([w.residual_weight, w.skip_weight]), torch.cat([w.residual_bias, w.skip_bias])
