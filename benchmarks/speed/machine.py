"""The machine and the versions that the figures were measured with."""

import os
import platform
import sys
from datetime import datetime, timezone

import torch

from speechbrain_tasnet.installation import installed
from speechbrain_tasnet.system import processor

PACKAGES = (
    "speechbrain-tasnet",
    "torch",
    "numba",
    "triton",
    "speechbrain",
    "asteroid",
    "torchaudio",
    "onnxruntime",
    "openvino",
)


def describe(device: str) -> dict[str, str]:
    """Describe machine, versions and command, by what each is called in the table."""
    facts = {"processor": f"{processor.name()}, cores: {os.cpu_count()}, threads: {torch.get_num_threads()}"}
    if device == "cuda":
        facts["accelerator"] = f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return facts | {
        "memory": f"{memory:.0f} GB",
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": ", ".join(f"{name} {installed(name) or 'none'}" for name in PACKAGES),
        "load before": ", ".join(f"{load:.1f}" for load in os.getloadavg()),
        "date": datetime.now(timezone.utc).date().isoformat(),
        "command": " ".join(["python -m benchmarks.speed", *sys.argv[1:]]),
    }
