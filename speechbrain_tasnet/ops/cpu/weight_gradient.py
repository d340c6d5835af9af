"""A matrix product over rows, in tiles: libraries take up to twice the time for many rows and a small result."""

import numpy as np
from numba import prange

from speechbrain_tasnet.ops.cpu.compile import inline, loop
from speechbrain_tasnet.ops.cpu.microkernel import MOST_ROWS, WIDTH, add_transposed_tile

# So many rows are multiplied at once: those of a panel stay in the first-level cache.
ROWS = 64


@loop
def add_product_over_rows(y, x, out, pieces):
    """Add the transpose of ``y`` [rows, outer] times ``x`` [rows, inner] to ``out``.

    ``out`` is [outer, inner rounded up to a multiple of WIDTH]. It is shared out among so many ``pieces``, one a
    thread; how many they are has no influence on the numbers.
    """
    outer = y.shape[1]
    groups, panels = -(-outer // MOST_ROWS), out.shape[1] // WIDTH
    for piece in prange(pieces):
        panel = np.empty((ROWS, WIDTH), np.float32)
        begin, end = piece * groups * panels // pieces, (piece + 1) * groups * panels // pieces
        for first in range(0, len(x), ROWS):
            count = min(ROWS, len(x) - first)
            for p in range(begin // groups, -(-end // groups)):
                _copy_panel(x, first, count, p * WIDTH, panel)
                for group in range(max(begin - p * groups, 0), min(end - p * groups, groups)):
                    column = group * MOST_ROWS
                    columns = min(MOST_ROWS, outer - column)
                    add_transposed_tile(y, first, column, columns, panel, count, out, p * WIDTH)


@inline
def _copy_panel(x, first, count, start, panel):
    if start + WIDTH <= x.shape[1]:
        for k in range(count):
            for c in range(WIDTH):  # of known width, or it would be slow
                panel[k, c] = x[first + k, start + c]
    else:  # what stays behind the last column ends in columns of the product that nobody reads
        for k in range(count):
            for c in range(x.shape[1] - start):
                panel[k, c] = x[first + k, start + c]
