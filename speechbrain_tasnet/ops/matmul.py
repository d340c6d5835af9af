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
    if x.shape[-1] != weight.shape[1]:  # torch says what is wrong, our loops would read past the end
        return False
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


def apply_masks(masks: Tensor, mixture_w: Tensor, summed: int = 1) -> Tensor:
    """Multiply masks by an encoded mixture.

    Parameters
    ----------
    masks : Tensor
        [C, batch, N, frames].
    mixture_w : Tensor
        [batch, N, frames].
    summed : int
        Parts of the N products, such as microphones, that are added to each other.

    Returns
    -------
    Tensor
        [C, batch, N / summed, frames].
    """
    if not traced():
        return _Masks.apply(masks, mixture_w, summed)
    product = masks * mixture_w
    return product if summed == 1 else product.unflatten(2, (summed, -1)).sum(2)


class _Masks(Function):
    """Autograd would write the product over all sources before it sums them, and not in memory's order."""

    @staticmethod
    def forward(ctx, masks, mixture_w, summed):
        ctx.save_for_backward(masks, mixture_w)
        ctx.summed = summed
        parts = zip(masks.chunk(summed, dim=2), mixture_w.chunk(summed, dim=1), strict=True)
        mask, weights = next(parts)
        product = mask * weights
        for mask, weights in parts:
            product.addcmul_(mask, weights)
        return product

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        masks, mixture_w = ctx.saved_tensors
        d_masks, d_mixture_w = torch.empty_like(masks), torch.zeros_like(mixture_w)
        for d_part, weights in zip(d_masks.chunk(ctx.summed, 2), mixture_w.chunk(ctx.summed, 1), strict=True):
            torch.mul(grad, weights, out=d_part)
        for mask, d_product in zip(masks, grad, strict=True):
            for d_part, part in zip(d_mixture_w.chunk(ctx.summed, 1), mask.chunk(ctx.summed, 1), strict=True):
                d_part.addcmul_(part, d_product)
        return d_masks, d_mixture_w, None
