"""The processor of this machine: its name, and what it can do."""

import platform
import re
import subprocess
from functools import cache
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")

# What LLVM calls the features that decide how fast products are, by the names that people know.
FEATURES = {
    "x86": {"AVX2": "avx2", "AVX-512": "avx512f", "bf16": "avx512bf16", "AMX": "amx-bf16"},
    "arm": {"NEON": "neon", "SVE": "sve", "bf16": "bf16"},
}


@cache
def name() -> str:
    """Return the name of the processor, as its maker has it where the system knows that."""
    if CPUINFO.exists():
        found = re.search(r"^model name\s*: (.+)$", CPUINFO.read_text(encoding="utf-8"), re.MULTILINE)
        if found:
            return found[1]
    elif platform.system() == "Darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
        return done.stdout.strip()
    return platform.processor() or platform.machine()


def features() -> dict[str, bool]:
    """Return which vector instructions there are, by name; empty where LLVM does not know."""
    try:
        from llvmlite import binding

        found = binding.get_host_cpu_features()
    except Exception:  # not installed, or it does not know this processor
        return {}
    names = FEATURES["arm" if platform.machine().lower() in ("arm64", "aarch64") else "x86"]
    return {known: bool(found.get(llvm)) for known, llvm in names.items()}
