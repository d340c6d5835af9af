"""From a plan to results: memory first, then cell by cell."""

import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from tempfile import TemporaryDirectory

import numpy as np
from tqdm import tqdm

from benchmarks.speed import machine
from benchmarks.speed.contestants import CONTESTANTS, Contestant
from benchmarks.speed.plan import plan_cells, plan_rounds, shortage, takes_part
from benchmarks.speed.players import Player, Referee
from benchmarks.speed.remote import Answer, Remote
from benchmarks.speed.results import Cell, Memory, Results, Row
from benchmarks.speed.roofs import of_precision
from benchmarks.speed.rounds import Rounds, alternate
from benchmarks.speed.sizes import SIZES
from speechbrain_tasnet.system import memory

PRODUCT = 2048  # rows and columns of the matrices whose product is a roof


def measure(device: str, quick: bool, minutes: float) -> Iterator[Results]:
    """Measure everything and yield the results so far after each cell."""
    with _empty_caches():
        yield from _measure(device, quick, minutes)


@contextmanager
def _empty_caches() -> Iterator[None]:
    """Make the processes start without compiled code of earlier ones: the first run shows what compiling takes."""
    with TemporaryDirectory() as folder:
        for name in ("NUMBA_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR"):
            os.environ[name] = folder
        yield


def _measure(device: str, quick: bool, minutes: float) -> Iterator[Results]:
    cells = plan_cells(device, quick)
    results = Results(machine.describe(device), [], [])
    runs = [(cell, c) for cell in cells[:2] for c in CONTESTANTS[device] if cell.kind in c.kinds]
    progress = tqdm(total=len(runs) + len(cells), file=sys.stderr)
    with closing(Arena(CONTESTANTS[device], device)) as arena, progress:
        for cell, contestant in runs:
            progress.set_description(f"memory, {cell}, {contestant.label}")
            results.memory.append(arena.peak(cell, contestant))
            progress.update()
        for cell in cells:
            progress.set_description(f"{cell.sizes}, {cell}")
            results.rows.extend(arena.measure(cell, minutes * 60, results))
            progress.update()
            yield results


class Arena:
    """Run contestants against each other, each in a process of its own, of which one computes at any time.

    Parameters
    ----------
    contestants : list of Contestant
        What is measured.
    device : str
        ``cpu`` or ``cuda``.
    """

    def __init__(self, contestants: list[Contestant], device: str):
        self.device = device
        self.referee = Remote(Referee, PRODUCT, device)
        self.players = {c: Remote(Player, c, device) for c in contestants}
        self._first_runs: dict[
            tuple, float
        ] = {}  # by contestant, sizes and kind; later processes find machine code
        self._truths: dict[tuple, np.ndarray | None] = {}
        self._outputs: dict[Contestant, np.ndarray] = {}  # of the last turns

    def close(self) -> None:
        """End the processes."""
        for process in (self.referee, *self.players.values()):
            process.stop()

    def peak(self, cell: Cell, contestant: Contestant) -> Memory:
        """Run ``contestant`` once in ``cell`` and measure how much memory that adds."""
        increase = None
        player = self.players[contestant]
        player.start()
        _, why = self._prepare(cell, contestant)
        if not why:
            increase, why = player.ask("peak_memory_increase")
        _release(player)
        return Memory(cell, contestant.name, contestant.precision, increase, why)

    def measure(self, cell: Cell, whole: float, results: Results) -> list[Row]:
        """Run all contestants by turns in ``cell``; one that cannot run gets a row that gives the reason.

        Parameters
        ----------
        cell : Cell
            What is measured.
        whole : float
            Seconds that the whole benchmark may take, about.
        results : Results
            Measured so far.
        """
        contestants = [c for c in self.players if takes_part(c, cell, self.device)]
        free = memory.available(self.device)
        whys = {c: shortage(cell, _peak(results, c, cell.kind), free) for c in contestants}
        able = [c for c in contestants if not whys[c]]
        rounds = plan_rounds(cell, whole, [row for c in able for row in results.rows if row.label == c.label])
        if isinstance(rounds, str):
            whys = {c: whys[c] or rounds for c in contestants}
            rows = {}
        else:
            rows = self._play(cell, able, rounds)
        return [rows.get(c) or Row(cell, c.name, c.precision, why=whys[c]) for c in contestants]

    def _play(self, cell: Cell, contestants: list[Contestant], rounds: Rounds) -> dict[Contestant, Row]:
        for process in (self.referee, *(self.players[c] for c in contestants)):
            process.start()  # all at once: starting takes seconds
        ready = {c: self._prepare(cell, c) for c in contestants}
        turns = {c: partial(self._turn, c, rounds) for c, (_, why) in ready.items() if not why}
        names, lost = self.referee.ask("names")
        turns |= {name: partial(self.referee.ask, "rate", name) for name in names or ()}
        outcomes = alternate(turns, rounds)
        lost = lost or next((outcomes[name].why for name in names if outcomes[name].why), None)
        rates = {name: outcomes[name].times for name in names or ()}
        rows = {}
        for contestant, (prepared, why) in ready.items():
            fields = {"why": why or outcomes[contestant].why or lost}
            if not fields["why"]:
                fields["times"] = tuple(outcomes[contestant].times)
                fields["peak"], fields["product"] = of_precision(rates, contestant.precision)
                fields["parameters"], fields["first"] = prepared
                fields["delta"] = self._deviation(cell, contestant)
            rows[contestant] = Row(cell, contestant.name, contestant.precision, **fields)
        for process in (self.referee, *self.players.values()):
            _release(process)
        return rows

    def _prepare(self, cell: Cell, contestant: Contestant) -> Answer:
        shape = SIZES[cell.sizes], cell.kind, cell.batch, cell.seconds
        prepared, why = self.players[contestant].ask("prepare", *shape)
        if why:
            return None, why
        parameters, seconds = prepared
        return (parameters, self._first_runs.setdefault((contestant, cell.sizes, cell.kind), seconds)), None

    def _turn(self, contestant: Contestant, rounds: Rounds) -> Answer:
        answer, why = self.players[contestant].ask("turn", not rounds.single)
        if why:
            return None, why
        seconds, self._outputs[contestant] = answer
        if rounds.single:  # a cell that needs much memory, which the next contestant must have
            _release(self.players[contestant])
        return seconds, None

    def _deviation(self, cell: Cell, contestant: Contestant) -> float | None:
        key = contestant.model, cell.sizes, cell.seconds
        if key not in self._truths:
            self._truths[key], _ = self.referee.ask("truth", contestant, SIZES[cell.sizes], cell.seconds)
        truth = self._truths[key]
        return None if truth is None else deviation(self._outputs[contestant], truth)


def deviation(output: np.ndarray, truth: np.ndarray) -> float:
    """Return the largest difference divided by the largest value."""
    return float(np.abs(output - truth).max() / np.abs(truth).max())


def _release(process: Remote) -> None:
    """Make an idle process return its memory; engines keep theirs, so their process is stopped."""
    held, _ = process.ask("give_back")
    if held and held > memory.RELEASE_ABOVE:
        process.stop()


def _peak(results: Results, contestant: Contestant, kind: str) -> Memory | None:
    found = (m for m in results.memory if (m.label, m.cell.kind) == (contestant.label, kind))
    return next(found, None)
