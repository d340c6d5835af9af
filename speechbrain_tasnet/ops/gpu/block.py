"""A convolutional block in few sweeps over memory, with its derivative written by hand.

A norm needs all of its input before it can give any output, so a sweep ends where a norm's statistics are
complete. Between the products there are therefore two sweeps: PReLU and the first statistics; then first norm,
depthwise convolution, PReLU and the second statistics. The second norm goes into the product behind it: its gain
into the weight, mean and deviation into the sweep that adds the product to residual and skip path.

Saved for the way back are the input and the first product; the rest is computed again in one sweep. The sweeps
are in `passes`, this file only puts them in order.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from speechbrain_tasnet.ops.block_weights import BlockWeights
from speechbrain_tasnet.ops.gpu import passes
from speechbrain_tasnet.ops.gpu.arguments import Activation, Taps


class Shape(NamedTuple):
    """What a block is, beside its weights."""

    dilation: int
    causal: bool
    norm: str
    half: torch.dtype | None  # of the products, where it is not the input's


def conv_block(
    x: Tensor,
    skip: Tensor,
    weights: BlockWeights,
    dilation: int,
    causal: bool,
    norm: str,
    valid: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Compute `reference.conv_block` by `passes`."""
    if valid is None:
        valid = torch.full((len(x),), x.shape[1], device=x.device)
    half = None
    if torch.is_autocast_enabled(x.device.type):
        # Products in half precision; what adds up from block to block stays whole.
        half, x, skip = torch.get_autocast_dtype(x.device.type), x.float(), skip.float()
    with torch.autocast(x.device.type, enabled=False):
        return _ConvBlock.apply(x, skip, valid, Shape(dilation, causal, norm, half), *weights)


class _ConvBlock(Function):
    @staticmethod
    def forward(ctx, x, skip, valid, shape, *weights):
        w, norm = BlockWeights(*weights), shape.norm
        rows = _rows(x).to(shape.half or x.dtype)
        u = torch.mm(rows, w.expand_weight.T.to(rows.dtype)).view(*x.shape[:2], -1)
        norm1 = passes.statistics(u, w.expand_bias, w.slope1, norm, valid)
        hidden = Activation(u, w.expand_bias, w.slope1, *norm1, w.gain1, w.shift1)
        a, *norm2 = passes.convolve(hidden, _taps(w, shape), w.slope2, norm, valid)
        weight, bias = _output(w)
        folded = weight * w.gain2
        y = torch.mm(_rows(a), folded.T.to(a.dtype)).view(*x.shape[:2], -1)
        constant = torch.addmv(bias, weight, w.shift2)
        ctx.shape = shape
        ctx.save_for_backward(rows, u, *norm1, *norm2, valid, *weights)
        return passes.finish(y, *norm2, folded.sum(1), constant, valid, x, skip)

    @staticmethod
    @once_differentiable
    def backward(ctx, d_residual, d_total):
        rows, u, mean1, rstd1, mean2, rstd2, valid, *weights = ctx.saved_tensors
        w, shape = BlockWeights(*weights), ctx.shape
        taps = _taps(w, shape)
        hidden = Activation(u, w.expand_bias, w.slope1, mean1, rstd1, w.gain1, w.shift1)

        v, n2 = passes.convolve_again(hidden, taps, w.slope2, mean2, rstd2, valid)
        d_y = _rows(torch.cat([d_residual.to(u.dtype), d_total.to(u.dtype)], dim=2))
        dn2, d_gain2, d_shift2, *d_output = _output_backward(d_y, n2, w)
        norm2 = shape.norm, mean2, rstd2, valid
        dv, d_taps_bias, d_slope2 = passes.activation_backward(dn2, n2, v, w.slope2, *norm2)
        du, *d_hidden, d_taps = passes.convolve_backward(dv, hidden, taps, shape.norm, valid)
        du = _rows(du)
        d_expand = torch.mm(du.T, rows).to(w.expand_weight.dtype)
        dx = torch.mm(du, w.expand_weight.to(u.dtype)).to(d_total.dtype).view(*u.shape[:2], -1)
        if w.residual_weight is not None:
            dx += d_residual
        grads = BlockWeights(d_expand, *d_hidden, d_taps, d_taps_bias, d_slope2, d_gain2, d_shift2, *d_output)
        return dx, d_total, None, None, *grads


def _output_backward(d_y: Tensor, n: Tensor, w: BlockWeights) -> tuple[Tensor | None, ...]:
    """Propagate back through second gain and shift and the two products after them.

    Returns the derivative by the normalised activation ``n``, then those by gain, shift, and weight and bias of
    either path. Sums of products stand where passes over memory would have stood: what the shift added to a
    product is a sum of its weight, and the gain's derivative a sum of the weight's own.
    """
    weight, _ = _output(w)
    by_normalised = torch.mm(d_y.T, _rows(n)).to(weight.dtype)
    d_bias = d_y.sum(0, dtype=weight.dtype)
    d_weight = torch.addr(by_normalised * w.gain2, d_bias, w.shift2)
    d_n = torch.mm(d_y, (weight * w.gain2).to(n.dtype)).view_as(n)
    channels = 0 if w.residual_weight is None else len(w.residual_weight)
    residual = (None, None) if w.residual_weight is None else (d_weight[:channels], d_bias[:channels])
    skip = (None, None) if w.skip_weight is None else (d_weight[channels:], d_bias[channels:])
    return d_n, (by_normalised * weight).sum(0), d_bias @ weight, *residual, *skip


def _rows(x: Tensor) -> Tensor:
    return x.reshape(-1, x.shape[2])


def _taps(w: BlockWeights, shape: Shape) -> Taps:
    reach = (w.taps.shape[2] - 1) * shape.dilation
    return Taps(w.taps, w.taps_bias, reach if shape.causal else reach // 2, shape.dilation)


def _output(w: BlockWeights) -> tuple[Tensor, Tensor]:
    """Combine residual and skip product, because they multiply the same rows."""
    pairs = [(w.residual_weight, w.residual_bias), (w.skip_weight, w.skip_bias)]
    weights, biases = zip(*((weight, bias) for weight, bias in pairs if weight is not None), strict=True)
    return torch.cat(weights), torch.cat(biases)
