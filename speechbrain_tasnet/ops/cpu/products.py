"""Matrix products on rows that were just written and are still in the cache, in float32 or bfloat16.

They use the tiles of `microkernel`, of numbers or of pairs; in bfloat16 the blocks of `amx` where there
are any. The type of the weight decides which. Results are in float32.
"""

from typing import NamedTuple

import numpy as np
from numba import types
from numba.extending import overload

from speechbrain_tasnet.ops.cpu import amx
from speechbrain_tasnet.ops.cpu.bfloat16 import pair_rows, round_rows, transpose
from speechbrain_tasnet.ops.cpu.compile import inline, serial
from speechbrain_tasnet.ops.cpu.microkernel import MOST_ROWS, PAIRS, WIDTH, add_transposed_tile, tile

# Rows that are taken through a sweep together: a multiple of MOST_ROWS, so few that some tiles of hidden channels
# stay in the second-level cache, so many that a weight's derivative is seldom fetched and stored.
ROWS = 60
BLOCK, BLOCK_ROWS = amx.BLOCK, amx.whole_blocks(ROWS)
CONFIG = amx.CONFIG
LINE = 16  # numbers


def half_is_fast() -> bool:
    """Return whether products in bfloat16 are faster than in float32 here."""
    return amx.permitted() if amx.HERE else PAIRS


@inline
def rounded(columns):
    """Round up to whole panels, which are whole blocks, too."""
    return -(-columns // WIDTH) * WIDTH


class Scratch(NamedTuple):
    """Scratch memory of products. Threads that allocated memory for every product would wait for each other."""

    panel: np.ndarray  # [ROWS, WIDTH]
    factor: np.ndarray  # [BLOCK_ROWS, inner] of bfloat16
    product: np.ndarray  # [BLOCK_ROWS, outer]
    paired_panel: np.ndarray  # [BLOCK_ROWS / 2, WIDTH] of pairs of rows
    paired: np.ndarray  # [BLOCK_ROWS / 2, outer] of pairs of rows
    transposed: np.ndarray  # [outer, BLOCK_ROWS / 2] of the same


@inline
def scratch(widest):
    """Allocate scratch memory for products of tensors with at most ``widest`` channels."""
    columns, pairs = rounded(widest), BLOCK_ROWS // 2
    return Scratch(
        np.empty((ROWS, WIDTH), np.float32),
        np.empty((BLOCK_ROWS, columns), np.int16),
        np.empty((BLOCK_ROWS, columns), np.float32),
        np.empty((pairs, WIDTH), np.int32),
        np.empty((pairs, columns), np.int32),
        np.empty((columns, pairs), np.int32),
    )


def room(weights, outer, inner, half):
    """Allocate a number of packed weights [outer, inner]: panels of numbers, or of pairs in ``half`` precision."""
    panels = rounded(outer) // WIDTH
    if half:
        return np.empty((weights, panels, amx.whole_blocks(inner) // 2, WIDTH), np.int32)
    return np.empty((weights, panels, inner, WIDTH), np.float32)


def pack(x, out):
    """Pack ``x`` [inner, outer], the transpose of a weight, into what `room` has made."""


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
def _(x, out):
    def in_float32(x, out):
        for panel in range(len(out)):
            _copy_columns(x, panel * WIDTH, out[panel])

    def in_bfloat16(x, out):
        for panel in range(len(out)):
            start = panel * WIDTH
            columns = min(WIDTH, x.shape[1] - start)
            pair_rows(x, 0, len(x), start, columns, out[panel])
            out[panel, :, columns:] = 0

    return in_bfloat16 if isinstance(out.dtype, types.Integer) else in_float32


@overload(multiply)
def _(x, row, rows, weight, outer, out, to, memory):
    def in_float32(x, row, rows, weight, outer, out, to, memory):
        multiply_tiles(x, row, rows, weight, outer, out, to)

    def in_pairs(x, row, rows, weight, outer, out, to, memory):
        round_rows(x, row, rows, memory.factor, 2 * weight.shape[1])
        multiply_tiles(memory.factor, 0, rows, weight, outer, out, to)

    def in_blocks(x, row, rows, weight, outer, out, to, memory):
        round_rows(x, row, rows, memory.factor, 2 * weight.shape[1])
        _multiply_blocks(memory.factor, rows, weight, outer, out, to, memory.product)

    return _choose(weight, in_float32, in_pairs, in_blocks)


@overload(add_product_over_rows)
def _(like, y, y_row, first, end, x, x_row, inner, rows, out, memory):
    def in_float32(like, y, y_row, first, end, x, x_row, inner, rows, out, memory):
        _add_tiles(y, y_row, first, end, x, x_row, inner, rows, out, memory.panel)

    def in_pairs(like, y, y_row, first, end, x, x_row, inner, rows, out, memory):
        _add_tiles_of_pairs(y, y_row, first, end, x, x_row, inner, rows, out, memory)

    def in_blocks(like, y, y_row, first, end, x, x_row, inner, rows, out, memory):
        _add_blocks(y, y_row, first, end, x, x_row, inner, rows, out, memory)

    return _choose(like, in_float32, in_pairs, in_blocks)


def _choose(like, in_float32, in_pairs, in_blocks):
    if not isinstance(like.dtype, types.Integer):
        return in_float32
    return in_blocks if amx.HERE else in_pairs


@serial
def _copy_columns(x, start, out):
    """Copy as many columns of ``x`` as a panel has, with zeros behind the last."""
    columns = min(WIDTH, x.shape[1] - start)
    for k in range(len(x)):
        for c in range(columns):
            out[k, c] = x[k, start + c]
        for c in range(columns, WIDTH):
            out[k, c] = 0


@serial
def transposed(x):
    """Return the transpose, made of as many rows at once as fill a line of the cache."""
    rows, columns = x.shape
    out = np.empty((columns, rows), x.dtype)
    for first in range(0, rows, LINE):
        end = min(first + LINE, rows)
        for c in range(columns):
            for r in range(first, end):
                out[c, r] = x[r, c]
    return out


@serial
def multiply_tiles(x, row, rows, weight, outer, out, to):
    """Compute `multiply` of any number of rows, of float32 or of rows that `round_rows` has made."""
    for panel in range(rounded(outer) // WIDTH):
        for done in range(0, rows, MOST_ROWS):
            tile(x, row + done, min(MOST_ROWS, rows - done), weight, panel, out, to + done)


@serial
def _multiply_blocks(factor, rows, weight, outer, out, to, product):
    columns, steps = rounded(outer), 2 * weight.shape[1] // BLOCK
    amx.begin(CONFIG)
    for column in range(0, columns, BLOCK):
        for first in range(0, rows, BLOCK):
            amx.block(factor, first, weight, column // WIDTH, column % WIDTH, steps, product, first, column)
    amx.end()
    for r in range(rows):
        for c in range(columns):
            out[to + r, c] = product[r, c]


@serial
def _add_tiles(y, y_row, first, end, x, x_row, inner, rows, out, panel):
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
def _add_tiles_of_pairs(y, y_row, first, end, x, x_row, inner, rows, out, memory):
    pairs, paired, panel = (rows + 1) // 2, memory.paired, memory.paired_panel
    pair_rows(y, y_row, rows, 0, y.shape[1], paired)
    for start in range(0, inner, WIDTH):
        pair_rows(x, x_row, rows, start, min(WIDTH, inner - start), panel)
        for column in range(first, end, MOST_ROWS):
            add_transposed_tile(paired, 0, column, min(MOST_ROWS, end - column), panel, pairs, out, start)


@serial
def _add_blocks(y, y_row, first, end, x, x_row, inner, rows, out, memory):
    size, steps = end - first, BLOCK_ROWS // BLOCK
    paired, panel, transposed, product = memory.paired, memory.paired_panel, memory.transposed, memory.product
    pair_rows(y, y_row, rows, 0, y.shape[1], paired)
    transpose(paired, first, size, transposed)
    whole = size // BLOCK * BLOCK
    for start in range(0, inner, WIDTH):
        pair_rows(x, x_row, rows, start, min(WIDTH, inner - start), panel)
        amx.begin(CONFIG)
        for column in range(0, WIDTH, BLOCK):
            for row in range(0, whole, BLOCK):
                amx.add_block(transposed, row, panel, 0, column, steps, out, first + row, start + column)
            if whole < size:
                amx.block(transposed, whole, panel, 0, column, steps, product, 0, start + column)
        amx.end()
    for row in range(whole, size):
        for c in range(rounded(inner)):
            out[first + row, c] += product[row - whole, c]
