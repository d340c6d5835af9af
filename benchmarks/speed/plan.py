"""The plan: which cells are measured, how often, and which must be left out."""

from collections.abc import Iterable
from itertools import product

from benchmarks.speed.contestants import Contestant
from benchmarks.speed.results import INFERENCE, TRAINING, Cell, Memory, Row
from benchmarks.speed.rounds import Rounds

KINDS = (INFERENCE, TRAINING)

# Batch and seconds. The first is measured best, and the others are estimated from it.
SHAPES = {
    "cpu": [(2, 4), *(shape for shape in product((1, 2, 8), (1, 4, 60)) if shape != (2, 4))],
    "cuda": [(8, 4), (32, 4)],
}

# Of the whole time: what the first cells of each kind may take, and any other.
FIRST_SHARE = {INFERENCE: 1 / 18, TRAINING: 1 / 9}
SHARE = 1 / 60

# Also of the whole time: where a round takes longer, there is only one, or none at all.
SINGLE_ROUND = 1 / 40
NO_ROUND = 1 / 4

LEAST, MOST = 3, 25
USABLE_MEMORY = 0.8  # of what is available: the allocators have their own losses


def plan_cells(device: str, quick: bool) -> list[Cell]:
    """List the cells in the order in which they are measured."""
    firsts = (("best", *SHAPES[device][0]), ("shipped", 4, 3), ("small", 2, 1.5))
    cells = [Cell(sizes, kind, *shape) for sizes, *shape in firsts for kind in KINDS]
    return cells if quick else cells + _other_cells(device)


def _other_cells(device: str) -> list[Cell]:
    return [Cell("best", kind, *shape) for kind in KINDS for shape in SHAPES[device][1:]]


def takes_part(contestant: Contestant, cell: Cell, device: str) -> bool:
    """Return whether a contestant runs in a cell; compiling for each of many shapes would take hours."""
    too_many = contestant.compiled and device == "cpu" and cell in _other_cells(device)
    return cell.kind in contestant.kinds and not too_many


def plan_rounds(cell: Cell, whole: float, rows: Iterable[Row]) -> Rounds | str:
    """Decide how often each contestant has a turn in ``cell``.

    Parameters
    ----------
    cell : Cell
        What is to be measured.
    whole : float
        Seconds that the whole benchmark may take, about.
    rows : iterable of Row
        Results so far of the contestants that are to run, the first cell of this kind first.

    Returns
    -------
    Rounds or str
        Or the reason why there can be none.
    """
    alike = [row for row in rows if (row.cell.sizes, row.cell.kind) == (cell.sizes, cell.kind) and row.times]
    if not alike:
        share = SHARE if cell.sizes == "small" else FIRST_SHARE[cell.kind]
        return Rounds(LEAST, MOST, whole * share)
    first = [row for row in alike if row.cell == alike[0].cell]
    expected = sum(row.median for row in first) * cell.audio / first[0].cell.audio
    if expected > whole * NO_ROUND:
        return f"too long: about {expected / 60:.0f} minutes for a run of each"
    if expected > whole * SINGLE_ROUND:
        return Rounds(1, 1, 0)
    return Rounds(LEAST, MOST, whole * SHARE)


def shortage(cell: Cell, measured: Memory | None, available: int) -> str | None:
    """Return why ``cell`` does not fit into ``available`` bytes, judged by what was ``measured`` in another."""
    if measured is None or measured.why:
        return measured and measured.why
    needed = measured.increase * cell.audio / measured.cell.audio
    if needed < USABLE_MEMORY * available:
        return None
    return f"does not fit: needs about {needed / 1e9:.0f} GB, {available / 1e9:.0f} GB are free"
