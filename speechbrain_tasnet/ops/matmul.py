"""Matrix products in the way the processor at hand does them fastest."""

from functools import cache

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from speechbrain_tasnet.ops.dispatch import find_passes, traced
from speechbrain_tasnet.ops.fallbacks import note
from speechbrain_tasnet.system.processor import is_amd

# Multiplications that MKL, at half the speed, has done while oneDNN's call has not yet begun.
MIN_MACS_FOR_ONEDNN = 2**20


def product(x: Tensor, weight: Tensor) -> Tensor:
    """Multiply ``x`` [rows, inner] by the transpose of ``weight`` [outer, inner]: [rows, outer].

    Example
    -------
    >>> product(torch.randn(7, 3), torch.randn(5, 3)).shape
    torch.Size([7, 5])
    """
    if _onednn_is_faster(x, len(weight)):
        return _onednn_product(x, weight)
    return torch.mm(x, weight.T)


def _onednn_product(x: Tensor, weight: Tensor) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")


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
    passes = find_passes(x) if mkl_is_slow(x) else None
    return torch.mm(y.T, x) if passes is None else passes.product_over_rows(y, x)


def _onednn_is_faster(x: Tensor, outer: int) -> bool:
    """Return whether oneDNN multiplies ``x`` [..., inner] by ``outer`` columns faster, its call included."""
    return x.numel() * outer >= MIN_MACS_FOR_ONEDNN and mkl_is_slow(x)


def mkl_is_slow(x: Tensor) -> bool:
    """Return whether there is a faster way than torch's own product for the rows of ``x``."""
    # On AMD processors torch's float32 products go through MKL, which leaves half of the vector unit unused there;
    # oneDNN, which does torch's convolutions and what it compiles, does not.
    possible = x.dtype == torch.float32 and x.device.type == "cpu" and x.numel() > 0
    return possible and torch.backends.mkldnn.enabled and is_amd() and onednn_multiplies()


@cache
def onednn_multiplies() -> bool:
    """Check at first use that oneDNN's product does what it should: it is no public function of torch."""
    x, weight = torch.arange(-3.0, 3.0).view(2, 3), torch.arange(12.0).view(4, 3)
    try:
        with torch.no_grad():
            works = torch.equal(_onednn_product(x, weight), x @ weight.T)
        reason = "its result is wrong"
    except Exception as error:  # gone, or with other arguments
        works, reason = False, f"{type(error).__name__}: {error}".splitlines()[0]
    if not works:
        note("oneDNN product", f"{reason}, in torch {torch.__version__}", "products take up to twice as long")
    return works
