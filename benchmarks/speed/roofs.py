"""Measure how fast this machine computes: multiply-adds in registers, and large products of its libraries."""

import time
from collections.abc import Callable, Mapping
from statistics import median

import numpy as np
import torch

from benchmarks.speed import peak
from benchmarks.speed.contestants import allow_tf32
from benchmarks.speed.peak import TIMES

PEAK = "peak"


class Roofs:
    """What is measured, by a name such as ``peak float32`` or ``numpy float32``.

    Parameters
    ----------
    size : int
        Rows and columns of the matrices to multiply.
    device : str
        ``cpu`` or ``cuda``. Only processors have a peak here.
    """

    def __init__(self, size: int, device: str):
        self._operations = 2 * size**3
        self._device = device
        x, y = torch.randn(2, size, size, device=device)
        a, b = x.cpu().numpy(), y.cpu().numpy()
        self._ways: dict[str, Callable[[], float]] = {}
        if device == "cpu":
            self._ways |= {
                f"{PEAK} {name}": lambda name=name: peak.peak(torch.get_num_threads(), name)
                for name in peak.precisions()
            }
            self._ways["numpy float32"] = lambda: self._rate(lambda: np.matmul(a, b))
        self._ways["torch float32"] = lambda: self._rate(lambda: x @ y)
        if device == "cuda":
            self._ways["torch tf32"] = lambda: self._rate(lambda: x @ y, tf32=True)
        halves = x.bfloat16(), y.bfloat16()
        self._ways["torch bfloat16"] = lambda: self._rate(lambda: halves[0] @ halves[1])

    def names(self) -> list[str]:
        """List what can be measured."""
        return list(self._ways)

    def rate(self, name: str) -> float:
        """Measure operations a second."""
        return self._ways[name]()

    def _rate(self, multiply: Callable, tf32: bool = False) -> float:
        allow_tf32(tf32)
        return self._operations / min(timed(multiply, self._device)[1] for _ in range(TIMES))


def of_precision(rates: Mapping[str, list[float]], precision: str) -> tuple[float | None, float]:
    """Return the peak, if there is one, and the fastest product in ``precision``, of rates by name.

    Where a processor has no instructions for it, half precision is measured by what float32 would reach.
    """
    medians = {name: median(measured) for name, measured in rates.items()}
    peak_rate = medians.get(f"{PEAK} {precision}", medians.get(f"{PEAK} float32"))
    products = [rate for name, rate in medians.items() if name.endswith(precision) and not name.startswith(PEAK)]
    return peak_rate, max(products)


def timed(run: Callable[[], object], device: str) -> tuple[object, float]:
    """Return what ``run`` returns, and the seconds that it took."""
    synchronize = torch.cuda.synchronize if device == "cuda" else lambda: None
    synchronize()
    start = time.perf_counter()
    result = run()
    synchronize()
    return result, time.perf_counter() - start
