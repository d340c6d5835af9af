"""How the loops of this room are compiled, and bfloat16, which Numba does not know."""

import hashlib
from pathlib import Path

import numba
import numpy as np
from numba import njit, types
from numba.extending import intrinsic, overload

from speechbrain_tasnet.ops.fallbacks import note

# Sums may be reordered and products fused into them; NaN and infinity stay what they are.
FASTMATH = {"reassoc", "contract", "nsz"}
SOURCES = hashlib.sha256(
    b"".join(path.read_bytes() for path in sorted(Path(__file__).parents[1].rglob("*.py")))
).hexdigest()


def _compiled(**options):
    """Compile a function at its first call, and keep the machine code on disk where that is possible."""

    def decorate(function):
        try:
            compiled = njit(function, fastmath=FASTMATH, cache=True, **options)
        except RuntimeError as error:  # neither the package's folder nor the user's cache can be written
            return _without_cache(function, options, str(error))
        # Numba asks only whether the function's own file has changed, and would keep the machine code of loops
        # that it has taken in from another file, across an upgrade too. Its stamp is no public attribute: where
        # there is none, old machine code could not be distinguished from new, and none is kept.
        file = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
        if not hasattr(file, "_source_stamp"):
            reason = f"numba {numba.__version__} keeps its stamp elsewhere"
            return _without_cache(function, options, reason)
        file._source_stamp = SOURCES
        return compiled

    return decorate


def _without_cache(function, options: dict, reason: str):
    note("machine code on disk", reason, "each start compiles again, for some seconds")
    return njit(function, fastmath=FASTMATH, **options)


serial = _compiled(nogil=True)
inline = _compiled(forceinline=True)


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
