"""Matrix products on rows that were written just before and still lie in the cache, in float32 or in bfloat16.

Those in float32 are made of the tiles of `microkernel`, those in bfloat16 of the blocks of `amx`; which, follows
from the type of the weight. Results are of float32.
"""

from typing import NamedTuple

import numpy as np
from numba import types
from numba.extending import overload

from speechbrain_tasnet.ops.cpu import amx
from speechbrain_tasnet.ops.cpu.compile import inline, serial
from speechbrain_tasnet.ops.cpu.microkernel import MOST_ROWS, WIDTH, add_transposed_tile, tile

# Rows that are taken through a sweep together: a multiple of MOST_ROWS, so few that some tiles of hidden channels
# stay in the second-level cache, so many that a weight's derivative is seldom fetched and stored.
ROWS = 60
BLOCK, BLOCK_ROWS = amx.BLOCK, amx.whole_blocks(ROWS)
CONFIG = amx.CONFIG


@inline
def rounded(columns):
    """Round up to whole panels, which are whole blocks, too."""
    return -(-columns // WIDTH) * WIDTH


class Scratch(NamedTuple):
    """Where products are prepared. Threads that asked for memory at every product would wait for each other."""

    panel: np.ndarray  # [ROWS, WIDTH]
    factor: np.ndarray  # [BLOCK_ROWS, inner] of bfloat16
    product: np.ndarray  # [BLOCK_ROWS, outer]
    pairs: np.ndarray  # [2, BLOCK_ROWS / 2, columns], as `amx.pairs` makes them
    transposed: np.ndarray  # [outer, BLOCK_ROWS / 2], as `amx.transpose` makes them


@inline
def scratch(widest):
    """Make room for the products of tensors of at most ``widest`` channels."""
    columns = rounded(widest)
    return Scratch(
        np.empty((ROWS, WIDTH), np.float32),
        np.empty((BLOCK_ROWS, columns), np.int16),
        np.empty((BLOCK_ROWS, columns), np.float32),
        np.empty((2, BLOCK_ROWS // 2, columns), np.int32),
        np.empty((columns, BLOCK_ROWS // 2), np.int32),
    )


def room(weights, outer, inner, half):
    """Make room for so many packed weights [outer, inner]; in ``half`` precision they are blocks of `amx`."""
    if half:
        return np.empty((weights, amx.whole_blocks(inner) // 2, rounded(outer)), np.int32)
    return np.empty((weights, rounded(outer) // WIDTH, inner, WIDTH), np.float32)


def pack(weight, gain, out):
    """Pack ``weight`` [outer, inner], each column times ``gain``, into what `room` has made."""


def multiply(x, row, rows, weight, outer, out, to, memory):
    """Write ``rows`` rows of ``x``, from ``row`` on, times packed ``weight`` to those of ``out`` from ``to`` on.

    Of the weight's rows only the first ``outer`` are needed; what is written behind them, up to `rounded`, is not.
    ``rows`` are at most ROWS, ``memory`` is a `Scratch`.
    """


def add_product_over_rows(like, y, y_row, first, end, x, x_row, inner, rows, out, memory):
    """Add the transpose of ``rows`` rows of ``y`` times as many of ``x`` to ``out`` [outer, `rounded` inner].

    Of ``y`` the columns from ``first`` to ``end`` are taken. ``rows`` are at most ROWS, ``memory`` is a `Scratch`.
    The product is taken in the precision of ``like``.
    """


@overload(pack)
def _(weight, gain, out):
    def in_float32(weight, gain, out):
        _pack_panels(weight, gain, out)

    def in_bfloat16(weight, gain, out):
        amx.pairs_of_columns(weight, gain, out)

    return in_bfloat16 if isinstance(out.dtype, types.Integer) else in_float32


@overload(multiply)
def _(x, row, rows, weight, outer, out, to, memory):
    def in_float32(x, row, rows, weight, outer, out, to, memory):
        multiply_tiles(x, row, rows, weight, outer, out, to)

    def in_bfloat16(x, row, rows, weight, outer, out, to, memory):
        _multiply_blocks(x, row, rows, weight, outer, out, to, memory)

    return in_bfloat16 if isinstance(weight.dtype, types.Integer) else in_float32


@overload(add_product_over_rows)
def _(like, y, y_row, first, end, x, x_row, inner, rows, out, memory):
    def in_float32(like, y, y_row, first, end, x, x_row, inner, rows, out, memory):
        add_tiles(y, y_row, first, end, x, x_row, inner, rows, out, memory.panel)

    def in_bfloat16(like, y, y_row, first, end, x, x_row, inner, rows, out, memory):
        _add_blocks(y, y_row, first, end, x, x_row, inner, rows, out, memory)

    return in_bfloat16 if isinstance(like.dtype, types.Integer) else in_float32


@serial
def _pack_panels(weight, gain, out):
    outer, inner = weight.shape
    for panel in range(len(out)):
        rows = max(0, min(WIDTH, outer - panel * WIDTH))
        for k in range(inner):
            for row in range(rows):
                out[panel, k, row] = weight[panel * WIDTH + row, k] * gain[k]
            for row in range(rows, WIDTH):
                out[panel, k, row] = 0


@serial
def multiply_tiles(x, row, rows, weight, outer, out, to):
    """Compute `multiply` in float32, of any number of rows."""
    for panel in range(rounded(outer) // WIDTH):
        for done in range(0, rows, MOST_ROWS):
            tile(x, row + done, min(MOST_ROWS, rows - done), weight, panel, out, to + done)


@serial
def _multiply_blocks(x, row, rows, weight, outer, out, to, memory):
    columns = rounded(outer)
    inner, factor, product = 2 * len(weight), memory.factor, memory.product
    amx.round_rows(x, row, rows, factor, inner)
    amx.begin(CONFIG)
    for column in range(0, columns, BLOCK):
        for first in range(0, rows, BLOCK):
            amx.block(factor, first, weight, column, inner // BLOCK, product, first)
    amx.end()
    for r in range(rows):
        for c in range(columns):
            out[to + r, c] = product[r, c]


@serial
def add_tiles(y, y_row, first, end, x, x_row, inner, rows, out, panel):
    """Compute `add_product_over_rows` in float32; ``panel`` is scratch memory, [ROWS, WIDTH]."""
    for start in range(0, inner, WIDTH):
        columns = min(WIDTH, inner - start)
        if columns == WIDTH:
            for k in range(rows):
                for c in range(WIDTH):  # of known width, or it would be slow
                    panel[k, c] = x[x_row + k, start + c]
        else:  # what stays behind the last column ends in columns of the product that nobody reads
            for k in range(rows):
                for c in range(columns):
                    panel[k, c] = x[x_row + k, start + c]
        for column in range(first, end, MOST_ROWS):
            add_transposed_tile(y, y_row, column, min(MOST_ROWS, end - column), panel, rows, out, start)


@serial
def _add_blocks(y, y_row, first, end, x, x_row, inner, rows, out, memory):
    columns, size = rounded(inner), end - first
    of_y, of_x, transposed, product = memory.pairs[0], memory.pairs[1], memory.transposed, memory.product
    amx.pairs(y, y_row, rows, y.shape[1], of_y, y.shape[1])
    amx.pairs(x, x_row, rows, inner, of_x, columns)
    amx.transpose(of_y, first, size, transposed)
    whole = size // BLOCK * BLOCK
    amx.begin(CONFIG)
    for row in range(0, whole, BLOCK):
        for column in range(0, columns, BLOCK):
            amx.add_block(transposed, row, of_x, column, BLOCK_ROWS // BLOCK, out, first + row)
    if whole < size:
        for column in range(0, columns, BLOCK):
            amx.block(transposed, whole, of_x, column, BLOCK_ROWS // BLOCK, product, 0)
    amx.end()
    for row in range(whole, size):
        for c in range(columns):
            out[first + row, c] += product[row - whole, c]
