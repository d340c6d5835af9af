"""The memory of a process: the peak that a run adds, what is held, what can be released."""

import gc
import re
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import torch

from speechbrain_tasnet.system.c_functions import loaded_function

try:
    import resource
except ModuleNotFoundError:  # on Windows, where psutil reports the peak
    resource = None

PROCESS = Path("/proc/self")  # on Linux alone
RELEASE_ABOVE = 1.5e9  # bytes: who holds more while others compute is asked to give back


def peak_memory_increase(run: Callable[[], object], device: str) -> int:
    """Return the bytes by which ``run`` raises the peak above what is in use before it.

    On a processor Linux alone lets a peak start again. Elsewhere the result is too large where the process has
    used more before than ``run`` does.
    """
    give_back(device)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    peak_of_run = _peak_from_here()
    before = psutil.Process().memory_info().rss
    run()
    return peak_of_run() - before


def peak() -> int:
    """Return the most bytes that this process has held since it began."""
    if (PROCESS / "status").exists():
        return _high_water_mark()
    if resource is None:
        memory = psutil.Process().memory_info()
        return getattr(memory, "peak_wset", memory.rss)
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def give_back(device: str) -> None:
    """Return freed memory to the system, which `process.tune_process` and torch's CUDA would otherwise keep."""
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
    trim = loaded_function("malloc_trim")
    if trim is not None:
        trim(0)


def held(device: str) -> int:
    """Return the bytes that this process holds, without libraries' files where the system counts these."""
    if device == "cuda":
        return torch.cuda.memory_reserved()
    memory = psutil.Process().memory_info()
    return memory.rss - getattr(memory, "shared", 0)


def available(device: str) -> int:
    """Return the bytes that are free on ``device``."""
    return torch.cuda.mem_get_info()[0] if device == "cuda" else psutil.virtual_memory().available


def _peak_from_here() -> Callable[[], int]:
    """Reset the peak where the system can, and return what reads it."""
    try:
        (PROCESS / "clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return peak
    return _high_water_mark


def _high_water_mark() -> int:
    """Read the peak since the beginning, or since `clear_refs`.

    `getrusage` may return the parent's, from before this program began.
    """
    status = (PROCESS / "status").read_text(encoding="utf-8")
    return 1024 * int(re.search(r"^VmHWM:\s*(\d+) kB", status, re.MULTILINE)[1])
