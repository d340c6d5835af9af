"""Matrix products of tensors, in the tiles of `products`: for many rows as fast as a library or faster."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from speechbrain_tasnet.ops.cpu import team
from speechbrain_tasnet.ops.cpu.compile import serial
from speechbrain_tasnet.ops.cpu.microkernel import MOST_ROWS
from speechbrain_tasnet.ops.cpu.products import (
    ROWS,
    add_product_over_rows,
    multiply,
    pack,
    room,
    rounded,
    scratch,
)


def product(x: Tensor, weight: Tensor, half: bool = False) -> Tensor:
    """Multiply ``x`` [rows, inner] by the transpose of ``weight`` [outer, inner]: [rows, outer].

    Both are of float32, as the product is; in ``half`` they are rounded to bfloat16 first.

    Example
    -------
    >>> product(torch.randn(7, 3), torch.randn(5, 3)).shape
    torch.Size([7, 5])
    """
    outer = len(weight)
    out = x.new_empty(len(x), rounded(outer))
    packed = pack_weights([weight], half)[0]
    arrays = (a.detach().numpy() for a in (x.contiguous(), out))
    team.run(_multiply, torch.get_num_threads(), packed, *arrays)
    return out[:, :outer]


def product_over_rows(y: Tensor, x: Tensor, half: bool = False) -> Tensor:
    """Multiply the transpose of ``y`` [rows, outer] by ``x`` [rows, inner]: [outer, inner], as `product` does.

    Example
    -------
    >>> product_over_rows(torch.randn(7, 5), torch.randn(7, 3)).shape
    torch.Size([5, 3])
    """
    inner = x.shape[1]
    out = x.new_zeros(y.shape[1], rounded(inner))
    like = np.empty(0, np.int16 if half else np.float32)
    arrays = (a.detach().numpy() for a in (y.contiguous(), x.contiguous(), out))
    team.run(_add_product_over_rows, torch.get_num_threads(), like, *arrays)
    return out[:, :inner]


def pack_weights(weights: Sequence[Tensor], half: bool = False) -> np.ndarray:
    """Pack weights [outer, inner] of one shape as `products.multiply` reads them."""
    packed = room(len(weights), *weights[0].shape, half)
    for weight, place in zip(weights, packed, strict=True):
        _pack(weight.detach().T.contiguous().numpy(), place)
    return packed


@serial
def _pack(x, out):
    pack(x, out)


@serial
def _multiply(thread, threads, barrier, weight, x, out):
    first, end = thread * len(x) // threads, (thread + 1) * len(x) // threads
    memory = scratch(max(x.shape[1], out.shape[1]))
    for start in range(first, end, ROWS):
        multiply(x, start, min(ROWS, end - start), weight, out.shape[1], out, start, memory)


@serial
def _add_product_over_rows(thread, threads, barrier, like, y, x, out):
    """Each thread sums up some rows of the result, so that how many there are has no influence on it."""
    groups = -(-len(out) // MOST_ROWS)
    first = thread * groups // threads * MOST_ROWS
    end = min((thread + 1) * groups // threads * MOST_ROWS, len(out))
    memory = scratch(max(out.shape))
    for start in range(0, len(x), ROWS):
        rows = min(ROWS, len(x) - start)
        add_product_over_rows(like, y, start, first, end, x, start, x.shape[1], rows, out, memory)
