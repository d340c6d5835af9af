"""How the loops of this package are compiled."""

import hashlib
from pathlib import Path

import numba
from numba import njit

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
