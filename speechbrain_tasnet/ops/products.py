"""Matrix products in the way the processor at hand does them fastest."""

import platform
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from speechbrain_tasnet.ops.passes import find_passes, traced

# Multiplications that MKL, at half the speed, has done while oneDNN's call has not yet begun.
DEAR_CALL = 2**20


def product(x: Tensor, weight: Tensor) -> Tensor:
    """Multiply ``x`` [rows, inner] by the transpose of ``weight`` [outer, inner]: [rows, outer].

    Example
    -------
    >>> product(torch.randn(7, 3), torch.randn(5, 3)).shape
    torch.Size([7, 5])
    """
    if _onednn_is_faster(x, len(weight)):
        return torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")
    return torch.mm(x, weight.T)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compute ``torch.nn.functional.linear`` of ``x`` [..., inner] with such products."""
    if not traced() and _onednn_is_faster(x, len(weight)) and not torch.is_autocast_enabled("cpu"):
        return _Linear.apply(x, weight, bias)
    return F.linear(x, weight, bias)


class _Linear(Function):
    @staticmethod
    def forward(ctx, x, weight, bias):
        ctx.save_for_backward(x, weight)
        out = product(x.flatten(0, -2), weight)
        return (out if bias is None else out.add_(bias)).unflatten(0, x.shape[:-1])

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        rows = grad.flatten(0, -2)
        d_x = product(rows, weight.T).view_as(x) if ctx.needs_input_grad[0] else None
        return d_x, product_over_rows(rows, x.flatten(0, -2)), rows.sum(0) if ctx.needs_input_grad[2] else None


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


def product_over_rows(y: Tensor, x: Tensor) -> Tensor:
    """Multiply the transpose of ``y`` [rows, outer] by ``x`` [rows, inner]: [outer, inner].

    Example
    -------
    >>> product_over_rows(torch.randn(7, 5), torch.randn(7, 3)).shape
    torch.Size([5, 3])
    """
    passes = find_passes(x) if _mkl_is_slow(x) else None
    return torch.mm(y.T, x) if passes is None else passes.product_over_rows(y, x)


def _onednn_is_faster(x: Tensor, outer: int) -> bool:
    """Tell whether oneDNN takes ``x`` [..., inner] to ``outer`` columns faster, although it is slower to call."""
    return x.numel() * outer >= DEAR_CALL and _mkl_is_slow(x)


def _mkl_is_slow(x: Tensor) -> bool:
    possible = x.dtype == torch.float32 and x.device.type == "cpu" and x.numel() > 0
    return possible and torch.backends.mkldnn.enabled and _is_amd()


@cache
def _is_amd() -> bool:
    """Tell whether this is an AMD processor.

    There torch's float32 products go through MKL, which leaves half of the vector unit unused; oneDNN, which
    does its convolutions and what it compiles, does not.
    """
    cpuinfo = Path("/proc/cpuinfo")
    return "AuthenticAMD" in (cpuinfo.read_text(encoding="utf-8") if cpuinfo.exists() else platform.processor())
