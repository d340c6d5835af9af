"""Choose the fast path for a tensor: what it needs must be installed and work."""

import importlib
from functools import cache
from types import ModuleType

import torch
from torch import Tensor

from speechbrain_tasnet.installation import first_broken
from speechbrain_tasnet.ops.fallbacks import note


def find_loops(x: Tensor) -> ModuleType | None:
    """Return the package of compiled loops that can work on ``x``, `ops.cpu` or `ops.gpu`; None where none can.

    float64 is for reference results, and whatever traces a network needs to see operations that it knows.
    """
    if x.dtype == torch.float64 or traced():
        return None
    device = x.device.type
    half = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
    if x.dtype not in (torch.float32, half):
        return None
    if device == "cpu" and half in (None, torch.bfloat16):
        return _load("cpu", "numba")
    return _load("gpu", "triton") if device == "cuda" else None


def traced() -> bool:
    """Return whether somebody records which operations are done."""
    return torch.jit.is_tracing() or torch.jit.is_scripting() or torch.compiler.is_compiling()


@cache
def _load(name: str, library: str) -> ModuleType | None:
    try:
        return importlib.import_module(f"speechbrain_tasnet.ops.{name}")
    except Exception as error:  # whatever keeps the library from working, there is a way without it
        reason = first_broken([library]) or f"{type(error).__name__}: {error}"
        note(
            f"{library} kernels ({name})",
            str(reason),
            "the network runs, but several times slower",
        )
        return None
