"""From a plan to results: memory first, then cell by cell."""

import sys
from collections.abc import Iterator
from functools import partial
from statistics import median

import torch
from torch import Tensor
from tqdm import tqdm

from benchmarks import machine, memory
from benchmarks.contestants import CONTESTANTS, Contestant, Model, allow_tf32, draw
from benchmarks.plan import plan_cells, plan_rounds, shortage
from benchmarks.results import Cell, Memory, Results, Row
from benchmarks.rounds import Outcome, alternate, attempt
from benchmarks.sizes import SIZES

PRODUCT = 2048  # rows and columns of the matrices whose product sets the roof


def measure(device: str, quick: bool, minutes: float) -> Iterator[Results]:
    """Measure everything; yields the results so far after each cell."""
    cells = plan_cells(device, quick)
    results = Results(machine.describe(device), [], [])
    runs = [(cell, c) for cell in cells[:2] for c in CONTESTANTS[device] if cell.kind in c.kinds]
    with tqdm(total=len(runs) + len(cells), file=sys.stderr) as progress:
        for cell, contestant in runs:
            progress.set_description(f"memory, {cell}, {contestant.label}")
            results.memory.append(memory.measure(contestant, cell, device))
            progress.update()
        arena = Arena(CONTESTANTS[device], device)
        for cell in cells:
            progress.set_description(f"{cell.sizes}, {cell}")
            results.rows.extend(arena.measure(cell, minutes * 60, results))
            progress.update()
            yield results


class Arena:
    """Where contestants meet: all of them with weights, and the truth about what they should give.

    Parameters
    ----------
    contestants : list of Contestant
        Who is measured.
    device : str
        ``cpu`` or ``cuda``.
    """

    def __init__(self, contestants: list[Contestant], device: str):
        self.contestants = contestants
        self.device = device
        self.matrices = torch.randn(2, PRODUCT, PRODUCT, device=device)
        self._models: dict[tuple, tuple[Model | None, str | None]] = {}
        self._truths: dict[tuple, Tensor | None] = {}

    def measure(self, cell: Cell, whole: float, results: Results) -> list[Row]:
        """Let everybody take turns in ``cell``; who cannot gets a row that says why.

        Parameters
        ----------
        cell : Cell
            What is measured.
        whole : float
            Seconds that the whole benchmark may take, about.
        results : Results
            What is known so far.
        """
        contestants = [c for c in self.contestants if cell.kind in c.kinds]
        models = {c: self._model(c, cell.sizes) for c in contestants}
        memory.give_back()
        free = memory.available(self.device)
        whys = {c: models[c][1] or shortage(cell, _peak(results, c, cell.kind), free) for c in contestants}
        able = [c for c in contestants if not whys[c]]
        rounds = plan_rounds(cell, whole, [row for c in able for row in results.rows if row.label == c.label])
        if isinstance(rounds, str):
            return [Row(cell, c.name, c.precision, why=whys[c] or rounds) for c in contestants]
        mixture, sources = draw(cell.batch, cell.seconds, SIZES[cell.sizes].C, self.device)
        runs = {c: partial(getattr(models[c][0], cell.kind), mixture, sources) for c in able}
        outcomes = alternate({**runs, "product": self._product}, rounds, self._synchronize)
        rate = 2 * PRODUCT**3 / median(outcomes.pop("product").times)
        outcomes |= {c: Outcome(why=why) for c, why in whys.items() if why}
        return [self._row(cell, c, models[c][0], outcomes[c], rate, mixture[:1]) for c in contestants]

    def _model(self, contestant: Contestant, sizes: str) -> tuple[Model | None, str | None]:
        key = contestant, sizes
        if key not in self._models:
            self._models[key] = attempt(lambda: Model(contestant, SIZES[sizes], self.device))
        return self._models[key]

    def _row(
        self, cell: Cell, contestant: Contestant, model: Model, outcome: Outcome, rate: float, mixture: Tensor
    ) -> Row:
        row = Row(cell, contestant.name, contestant.precision, why=outcome.why)
        if outcome.why:
            return row
        truth = self._truth(cell, contestant, model, mixture)
        delta = None if truth is None else deviation(outcome.result[:1], truth)
        return row._replace(times=tuple(outcome.times), rate=rate, parameters=model.parameters, delta=delta)

    def _truth(self, cell: Cell, contestant: Contestant, model: Model, mixture: Tensor) -> Tensor | None:
        key = contestant.network, cell.sizes, cell.seconds
        if key not in self._truths:
            self._truths[key], _ = attempt(lambda: model.truth(mixture))
        return self._truths[key]

    def _product(self) -> None:
        allow_tf32(False)
        self.matrices[0] @ self.matrices[1]

    def _synchronize(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()


def deviation(output: Tensor, truth: Tensor) -> float:
    """Give the largest difference by the largest value."""
    return ((output.double() - truth).abs().max() / truth.abs().max()).item()


def _peak(results: Results, contestant: Contestant, kind: str) -> Memory | None:
    found = (m for m in results.memory if (m.label, m.cell.kind) == (contestant.label, kind))
    return next(found, None)
