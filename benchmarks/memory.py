"""The peak of memory that one run adds, measured in a process of its own."""

import ctypes
import gc
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.contestants import CONTESTANTS, Contestant, Model, draw
from benchmarks.results import Cell, Memory
from benchmarks.sizes import SIZES

ROOT = Path(__file__).parents[1]
PROCESS = Path("/proc/self")


def measure(contestant: Contestant, cell: Cell, device: str) -> Memory:
    """Start a process in which ``contestant`` does one run of ``cell``."""
    request = json.dumps([contestant.label, cell, device])
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.memory", request]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode == 0:
        return Memory(cell, contestant.name, contestant.precision, rise=int(done.stdout.split()[-1]))
    last_words = done.stderr.strip().split("\n")[-1] or f"ended by signal {-done.returncode}"
    return Memory(cell, contestant.name, contestant.precision, why=last_words)


def rise(run: Callable[[], object], device: str) -> int:
    """Give the bytes by which ``run`` raises the peak above what is in use before it."""
    give_back()
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


def give_back() -> None:
    """Let the system have what was freed, which glibc and `keep_freed_memory` would rather keep."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def available(device: str) -> int:
    """Give the bytes that are free on ``device``."""
    if device == "cuda":
        torch.cuda.empty_cache()
        return torch.cuda.mem_get_info()[0]
    return _kilobytes(Path("/proc/meminfo"), "MemAvailable")


def _resident(name: str) -> int:
    return _kilobytes(PROCESS / "status", name)


def _kilobytes(file: Path, name: str) -> int:
    return 1024 * int(re.search(rf"^{name}:\s*(\d+) kB", file.read_text(), re.MULTILINE)[1])


def _serve(request: str) -> int:
    """Do what `measure` asked for."""
    label, cell, device = json.loads(request)
    cell = Cell(*cell)
    contestant = next(c for c in CONTESTANTS[device] if c.label == label)
    model = Model(contestant, SIZES[cell.sizes], device)
    run = getattr(model, cell.kind)
    # What is compiled or loaded at first use is not the run's.
    run(*draw(1, 0.2, SIZES[cell.sizes].C, device))
    model.module.zero_grad(set_to_none=True)
    signals = draw(cell.batch, cell.seconds, SIZES[cell.sizes].C, device)
    return rise(lambda: run(*signals), device)


if __name__ == "__main__":
    print(_serve(sys.argv[1]))
