"""The network's mathematics, written to be read: any faster path must equal it.

Everything is channels last, [batch, frames, channels]: a 1x1 convolution is then a plain matrix product and
a shift in time a shift of rows. ``padding`` is [batch, frames, 1] of bool, True beyond the end of a shorter
item, or None when all items are of one length.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from speechbrain_tasnet.ops.block_weights import BlockWeights
from speechbrain_tasnet.ops.moments import Moments, cumulative_moments, no_moments
from speechbrain_tasnet.padding import padding_mask

# Added to the variance inside the square root, as the authors' code does.
EPS = 1e-8


def encode(signal: Tensor, weight: Tensor, stride: int) -> Tensor:
    """Take the inner products of overlapping frames with the basis signals (the paper's w = xU, eq. 2).

    Parameters
    ----------
    signal : Tensor
        [batch, time].
    weight : Tensor
        [N, 1, L], the basis signals.
    stride : int
        Samples from one frame to the next.

    Returns
    -------
    Tensor
        [batch, frames, N].

    Example
    -------
    >>> encode(torch.randn(2, 32), torch.randn(5, 1, 8), stride=4).shape
    torch.Size([2, 7, 5])
    """
    return F.linear(signal.unfold(1, weight.shape[2], stride), weight.squeeze(1))


def decode(frames: Tensor, weight: Tensor) -> Tensor:
    """Weight the basis signals and add them up where frames overlap by half (the paper's s = dV, eq. 5).

    Parameters
    ----------
    frames : Tensor
        [..., frames, N].
    weight : Tensor
        [N, 1, L], the basis signals; L even.

    Returns
    -------
    Tensor
        [..., (frames + 1) * L / 2].

    Example
    -------
    >>> decode(torch.randn(3, 2, 7, 5), torch.randn(5, 1, 8)).shape
    torch.Size([3, 2, 32])
    """
    return overlap_add(frames @ weight.squeeze(1))


def overlap_add(frames: Tensor) -> Tensor:
    """Add frames [..., frames, L] up where they overlap by half: [..., (frames + 1) * L / 2].

    Example
    -------
    >>> overlap_add(torch.tensor([[1, 2], [30, 40]]))
    tensor([ 1, 32, 40])
    """
    first, second = frames.chunk(2, dim=-1)  # [..., frames, L / 2] each
    return (F.pad(first, (0, 0, 0, 1)) + F.pad(second, (0, 0, 1, 0))).flatten(-2)


def prelu(x: Tensor, weight: Tensor) -> Tensor:
    """Keep what is positive and scale what is negative by one learned slope (the paper's eq. 15).

    Parameters
    ----------
    x : Tensor
        Any shape.
    weight : Tensor
        [1], the slope.

    Returns
    -------
    Tensor
        Shape of `x`.

    Example
    -------
    >>> prelu(torch.tensor([-2.0, 0, 2]), torch.tensor([0.25]))
    tensor([-0.5000,  0.0000,  2.0000])
    """
    return F.prelu(x, weight)


def depthwise(x: Tensor, weight: Tensor, bias: Tensor, dilation: int, causal: bool) -> Tensor:
    """Convolve each channel in time with its own dilated kernel, zero-padded to the same number of frames.

    Parameters
    ----------
    x : Tensor
        [batch, frames, channels].
    weight : Tensor
        [channels, 1, P].
    bias : Tensor
        [channels].
    dilation : int
        Frames between taps.
    causal : bool
        Whether all taps are at or before the frame they are for, or around it.

    Returns
    -------
    Tensor
        [batch, frames, channels].

    Example
    -------
    >>> x = torch.tensor([1.0, 2, 3, 4]).reshape(1, 4, 1)
    >>> depthwise(x, torch.tensor([[[1.0, 10]]]), torch.zeros(1), dilation=2, causal=True).flatten()
    tensor([10., 20., 31., 42.])
    """
    reach = (weight.shape[2] - 1) * dilation
    left = reach if causal else reach // 2
    return weigh_taps(F.pad(x, (0, 0, left, reach - left)), weight, bias, dilation)


def depthwise_from(past: Tensor, x: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> tuple[Tensor, Tensor]:
    """Continue a causal `depthwise` after the frames ``past`` [batch, (P - 1) * dilation, channels].

    Returns
    -------
    tuple of Tensor
        [batch, frames, channels], and what is past now.
    """
    joined = torch.cat([past, x], dim=1)
    return weigh_taps(joined, weight, bias, dilation), joined[:, x.shape[1] :]


def weigh_taps(x: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
    """Convolve as `depthwise` does, but only where all taps meet ``x``: [batch, frames - reach, channels].

    Example
    -------
    >>> x = torch.tensor([1.0, 2, 3, 4]).reshape(1, 4, 1)
    >>> weigh_taps(x, torch.tensor([[[1.0, 10]]]), torch.zeros(1), dilation=2).flatten()
    tensor([31., 42.])
    """
    taps = weight.shape[2]
    frames = x.shape[1] - (taps - 1) * dilation
    y = bias
    for tap in range(taps):
        y = torch.addcmul(y, x[:, tap * dilation : tap * dilation + frames], weight[:, 0, tap])
    return y


def global_norm(x: Tensor, weight: Tensor, bias: Tensor, padding: Tensor | None = None) -> Tensor:
    """Normalise over all channels and frames (the paper's gLN, eq. 16).

    Parameters
    ----------
    x : Tensor
        [batch, frames, channels].
    weight, bias : Tensor
        [channels], the paper's gamma and beta.
    padding : Tensor, optional
        [batch, frames, 1] of bool: frames that do not count.

    Returns
    -------
    Tensor
        [batch, frames, channels]; what it holds on padding is undefined.
    """
    x = x.float() if x.dtype != torch.float64 else x
    if padding is None and torch.onnx.is_in_onnx_export():
        # Runtimes add up all that a graph's own norm is of in one float32: in a browser the millions of values of
        # half a minute cost it two digits. Row by row they do not.
        centred = x - x.mean(2, keepdim=True).mean(1, keepdim=True)
        variance = centred.square().mean(2, keepdim=True).mean(1, keepdim=True)
        return torch.addcmul(bias, centred, (variance + EPS).rsqrt() * weight)
    if padding is None:
        return _scale(F.group_norm(x, 1, eps=EPS), weight, bias)  # one group: the whole item
    count = (~padding).sum(1, keepdim=True) * x.shape[2]
    mean = x.masked_fill(padding, 0).sum((1, 2), keepdim=True) / count
    centred = (x - mean).masked_fill(padding, 0)
    variance = centred.square().sum((1, 2), keepdim=True) / count
    return _scale(centred * (variance + EPS).rsqrt(), weight, bias)


def _scale(normalised: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Multiply and add in the type of what was normalised; a network in half precision gets its own type back."""
    if weight.dtype == normalised.dtype:
        return torch.addcmul(bias, normalised, weight)
    return torch.addcmul(bias.to(normalised.dtype), normalised, weight.to(normalised.dtype)).to(weight.dtype)


def cumulative_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Normalise each frame over all channels of all frames so far (the paper's cLN, eq. 17).

    Parameters
    ----------
    x : Tensor
        [batch, frames, channels].
    weight, bias : Tensor
        [channels].

    Returns
    -------
    Tensor
        [batch, frames, channels].
    """
    return cumulative_norm_from(no_moments(x.shape[0], x.device), x, weight, bias)[0]


def cumulative_norm_from(before: Moments, x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Moments]:
    """Continue `cumulative_norm` after frames of which only the moments are known.

    Returns
    -------
    Tensor, Moments
        [batch, frames, channels], and the moments of all frames, these included.
    """
    x = x.float() if x.dtype != torch.float64 else x
    if x.shape[1] == 0:
        return x, before
    variance, mean = torch.var_mean(x, dim=2, unbiased=False)  # of each frame: [batch, frames]
    # A mean far above the deviation has too few digits behind the point: what they miss is kept beside it.
    rest = (x - mean.unsqueeze(2)).mean(2)
    mean_so_far, variance_so_far = cumulative_moments(mean.double() + rest, variance.double(), before)
    rstd = (variance_so_far + EPS).rsqrt()
    high = mean_so_far.to(x.dtype)
    low = (mean_so_far - high).to(x.dtype)
    normalised = ((x - high.unsqueeze(2)) - low.unsqueeze(2)) * rstd.to(x.dtype).unsqueeze(2)
    now = Moments(before.frames + x.shape[1], mean_so_far[:, -1:], variance_so_far[:, -1:])
    return _scale(normalised, weight, bias), now


def channelwise_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Normalise each frame over its channels, as SpeechBrain's and Asteroid's "cLN" does.

    Parameters
    ----------
    x : Tensor
        [batch, frames, channels].
    weight, bias : Tensor
        [channels].

    Returns
    -------
    Tensor
        [batch, frames, channels].
    """
    return F.layer_norm(x, weight.shape, weight, bias, eps=EPS)


def conv_block(
    x: Tensor,
    skip: Tensor,
    weights: BlockWeights,
    dilation: int,
    causal: bool,
    norm: str,
    valid: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Run one block of the paper's figure 1C: 1x1, PReLU, norm, depthwise, PReLU, norm, 1x1 to both paths.

    Parameters
    ----------
    x : Tensor
        [batch, frames, channels].
    skip : Tensor
        [batch, frames, skip channels], the sum of the skip outputs of the blocks before.
    weights : BlockWeights
        The weights.
    dilation : int
        Frames between the taps of the depthwise convolution.
    causal : bool
        Whether the block must not see the future.
    norm : str
        ``global``, ``cumulative`` or ``channelwise``.
    valid : Tensor, optional
        [batch] of int, the frames that each item of a padded batch has; the output after them is undefined.

    Returns
    -------
    tuple of Tensor
        `x` plus the residual output and `skip` plus the skip output; without channels, for a path that the
        block does not have.
    """
    w = weights
    padding = None if valid is None else padding_mask(valid, x.shape[1])
    hidden = prelu(F.linear(x, w.expand_weight, w.expand_bias), w.slope1)
    hidden = normalise(norm, hidden, w.gain1, w.shift1, padding)
    if padding is not None:
        # The convolution must meet the zeros that it would meet behind the item alone.
        hidden = hidden.masked_fill(padding, 0)
    hidden = prelu(depthwise(hidden, w.taps, w.taps_bias, dilation, causal), w.slope2)
    hidden = normalise(norm, hidden, w.gain2, w.shift2, padding)
    residual = (
        x[..., :0] if w.residual_weight is None else x + F.linear(hidden, w.residual_weight, w.residual_bias)
    )
    return residual, skip if w.skip_weight is None else skip + F.linear(hidden, w.skip_weight, w.skip_bias)


def conv_blocks(
    x: Tensor,
    valid: Tensor | None,
    blocks: Sequence[BlockWeights],
    dilations: Sequence[int],
    causal: bool,
    norm: str,
    one: Callable[..., tuple[Tensor, Tensor]] = conv_block,
) -> tuple[Tensor, Tensor]:
    """Run blocks in a row, each by ``one``, which equals `conv_block`.

    Returns the end of the residual path, without channels where the last block has none, and the sum of the skip
    path.
    """
    skip = x.new_zeros(*x.shape[:2], 0 if blocks[0].skip_weight is None else blocks[0].skip_weight.shape[0])
    for weights, dilation in zip(blocks, dilations, strict=True):
        x, skip = one(x, skip, weights, dilation, causal, norm, valid)
    return x, skip


def normalise(norm: str, x: Tensor, weight: Tensor, bias: Tensor, padding: Tensor | None = None) -> Tensor:
    """Apply the norm of that name; ``padding`` matters to the global one alone, to the others it comes later."""
    if norm == "global":
        return global_norm(x, weight, bias, padding)
    return {"cumulative": cumulative_norm, "channelwise": channelwise_norm}[norm](x, weight, bias)
