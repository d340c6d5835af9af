"""What the passes of `fused_block` work on, and which module runs them here."""

import importlib
from functools import cache
from types import ModuleType
from typing import NamedTuple

import torch
from torch import Tensor

from speechbrain_tasnet.installation import first_broken
from speechbrain_tasnet.ops.fallbacks import note


class Activation(NamedTuple):
    """``((prelu(x + bias) - mean) * rstd) * gain + shift``, known by its parts and never written to memory.

    ``x`` is [batch, frames, channels], ``mean`` and ``rstd`` are [batch, frames], ``slope`` is [1], the others
    are [channels].
    """

    x: Tensor
    bias: Tensor
    slope: Tensor
    mean: Tensor
    rstd: Tensor
    gain: Tensor
    shift: Tensor


class Taps(NamedTuple):
    """A depthwise convolution: ``weight`` [channels, 1, P], ``bias`` [channels], zeros on the left."""

    weight: Tensor
    bias: Tensor
    left: int
    dilation: int


def find_passes(x: Tensor) -> ModuleType | None:
    """Return the module whose passes can work on ``x``, `cpu.passes` or `gpu.passes`; None where none can.

    float64 is for the truth, and what traces a network wants to see operations that it knows.
    """
    if x.dtype == torch.float64 or traced():
        return None
    device = x.device.type
    half = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
    if x.dtype not in (torch.float32, half):
        return None
    if device == "cpu" and half in (None, torch.bfloat16):
        return _load("cpu.passes", "numba")
    if device == "cuda":
        return _load("gpu.passes", "triton")
    return None


def find_packing(x: Tensor) -> ModuleType | None:
    """Return `cpu.packed_weights`, which packs blocks with weights like ``x`` for streams, or None."""
    return _load("cpu.packed_weights", "numba") if x.device.type == "cpu" and x.dtype == torch.float32 else None


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
            f"{library} kernels ({name.partition('.')[0]})",
            str(reason),
            "the network runs, but several times slower",
        )
        return None
