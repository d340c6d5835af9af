"""Who lives in the processes: a contestant with its networks, and the referee."""

import time
from collections.abc import Callable

import numpy as np
import torch

from benchmarks import memory
from benchmarks.contestants import Contestant, Model, allow_tf32, draw
from benchmarks.sizes import Sizes

NAP, NAPS = 0.005, 200  # seconds between two looks at the threads, and how many looks at most


class Player:
    """A contestant that has a process for itself.

    Parameters
    ----------
    contestant : Contestant
        Who.
    device : str
        ``cpu`` or ``cuda``.
    """

    def __init__(self, contestant: Contestant, device: str):
        self._contestant = contestant
        self._device = device
        self._models: dict[Sizes, Model] = {}
        self._run = self._estimates = None

    def prepare(self, sizes: Sizes, kind: str, batch: int, seconds: float) -> int:
        """Get ready for turns.

        Parameters
        ----------
        sizes : Sizes
            Of the network, which is built if it is not there.
        kind : str
            What is to be run, ``inference`` or ``training``.
        batch, seconds : int, float
            Of the signals.

        Returns
        -------
        int
            Number of parameters.
        """
        if sizes not in self._models:
            self._models[sizes] = Model(self._contestant, sizes, self._device)
        model = self._models[sizes]
        run = getattr(model, kind)
        run(*draw(1, 0.2, sizes.C, self._device))  # what is compiled or loaded at first use is not the run's
        model.module.zero_grad(set_to_none=True)
        signals = draw(batch, seconds, sizes.C, self._device)
        self._run = lambda: run(*signals)
        self._estimates = None
        return model.parameters

    def rise(self) -> int:
        """Run once; returns the bytes by which that raises the peak of memory."""
        return memory.rise(self._run, self._device)

    def turn(self) -> float:
        """Run once; returns the seconds that it took."""
        self._estimates = None  # their memory is free for the next ones
        self._estimates, seconds = _timed(self._run, self._device)
        _come_to_rest()
        return seconds

    def output(self) -> np.ndarray:
        """Give the last turn's estimates [1, time, C] of the first item."""
        return self._estimates[:1].cpu().numpy()

    def give_back(self) -> int:
        """Let the system have what was freed; returns the bytes that are still held."""
        memory.give_back(self._device)
        return memory.held(self._device)


class Referee:
    """Who knows how fast the machine is and what is right.

    Parameters
    ----------
    device : str
        ``cpu`` or ``cuda``.
    """

    def __init__(self, device: str):
        self._device = device
        allow_tf32(False)

    def product(self, size: int) -> float:
        """Multiply two matrices of ``size`` rows and columns; returns the seconds that it took."""
        left, right = torch.randn(2, size, size, device=self._device)
        _, seconds = _timed(lambda: left @ right, self._device)
        _come_to_rest()
        return seconds

    def truth(self, contestant: Contestant, sizes: Sizes, seconds: float) -> np.ndarray:
        """Separate the first item of every batch in float64, with the contestant's network; [1, time, C]."""
        model = Model(contestant._replace(engine=None, precision="float32"), sizes, self._device)
        mixture, _ = draw(1, seconds, sizes.C, self._device)
        return model.truth(mixture).cpu().numpy()

    def give_back(self) -> int:
        """Let the system have what was freed; returns the bytes that are still held."""
        memory.give_back(self._device)
        return memory.held(self._device)


def _timed(run: Callable, device: str) -> tuple[torch.Tensor, float]:
    synchronize = torch.cuda.synchronize if device == "cuda" else lambda: None
    synchronize()
    start = time.perf_counter()
    result = run()
    synchronize()
    return result, time.perf_counter() - start


def _come_to_rest() -> None:
    """Wait until this process's threads sleep: for a while after their work they spin in hope of more."""
    for _ in range(NAPS):
        before = time.process_time()
        time.sleep(NAP)
        if time.process_time() - before < NAP / 10:
            return
