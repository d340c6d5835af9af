"""The memory of a process: the peak that a run adds, what is held, what can be given back."""

import ctypes
import gc
import re
from collections.abc import Callable
from pathlib import Path

import torch

PROCESS = Path("/proc/self")
MUCH = 1.5e9  # bytes: who holds more while others compute is asked to give back


def rise(run: Callable[[], object], device: str) -> int:
    """Give the bytes by which ``run`` raises the peak above what is in use before it."""
    give_back(device)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    (PROCESS / "clear_refs").write_text("5")  # the peak starts anew
    before = _resident("VmRSS")
    run()
    return _resident("VmHWM") - before


def give_back(device: str) -> None:
    """Let the system have what was freed, which glibc, `keep_freed_memory` and torch's CUDA would rather keep."""
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def held(device: str) -> int:
    """Give the bytes that this process holds, libraries' files apart."""
    return torch.cuda.memory_reserved() if device == "cuda" else _resident("RssAnon")


def available(device: str) -> int:
    """Give the bytes that are free on ``device``."""
    if device == "cuda":
        return torch.cuda.mem_get_info()[0]
    return _kilobytes(Path("/proc/meminfo"), "MemAvailable")


def _resident(name: str) -> int:
    return _kilobytes(PROCESS / "status", name)


def _kilobytes(file: Path, name: str) -> int:
    return 1024 * int(re.search(rf"^{name}:\s*(\d+) kB", file.read_text(), re.MULTILINE)[1])
