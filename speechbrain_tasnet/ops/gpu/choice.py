"""Which path a block takes on a GPU: correct first, then fast.

- ``triton``: the kernels of this package.
- ``compiled``: the readable path, compiled by torch.
- ``reference``: the readable path as it is.

Where derivatives are wanted, the order is the one above, unless a training has measured that the second is faster
and said so by `prefer`. Where none are, a file is separated in less time than torch needs to compile, and the
order leaves ``compiled`` out. The environment variable ``TASNET_GPU_BLOCK`` names the path that comes first
everywhere.

Nothing is timed here: timing would make the path, and so the last digits of a result, a matter of chance. But a
path is taken only after it was compared with the readable one, at its first use for a `trust.Kind` of block; one
that differs or fails is reported and never used again.
"""

import os
import threading
from itertools import pairwise

import torch

from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.ops import fallbacks, reference
from speechbrain_tasnet.ops.gpu import block, compiled, trust
from speechbrain_tasnet.ops.gpu.trust import ConvBlock, Kind

VARIABLE = "TASNET_GPU_BLOCK"

PATHS: dict[str, ConvBlock] = {
    "triton": block.conv_block,
    "compiled": compiled.conv_block,
    "reference": reference.conv_block,
}

# As messages have them.
NAMES = {
    "triton": "triton kernels",
    "compiled": "the readable path, compiled by torch",
    "reference": "the readable path, several times slower",
}

_preferred = ["triton"]
_trusted: dict[tuple[str, Kind], bool] = {}
_lock = threading.Lock()


def choose(kind: Kind) -> ConvBlock:
    """Return the first path that can be trusted with a kind of block."""
    names = order()
    for name, following in pairwise(names):
        if _is_trusted(name, kind, following):
            return PATHS[name]
    return reference.conv_block


def order() -> list[str]:
    """Return the names of the paths in the order in which they are tried; the last is `reference`.

    Raises
    ------
    InputError
        The environment variable names no path.
    """
    wanted = named()
    learning = torch.is_grad_enabled()
    first = wanted or (_preferred[0] if learning else "triton")
    names = ["triton", "compiled", "reference"] if learning or wanted else ["triton", "reference"]
    names.remove(first)
    return ["reference"] if first == "reference" else [first, *names]  # it needs no other behind it


def named() -> str | None:
    """Return the path that the environment variable names; None where it is not set."""
    wanted = os.environ.get(VARIABLE)
    if wanted and wanted not in PATHS:
        raise InputError(f"{VARIABLE}={wanted}: expected one of {', '.join(PATHS)}")
    return wanted or None


def prefer(name: str) -> None:
    """Make this process try a path first where derivatives are wanted, unless the environment names another."""
    _preferred[0] = name


def is_left(name: str) -> bool:
    """Return whether a path was found wrong for some kind of block."""
    return any(path == name and not trusted for (path, _), trusted in _trusted.items())


def _is_trusted(name: str, kind: Kind, following: str) -> bool:
    """Return whether a path was found right; find out, at the first use for this kind of block."""
    known = _trusted.get((name, kind))
    # What is captured into a graph must not wait for results: it runs as it is read, and nothing is decided.
    if known is None and not _is_captured(kind):
        with _lock:
            if (name, kind) not in _trusted:
                _trusted[name, kind] = _check(name, kind, following)
            known = _trusted[name, kind]
    return bool(known)


def _is_captured(kind: Kind) -> bool:
    return kind.device.type == "cuda" and torch.cuda.is_current_stream_capturing()


def _check(name: str, kind: Kind, following: str) -> bool:
    """Compare a path with the readable one, and report it if it cannot be taken."""
    try:
        errors = trust.compare(PATHS[name], kind)
    except torch.OutOfMemoryError:  # says nothing about the path
        raise
    except Exception as error:  # whatever a compiler or a kernel fails with, there is another path
        reason = f"fails: {type(error).__name__}: {str(error).strip().partition(chr(10))[0][:200]}"
    else:
        if errors.tolerable:
            return True
        reason = (
            f"wrong on this device: off by {errors.path:.1e}, the readable path by {errors.readable:.1e}; please "
            "report it with the output of tasnet doctor"
        )
    of = f"{kind.device}, {kind.precision}, {kind.norm} norm"
    fallbacks.note(f"{NAMES[name]} ({of})", reason, f"next comes {NAMES[following]}")
    return False
