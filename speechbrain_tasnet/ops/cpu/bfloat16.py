"""bfloat16, which Numba does not support, and pairs of it, which processors multiply at once.

A pair is two neighbours along the inner index of a product, in one 32-bit number, the first one in its lower half.
"""

import numpy as np
from numba import types
from numba.extending import intrinsic, overload

from speechbrain_tasnet.ops.cpu.compile import inline, serial


@intrinsic
def _float_of_bits(typing_context, bits):
    return types.float32(types.uint32), lambda context, builder, signature, arguments: builder.bitcast(
        arguments[0], context.get_value_type(types.float32)
    )


@intrinsic
def _bits_of_float(typing_context, value):
    return types.uint32(types.float32), lambda context, builder, signature, arguments: builder.bitcast(
        arguments[0], context.get_value_type(types.uint32)
    )


@inline
def bits_of_bfloat16(x):
    """Return the bits of a number rounded to bfloat16."""
    bits = _bits_of_float(np.float32(x))
    # To the nearest, and of two equally near to the even one.
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    return np.uint32(0x7FC0) if x != x else rounded


def wide(x):
    """Return an element as the number it is computed with."""


def narrow(x, like):
    """Return a number as an element of the kind of ``like``."""


@overload(wide, inline="always")
def _(x):
    if isinstance(x, types.Integer):
        return lambda x: _float_of_bits(np.uint32(np.uint16(x)) << np.uint32(16))
    return lambda x: x


@overload(narrow, inline="always")
def _(x, like):
    if isinstance(like, types.Integer):
        return lambda x, like: np.int16(bits_of_bfloat16(x))
    return lambda x, like: x


@serial
def round_rows(x, row, rows, out, width):
    """Round rows of ``x``, with zeros behind its columns, up to ``width``: pairs of columns lie side by side."""
    for r in range(rows):
        for c in range(min(x.shape[1], width)):
            out[r, c] = bits_of_bfloat16(x[row + r, c])
        for c in range(x.shape[1], width):
            out[r, c] = 0


@serial
def pair_rows(x, row, rows, start, columns, out):
    """Make pairs of rows of ``x``, in ``columns`` columns from ``start`` on, with zeros behind the last row."""
    for pair in range(len(out)):
        even = row + 2 * pair
        if 2 * pair + 1 < rows:
            for c in range(columns):
                at = np.uint64(start) + np.uint64(c)  # unsigned, or Numba would look for indices from the end
                high = bits_of_bfloat16(x[even + 1, at]) << np.uint32(16)
                out[pair, c] = bits_of_bfloat16(x[even, at]) | high
        else:
            for c in range(columns):
                out[pair, c] = bits_of_bfloat16(x[even, start + c]) if 2 * pair < rows else np.uint32(0)


@serial
def transpose(pairs, first, count, out):
    """Turn ``count`` columns of pairs of rows, from ``first`` on, into rows of ``out``."""
    for c in range(count):
        for pair in range(out.shape[1]):
            out[c, pair] = pairs[pair, first + c]
