"""Linear layers and masks, with derivatives that take the fastest way through memory."""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from speechbrain_tasnet.ops.dispatch import find_loops, traced

# Rows that do not repay laying out the weight, as those of a stream's chunk.
FEW = 64


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compute ``torch.nn.functional.linear`` of ``x`` [..., inner], on a CPU by products of our own.

    Example
    -------
    >>> linear(torch.randn(2, 7, 3), torch.randn(5, 3)).shape
    torch.Size([2, 7, 5])
    """
    return _Linear.apply(x, weight, bias) if _ours(x, weight) else F.linear(x, weight, bias)


def _ours(x: Tensor, weight: Tensor) -> bool:
    if x.device.type != "cpu" or x.numel() == 0 or {x.dtype, weight.dtype} != {torch.float32}:
        return False
    few = x.numel() < FEW * x.shape[-1] and not torch.is_autocast_enabled("cpu")
    return not few and find_loops(x) is not None


class _Linear(Function):
    """Under autocast the factors are rounded, where that is faster; results stay in float32."""

    @staticmethod
    def forward(ctx, x, weight, bias):
        ctx.save_for_backward(x, weight)
        loops = find_loops(x)
        ctx.half = torch.is_autocast_enabled("cpu") and loops.half_is_fast()
        out = loops.product(x.flatten(0, -2), weight, ctx.half)
        return (out if bias is None else out.add_(bias)).unflatten(0, x.shape[:-1])

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        loops, rows = find_loops(x), grad.flatten(0, -2)
        d_x = loops.product(rows, weight.T, ctx.half).view_as(x) if ctx.needs_input_grad[0] else None
        d_weight = loops.product_over_rows(rows, x.flatten(0, -2), ctx.half)
        return d_x, d_weight, rows.sum(0) if ctx.needs_input_grad[2] else None


def apply_masks(masks: Tensor, mixture_w: Tensor) -> Tensor:
    """Multiply ``masks`` [C, batch, N, frames] by ``mixture_w`` [batch, N, frames]."""
    return masks * mixture_w if traced() else _Masks.apply(masks, mixture_w)


class _Masks(Function):
    """Autograd would write the product over all sources before it sums them, and not in memory's order."""

    @staticmethod
    def forward(ctx, masks, mixture_w):
        ctx.save_for_backward(masks, mixture_w)
        return masks * mixture_w

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        masks, mixture_w = ctx.saved_tensors
        d_mixture_w = torch.zeros_like(mixture_w)
        for mask, d_product in zip(masks, grad, strict=True):
            d_mixture_w.addcmul_(mask, d_product)
        return grad * mixture_w, d_mixture_w
