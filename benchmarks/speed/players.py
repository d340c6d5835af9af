"""The objects in the processes: a contestant with its networks, and the referee."""

import time

import numpy as np

from benchmarks.speed.contestants import Contestant, Entry, draw
from benchmarks.speed.results import OURS
from benchmarks.speed.roofs import Roofs, timed
from benchmarks.speed.sizes import Sizes
from speechbrain_tasnet import tune_process
from speechbrain_tasnet.system import memory

FIRST_USE = 0.5  # seconds of audio; SpeechBrain's padding fails on much less
NAP, NAPS = 0.005, 200  # seconds between two looks at the threads, and how many looks at most


class Player:
    """A contestant in a process of its own.

    Parameters
    ----------
    contestant : Contestant
        Which one.
    device : str
        ``cpu`` or ``cuda``.
    """

    def __init__(self, contestant: Contestant, device: str):
        if contestant.name == OURS:
            tune_process()  # as the command line and the recipes do
        self._contestant = contestant
        self._device = device
        self._entries: dict[Sizes, Entry] = {}
        self._run = None
        self._cold = True  # its memory must first come from the system again

    def prepare(self, sizes: Sizes, kind: str, batch: int, seconds: float) -> tuple[int, float]:
        """Prepare for turns.

        Parameters
        ----------
        sizes : Sizes
            Of the network, which is built if it does not exist yet.
        kind : str
            What is to be run, ``inference`` or ``training``.
        batch, seconds : int, float
            Of the signals.

        Returns
        -------
        tuple of int and float
            The number of parameters, and the seconds of the first run, in which what is needed is compiled or
            loaded.
        """
        if sizes not in self._entries:
            self._entries[sizes] = Entry(self._contestant, sizes, self._device)
        entry = self._entries[sizes]
        run = getattr(entry, kind)
        # torch.compile would begin again for another shape.
        first = (batch, seconds) if self._contestant.compiled else (1, FIRST_USE)
        first_signals = draw(*first, sizes.C, self._device)
        _, first_run = timed(lambda: run(*first_signals), self._device)
        entry.network.zero_grad(set_to_none=True)
        signals = draw(batch, seconds, sizes.C, self._device)
        self._run = lambda: run(*signals)
        self._cold = True
        return entry.parameters, first_run

    def peak_memory_increase(self) -> int:
        """Run once and return the bytes by which that raises the peak of memory."""
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
        estimates, seconds = timed(self._run, self._device)
        estimates = estimates[:1].cpu().numpy().copy()
        _come_to_rest()
        self._cold = memory.held(self._device) > memory.RELEASE_ABOVE
        if self._cold:
            memory.give_back(self._device)
        return seconds, estimates

    def give_back(self) -> int:
        """Return freed memory to the system, and the number of bytes that are still held."""
        self._cold = True
        memory.give_back(self._device)
        return memory.held(self._device)


class Referee:
    """The standard for all: how fast the machine computes, and what a network returns in float64.

    Parameters
    ----------
    size : int
        Rows and columns of the matrices to multiply.
    device : str
        ``cpu`` or ``cuda``.
    """

    def __init__(self, size: int, device: str):
        self._device = device
        self._roofs = Roofs(size, device)
        for name in self._roofs.names():
            self._roofs.rate(name)  # starts the threads

    def names(self) -> list[str]:
        """List the roofs."""
        return self._roofs.names()

    def rate(self, name: str) -> float:
        """Measure a roof, in operations a second."""
        rate = self._roofs.rate(name)
        _come_to_rest()
        return rate

    def truth(self, contestant: Contestant, sizes: Sizes, seconds: float) -> np.ndarray:
        """Separate the first item of every batch in float64, with the contestant's network; [1, time, C]."""
        entry = Entry(contestant._replace(engine=None, precision="float32"), sizes, self._device)
        mixture, _ = draw(1, seconds, sizes.C, self._device)
        return entry.truth(mixture).cpu().numpy()

    def give_back(self) -> int:
        """Return freed memory to the system, and the number of bytes that are still held."""
        memory.give_back(self._device)
        return memory.held(self._device)


def _come_to_rest() -> None:
    """Wait until the threads of this process sleep: after work they spin for a while, waiting for more."""
    for _ in range(NAPS):
        before = time.process_time()
        time.sleep(NAP)
        if time.process_time() - before < NAP / 10:
            return
