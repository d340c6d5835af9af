"""Matrix products in the tiles of `microkernel`, on rows that were written just before and still lie in the cache."""

import numpy as np

from speechbrain_tasnet.ops.cpu.compile import inline, serial
from speechbrain_tasnet.ops.cpu.microkernel import MOST_ROWS, WIDTH, add_transposed_tile, tile

# Rows that are taken through a sweep together: a multiple of MOST_ROWS, so few that some tiles of hidden channels
# stay in the second-level cache, so many that a weight's derivative is seldom fetched and stored.
ROWS = 60


@inline
def rounded(columns):
    """Round up to whole panels."""
    return -(-columns // WIDTH) * WIDTH


@serial
def pack(weight, gain, out):
    """Lay ``weight`` [outer, inner] out in ``out`` [panels, inner, WIDTH], as tiles read it; each column times ``gain``."""
    outer, inner = weight.shape
    for panel in range(len(out)):
        rows = max(0, min(WIDTH, outer - panel * WIDTH))
        for k in range(inner):
            for row in range(rows):
                out[panel, k, row] = weight[panel * WIDTH + row, k] * gain[k]
            for row in range(rows, WIDTH):
                out[panel, k, row] = 0


@serial
def pack_transposed(weight, gain, out):
    """Lay out the transpose of ``weight`` [inner, outer], each row of that times ``gain``, as `pack` does."""
    inner, outer = weight.shape
    for panel in range(len(out)):
        columns = min(WIDTH, outer - panel * WIDTH)
        for k in range(inner):
            for column in range(columns):
                out[panel, k, column] = weight[k, panel * WIDTH + column] * gain[panel * WIDTH + column]
            for column in range(columns, WIDTH):
                out[panel, k, column] = 0


@serial
def multiply(x, row, rows, weight, outer, out, to):
    """Write ``rows`` rows of ``x``, from ``row`` on, times packed ``weight`` to those of ``out`` from ``to`` on.

    Of the weight's rows only the first ``outer`` are needed; what is written behind them, up to `rounded`, is not.
    """
    for panel in range(rounded(outer) // WIDTH):
        for done in range(0, rows, MOST_ROWS):
            tile(x, row + done, min(MOST_ROWS, rows - done), weight, panel, out, to + done)


@serial
def add_product_over_rows(y, y_row, first, end, x, x_row, inner, rows, panel, out):
    """Add the transpose of ``rows`` rows of ``y`` times as many of ``x`` to ``out`` [outer, `rounded` inner].

    Of ``y`` the columns from ``first`` to ``end`` are taken. ``panel`` is scratch memory, [ROWS, WIDTH]; ``rows``
    are no more than that.
    """
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
