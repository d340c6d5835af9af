"""What was measured, on disk, and what follows from it: medians, spreads, shares of the roof."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.sizes import SAMPLE_RATE, SIZES

OURS = "speechbrain_tasnet"
INFERENCE, TRAINING = "inference", "training"


class Cell(NamedTuple):
    """What one table is about."""

    sizes: str  # a key of `SIZES`
    kind: str  # INFERENCE or TRAINING
    batch: int
    seconds: float

    @property
    def audio(self) -> float:
        """Seconds of audio in the batch."""
        return self.batch * self.seconds

    def __str__(self):
        return f"{self.kind}, {self.batch} x {self.seconds:g} s"


def three_digits(value: float) -> str:
    """Write a positive number with three significant digits, and never with an exponent above.

    Example
    -------
    >>> three_digits(0.012345), three_digits(12.345), three_digits(12345.6)
    ('0.0123', '12.3', '12,346')
    """
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


class Row(NamedTuple):
    """A contestant in a cell; either ``times`` or ``why`` is there."""

    cell: Cell
    name: str
    precision: str
    times: tuple[float, ...] = ()  # seconds
    rate: float | None = None  # of the product of matrices in the same rounds, operations a second
    parameters: int | None = None
    delta: float | None = None  # max |output - truth| / max |truth|
    why: str | None = None  # there is no time

    @property
    def label(self) -> str:
        """Name and precision."""
        return f"{self.name} {self.precision}"

    @property
    def median(self) -> float:
        """Seconds."""
        return float(np.median(self.times))

    @property
    def quartiles(self) -> tuple[float, float]:
        """Seconds below which a quarter and three quarters of the times lie."""
        low, high = np.percentile(self.times, [25, 75])
        return float(low), float(high)

    @property
    def share(self) -> float:
        """Time that the network's products alone would take, by the time that it took."""
        return roof(self.cell, self.parameters, self.rate) / self.median


class Memory(NamedTuple):
    """The peak that one run adds; either ``rise`` or ``why`` is there."""

    cell: Cell
    name: str
    precision: str
    rise: int | None = None  # bytes
    why: str | None = None

    @property
    def label(self) -> str:
        """Name and precision."""
        return f"{self.name} {self.precision}"


class Results(NamedTuple):
    """All of it."""

    machine: dict[str, str]
    rows: list[Row]
    memory: list[Memory]


def roof(cell: Cell, parameters: int, rate: float) -> float:
    """Give the seconds of two operations a parameter and frame at ``rate``, three times as many in training.

    Example
    -------
    >>> roof(Cell("best", TRAINING, batch=2, seconds=4), parameters=5_000_000, rate=1e11)
    2.4
    """
    frames = cell.audio * SAMPLE_RATE / (SIZES[cell.sizes].L // 2)
    return 2 * parameters * frames * (3 if cell.kind == TRAINING else 1) / rate


def save(results: Results, path: Path) -> None:
    """Write ``results`` as JSON."""
    tables = {
        "machine": results.machine,
        "rows": [row._asdict() | {"cell": row.cell._asdict()} for row in results.rows],
        "memory": [row._asdict() | {"cell": row.cell._asdict()} for row in results.memory],
    }
    path.write_text(json.dumps(tables, indent=1) + "\n")


def load(path: Path) -> Results:
    """Read what `save` wrote."""
    tables = json.loads(path.read_text())
    rows = [Row(**row | {"cell": Cell(**row["cell"]), "times": tuple(row["times"])}) for row in tables["rows"]]
    memory = [Memory(**row | {"cell": Cell(**row["cell"])}) for row in tables["memory"]]
    return Results(tables["machine"], rows, memory)
