"""Matrix products of tensors, in the tiles of `microkernel`: for many rows as fast as a library or faster."""

import numpy as np
import torch
from torch import Tensor

from speechbrain_tasnet.ops.cpu import team
from speechbrain_tasnet.ops.cpu.compile import serial
from speechbrain_tasnet.ops.cpu.microkernel import MOST_ROWS, WIDTH, panels
from speechbrain_tasnet.ops.cpu.products import ROWS, add_tiles, multiply_tiles, rounded


def product(x: Tensor, weight: Tensor) -> Tensor:
    """Multiply ``x`` [rows, inner] by the transpose of ``weight`` [outer, inner]: [rows, outer].

    Example
    -------
    >>> product(torch.randn(7, 3), torch.randn(5, 3)).shape
    torch.Size([7, 5])
    """
    outer = len(weight)
    out = x.new_empty(len(x), rounded(outer))
    arrays = (a.detach().numpy() for a in (x.contiguous(), panels(weight), out))
    team.run(_multiply, torch.get_num_threads(), *arrays)
    return out[:, :outer]


def product_over_rows(y: Tensor, x: Tensor) -> Tensor:
    """Multiply the transpose of ``y`` [rows, outer] by ``x`` [rows, inner]: [outer, inner].

    Example
    -------
    >>> product_over_rows(torch.randn(7, 5), torch.randn(7, 3)).shape
    torch.Size([5, 3])
    """
    inner = x.shape[1]
    out = x.new_zeros(y.shape[1], rounded(inner))
    arrays = (a.detach().numpy() for a in (y.contiguous(), x.contiguous(), out))
    team.run(_add_product_over_rows, torch.get_num_threads(), *arrays)
    return out[:, :inner]


@serial
def _multiply(thread, threads, barrier, x, weight, out):
    first, end = thread * len(x) // threads, (thread + 1) * len(x) // threads
    for start in range(first, end, ROWS):
        multiply_tiles(x, start, min(ROWS, end - start), weight, out.shape[1], out, start)


@serial
def _add_product_over_rows(thread, threads, barrier, y, x, out):
    """Each thread sums up some rows of the result, so that how many there are has no influence on it."""
    groups = -(-len(out) // MOST_ROWS)
    first = thread * groups // threads * MOST_ROWS
    end = min((thread + 1) * groups // threads * MOST_ROWS, len(out))
    panel = np.empty((ROWS, WIDTH), np.float32)
    for start in range(0, len(x), ROWS):
        add_tiles(y, start, first, end, x, start, x.shape[1], min(ROWS, len(x) - start), out, panel)
