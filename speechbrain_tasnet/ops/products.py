"""Matrix products in the way the processor at hand does them fastest."""

import platform
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


def product(x: Tensor, weight: Tensor) -> Tensor:
    """Multiply ``x`` [rows, inner] by the transpose of ``weight`` [outer, inner]: [rows, outer].

    Example
    -------
    >>> product(torch.randn(7, 3), torch.randn(5, 3)).shape
    torch.Size([7, 5])
    """
    if _convolves_faster(x):
        y = F.conv2d(_image(x), weight[:, :, None, None])
        return y.permute(0, 2, 3, 1).reshape(len(x), len(weight))
    return torch.mm(x, weight.T)


def product_over_rows(y: Tensor, x: Tensor) -> Tensor:
    """Multiply the transpose of ``y`` [rows, outer] by ``x`` [rows, inner]: [outer, inner].

    Example
    -------
    >>> product_over_rows(torch.randn(7, 5), torch.randn(7, 3)).shape
    torch.Size([5, 3])
    """
    if _convolves_faster(x):
        outer, inner = y.shape[1], x.shape[1]
        kernel = x.new_empty(()).expand(outer, inner, 1, 1)  # only its shape is looked at
        _, weight, _ = torch.ops.aten.convolution_backward(
            _image(y), _image(x), kernel, None, (1, 1), (0, 0), (1, 1), False, (0, 0), 1, (False, True, False)
        )
        return weight.reshape(outer, inner)
    return torch.mm(y.T, x)


def _image(x: Tensor) -> Tensor:
    """View ``x`` [rows, channels] as an image of one line, channels last."""
    return x[None, None].permute(0, 3, 1, 2)


def _convolves_faster(x: Tensor) -> bool:
    return x.dtype == torch.float32 and x.device.type == "cpu" and torch.backends.mkldnn.enabled and _is_amd()


@cache
def _is_amd() -> bool:
    """Tell whether this is an AMD processor.

    There torch's float32 products go through a library that leaves half of the vector unit unused; its
    convolutions go through another that does not.
    """
    cpuinfo = Path("/proc/cpuinfo")
    return "AuthenticAMD" in (cpuinfo.read_text() if cpuinfo.exists() else platform.processor())
