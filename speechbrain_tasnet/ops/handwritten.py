"""The operations whose derivative autograd takes slowly on a processor, with the derivative written by hand.

Values and gradients are those of `naive`, which serves wherever no gradient is asked for, and on a GPU.
"""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from speechbrain_tasnet.ops import naive


def prelu(x: Tensor, weight: Tensor) -> Tensor:
    """Compute `naive.prelu`."""
    return _PReLU.apply(x, weight) if _trains_on_cpu(x) else naive.prelu(x, weight)


def depthwise(x: Tensor, weight: Tensor, bias: Tensor, dilation: int, causal: bool) -> Tensor:
    """Compute `naive.depthwise`."""
    function = _Depthwise.apply if _trains_on_cpu(x) else naive.depthwise
    return function(x, weight, bias, dilation, causal)


def _trains_on_cpu(x: Tensor) -> bool:
    return x.requires_grad and torch.is_grad_enabled() and x.device.type == "cpu"


class _PReLU(Function):
    """With one slope a leaky ReLU, whose derivative is vectorised where PReLU's is not."""

    @staticmethod
    def forward(ctx, x, weight):
        ctx.slope = weight.item()
        ctx.save_for_backward(x)
        return F.leaky_relu(x, ctx.slope)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        grad_x = torch.ops.aten.leaky_relu_backward(grad, x, ctx.slope, False)
        return grad_x, torch.dot(grad.flatten().float(), x.clamp(max=0).flatten().float()).reshape(1)


class _Depthwise(Function):
    """The derivative by ``x`` is a convolution with the taps reversed, by a tap an inner product."""

    @staticmethod
    def forward(ctx, x, weight, bias, dilation, causal):
        reach = (weight.shape[2] - 1) * dilation
        left = reach if causal else reach // 2
        padded = F.pad(x, (0, 0, left, reach - left))
        ctx.save_for_backward(padded, weight)
        ctx.dilation, ctx.left = dilation, left
        return _correlate(padded, weight, dilation, start=bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        padded, weight = ctx.saved_tensors
        frames, reach = grad.shape[1], padded.shape[1] - grad.shape[1]
        padded_grad = F.pad(grad, (0, 0, reach - ctx.left, ctx.left))
        grad_x = _correlate(padded_grad, weight.flip(2), ctx.dilation, start=grad.new_zeros(()))
        starts = range(0, reach + 1, ctx.dilation)
        grad_weight = [(grad * padded[:, start : start + frames]).sum((0, 1)) for start in starts]
        return grad_x, torch.stack(grad_weight, dim=1).unsqueeze(1), grad.sum((0, 1)), None, None


def _correlate(padded: Tensor, weight: Tensor, dilation: int, start: Tensor) -> Tensor:
    """Add the shifted and weighted rows of ``padded`` [batch, frames + reach, channels] to ``start``."""
    taps = weight.squeeze(1).T.contiguous()  # [P, channels]
    frames = padded.shape[1] - (len(taps) - 1) * dilation
    y = torch.addcmul(start, padded[:, :frames], taps[0])
    for k, tap in enumerate(taps[1:], start=1):
        y.addcmul_(padded[:, k * dilation : k * dilation + frames], tap)
    return y
