"""Energy counters, where the machine has them and allows reading them."""

from collections.abc import Callable
from pathlib import Path

import torch

POWERCAP = Path("/sys/class/powercap")


class EnergyMeter:
    """Counts what processors (RAPL) and GPUs (NVML) take, whichever process uses them.

    Parameters
    ----------
    powercap : Path
        Where Linux shows its RAPL domains.

    Attributes
    ----------
    sources : list of str
        What is counted; empty where the machine does not report it.
    """

    def __init__(self, powercap: Path = POWERCAP):
        counters = _rapl(powercap) | _nvml()
        self.sources = list(counters)
        self._counters = list(counters.values())

    def joules(self) -> float:
        """Read the counters: joules since the meter was made, or since some earlier moment."""
        return sum(counter() for counter in self._counters)


class _Rapl:
    """The counter of one package, which starts again from zero at a certain value."""

    def __init__(self, domain: Path):
        self._file = domain / "energy_uj"
        self._range = int((domain / "max_energy_range_uj").read_text(encoding="ascii"))
        self._last, self._turns = self._read(), 0

    def __call__(self) -> float:
        now = self._read()
        self._turns += now < self._last
        self._last = now
        return (now + self._turns * self._range) / 1e6

    def _read(self) -> int:
        return int(self._file.read_text(encoding="ascii"))


def _rapl(powercap: Path) -> dict[str, Callable[[], float]]:
    """Find the packages; what they contain (cores, memory controller) is counted with them."""
    counters = {}
    for domain in sorted(powercap.glob("intel-rapl:*")):
        if domain.name.count(":") == 1:
            try:
                counters[f"RAPL {(domain / 'name').read_text(encoding='ascii').strip()}"] = _Rapl(domain)
            except (OSError, ValueError):  # since 2020 Linux lets only root read them
                continue
    return counters


def _nvml() -> dict[str, Callable[[], float]]:
    """Find the GPU that torch would use, if the package `pynvml` is there to ask."""
    if not torch.cuda.is_available():
        return {}
    try:
        import pynvml

        pynvml.nvmlInit()
        uuid = f"GPU-{torch.cuda.get_device_properties(torch.cuda.current_device()).uuid}"
        handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except Exception:  # not installed, no permission, too old a card: the figure is left out
        return {}
    return {"NVML GPU": lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000}
