"""The machine: system, processor, memory, GPU, and the folders that are written to."""

import os
import platform
import shutil
import tempfile
from pathlib import Path

import psutil

from speechbrain_tasnet.system import processor
from speechbrain_tasnet.system.files import existing_parent
from speechbrain_tasnet.system.parallel import usable_cpus

LOW = 1e9  # bytes of free disk below which a training cannot keep its checkpoints


def system() -> dict[str, object]:
    """Return system, Python, processor, cores and memory."""
    usable = usable_cpus()
    memory = psutil.virtual_memory()
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "processor": processor.name(),
        "features": processor.features(),
        "cores": os.cpu_count(),
        "usable cores": usable,
        "memory": memory.total,
        "free memory": memory.available,
    }


def torch_settings() -> dict[str, object]:
    """Return what torch makes of the machine: threads, the instructions it uses, GPUs."""
    import torch

    return {
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
    }


def folders() -> dict[str, dict[str, object]]:
    """Return the folders that are written to: where each is, whether it can be written, and what is free there."""
    places = {
        "working folder": Path.cwd(),
        "temporary files": Path(tempfile.gettempdir()),
        "compiled loops": _cache(),
    }
    return {name: _examine(folder) for name, folder in places.items() if folder is not None}


def _examine(folder: Path) -> dict[str, object]:
    there = existing_parent(folder)
    return {
        "path": str(folder),
        "writable": os.access(there, os.W_OK),
        "free": shutil.disk_usage(there).free,
    }


def _cache() -> Path | None:
    """Return the folder in which Numba keeps the machine code of our loops; None where it keeps none."""
    try:
        from speechbrain_tasnet.ops.cpu import forward
    except Exception:  # Numba does not work, which is reported elsewhere
        return None
    path = forward.forward.stats.cache_path
    return None if path is None else Path(path)
