"""The results, on disk, and what follows from them: medians, quartiles, shares of the roofs."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.speed.sizes import SAMPLE_RATE, SIZES
from speechbrain_tasnet.system.files import write_text

OURS = "speechbrain_tasnet"
INFERENCE, TRAINING = "inference", "training"


class Cell(NamedTuple):
    """The subject of one table."""

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
    """A contestant in a cell, with either ``times`` or ``why``."""

    cell: Cell
    name: str
    precision: str
    times: tuple[float, ...] = ()  # seconds
    # What the machine does in that precision, in the same rounds, operations a second:
    peak: float | None = None  # multiply-adds on numbers in registers
    product: float | None = None  # the fastest large product of matrices
    parameters: int | None = None
    first: float | None = None  # seconds of the first run, in which is compiled what must be
    delta: float | None = None  # max |output - truth| / max |truth|
    why: str | None = None  # the reason why there are no times

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

    def share(self, rate: float | None) -> float | None:
        """Return the time of the network's products alone at ``rate`` by the time that it took."""
        return None if rate is None else roof(self.cell, self.parameters, rate) / self.median


class Memory(NamedTuple):
    """The increase of the peak by one run, with either ``increase`` or ``why``."""

    cell: Cell
    name: str
    precision: str
    increase: int | None = None  # bytes
    why: str | None = None  # the reason why there is none

    @property
    def label(self) -> str:
        """Name and precision."""
        return f"{self.name} {self.precision}"


class Results(NamedTuple):
    """All results of one run of the benchmark."""

    machine: dict[str, str]
    rows: list[Row]
    memory: list[Memory]


def roof(cell: Cell, parameters: int, rate: float) -> float:
    """Return the seconds of two operations a parameter and frame at ``rate``, three times as many in training.

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
    write_text(path, json.dumps(tables, indent=1) + "\n")


def load(path: Path) -> Results:
    """Read what `save` wrote."""
    tables = json.loads(path.read_text(encoding="utf-8"))
    rows = [Row(**row | {"cell": Cell(**row["cell"]), "times": tuple(row["times"])}) for row in tables["rows"]]
    memory = [Memory(**row | {"cell": Cell(**row["cell"])}) for row in tables["memory"]]
    return Results(tables["machine"], rows, memory)
