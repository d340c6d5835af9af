"""Who lives in the processes: a contestant with its networks, and the referee."""

import time
from collections.abc import Callable

import numpy as np
import torch

from benchmarks.contestants import Contestant, Model, allow_tf32, draw
from benchmarks.sizes import Sizes
from speechbrain_tasnet.system import memory

FIRST_USE = 0.5  # seconds of audio; SpeechBrain's padding fails on much less
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
        self._run = None
        self._cold = True  # what memory it uses must come from the system first

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
        run(*draw(1, FIRST_USE, sizes.C, self._device))  # what is compiled or loaded at first use is not the run's
        model.module.zero_grad(set_to_none=True)
        signals = draw(batch, seconds, sizes.C, self._device)
        self._run = lambda: run(*signals)
        self._cold = True
        return model.parameters

    def peak_memory_increase(self) -> int:
        """Run once; returns the bytes by which that raises the peak of memory."""
        return memory.peak_memory_increase(self._run, self._device)

    def turn(self, warm_up: bool) -> tuple[float, np.ndarray]:
        """Run once.

        Parameters
        ----------
        warm_up : bool
            Whether to run once before, untimed, where memory was given back since the last run.

        Returns
        -------
        tuple of float and numpy.ndarray
            The seconds that it took, and the estimates [1, time, C] of the first item.
        """
        if warm_up and self._cold:
            self._run()
        estimates, seconds = _timed(self._run, self._device)
        estimates = estimates[:1].cpu().numpy().copy()
        _come_to_rest()
        self._cold = memory.held(self._device) > memory.RELEASE_ABOVE
        if self._cold:
            memory.give_back(self._device)
        return seconds, estimates

    def give_back(self) -> int:
        """Let the system have what was freed; returns the bytes that are still held."""
        self._cold = True
        memory.give_back(self._device)
        return memory.held(self._device)


class Referee:
    """Who knows how fast the machine is and what is right.

    Parameters
    ----------
    size : int
        Rows and columns of the matrices to multiply.
    device : str
        ``cpu`` or ``cuda``.
    """

    def __init__(self, size: int, device: str):
        self._device = device
        self._matrices = torch.randn(2, size, size, device=device)
        allow_tf32(False)
        self.product()  # starts the threads

    def product(self) -> float:
        """Multiply two matrices; returns the seconds that it took."""
        _, seconds = _timed(lambda: self._matrices[0] @ self._matrices[1], self._device)
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
