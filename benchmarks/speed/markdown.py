"""Results as Markdown: the full page, and the short sections of the documentation."""

from itertools import groupby
from pathlib import Path

from benchmarks.speed.results import INFERENCE, OURS, TRAINING, Cell, Memory, Results, Row, three_digits
from benchmarks.speed.sizes import SAMPLE_RATE, SIZES

INTRODUCTION = (Path(__file__).parent / "introduction.md").read_text(encoding="utf-8")

SUMMARY_HEAD = """\
| | precision | inference, s | of peak | of product | training step, s | of peak | of product | first run, s |
|---|---|--:|--:|--:|--:|--:|--:|--:|
"""

TIMES_HEAD = """\
| | precision | median s | quartiles apart s | runs | audio/s | peak | product | time by ours | Δ |
|---|---|--:|--:|--:|--:|--:|--:|--:|--:|
"""

MEMORY_HEAD = """\
| | precision | {heads} |
|---|---|{rules}|
"""


def render(results: Results, picture: str) -> str:
    """Write the full page.

    Parameters
    ----------
    results : Results
        What was measured.
    picture : str
        File name of the plot.
    """
    parts = [
        "# Speed and memory\n",
        summary(results),
        INTRODUCTION,
        f"![Speed]({picture})\n",
        f"## Machine\n\n{machine_table(results)}",
        f"## Memory\n\n{memory_table(results.memory)}",
    ]
    for sizes, rows in groupby(sorted(results.rows, key=_sizes_first), key=lambda row: row.cell.sizes):
        parts.append(f"## {SIZES[sizes]}, {SAMPLE_RATE} Hz\n")
        parts.extend(times_table(cell, list(alike)) for cell, alike in groupby(rows, key=lambda row: row.cell))
    return "\n".join(parts)


def sections(results: Results) -> list[str]:
    """Write summary, machine and memory as sections of a page, under names of their own for a GPU."""
    where = " on a GPU" if "accelerator" in results.machine else ""
    tables = {
        "Summary": summary(results),
        "Machine": machine_table(results),
        "Memory": memory_table(results.memory),
    }
    return [f"## {name}{where}\n\n{table}" for name, table in tables.items()]


def machine_table(results: Results) -> str:
    """Write the table of the machine."""
    facts = "".join(f"| {name} | {fact} |\n" for name, fact in results.machine.items())
    return f"| | |\n|---|---|\n{facts}"


def summary(results: Results) -> str:
    """Write the first cells of the larger networks, inference beside training: a table for each, ours last."""
    parts = [(results.machine.get("accelerator") or results.machine["processor"]) + ".\n"]
    for sizes in SIZES:
        rows = [row for row in results.rows if row.cell.sizes == sizes]
        if rows and sizes != "small":
            cell = rows[0].cell
            about = f"{SIZES[sizes]}, {cell.batch} x {cell.seconds:g} s at {SAMPLE_RATE} Hz"
            parts.append(f"{about}.\n{_roofs(rows)}\n\n{_summary_table(cell, rows)}")
    return "\n".join(parts)


def _roofs(rows: list[Row]) -> str:
    """Describe what shares are of, in the precisions that there are."""
    measured = {row.precision: row for row in rows if row.product}
    roofs = (
        f"{name} {f'{row.peak / 1e9:,.0f} and ' if row.peak else ''}{row.product / 1e9:,.0f}"
        for name, row in measured.items()
    )
    return f"Peak and product, GFLOP/s: {', '.join(roofs)}." if measured else ""


def _summary_table(cell: Cell, rows: list[Row]) -> str:
    measured = {}
    for row in sorted(rows, key=lambda row: row.name == OURS):
        if row.cell._replace(kind=cell.kind) == cell:
            measured.setdefault((row.name, row.precision), {})[row.cell.kind] = row
    lines = [
        _line(*name, *_time_and_shares(of.get(INFERENCE)), *_time_and_shares(of.get(TRAINING)), _first_run(of))
        for name, of in measured.items()
    ]
    return SUMMARY_HEAD + "".join(lines)


def _time_and_shares(row: Row | None) -> tuple[str, str, str]:
    if row is None or row.why:
        return row.why if row else "", "", ""
    return three_digits(row.median), _percent(row.share(row.peak)), _percent(row.share(row.product))


def _first_run(rows: dict[str, Row]) -> str:
    seconds = [row.first for row in rows.values() if row.first is not None]
    return three_digits(max(seconds)) if seconds else ""


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}".replace("%", " %")


def _sizes_first(row: Row) -> tuple:
    return list(SIZES).index(row.cell.sizes), row.cell.kind


def times_table(cell: Cell, rows: list[Row]) -> str:
    """Write the table of one cell."""
    ours = next((row.median for row in rows if (row.name, row.precision) == (OURS, "float32") and row.times), None)
    return f"### {str(cell).capitalize()}\n\n{_roofs(rows)}\n\n{TIMES_HEAD}" + "".join(
        _times_line(row, ours) for row in rows
    )


def _times_line(row: Row, ours: float | None) -> str:
    if row.why:
        return _line(row.name, row.precision, row.why, *[""] * 7)
    low, high = row.quartiles
    return _line(
        row.name,
        row.precision,
        three_digits(row.median),
        f"{high - low:.2g}" if len(row.times) > 1 else "",
        f"{len(row.times)}",
        three_digits(row.cell.audio / row.median),
        _percent(row.share(row.peak)),
        _percent(row.share(row.product)),
        f"{row.median / ours:.2f}" if ours else "",
        "" if row.delta is None else f"{row.delta:.1e}",
    )


def memory_table(memory: list[Memory]) -> str:
    """Write the table of peaks, a column for each cell."""
    cells = list(dict.fromkeys(row.cell for row in memory))
    peaks = {(row.name, row.precision, row.cell): row for row in memory}
    names = dict.fromkeys((row.name, row.precision) for row in memory)
    head = MEMORY_HEAD.format(heads=" | ".join(map(str, cells)), rules="|".join("--:" for _ in cells))
    return head + "".join(_line(*name, *(_peak(peaks.get((*name, cell))) for cell in cells)) for name in names)


def _peak(row: Memory | None) -> str:
    if row is None:
        return ""
    return row.why or f"{row.increase / 1e6:,.0f} MB"


def _line(*fields: str) -> str:
    return f"| {' | '.join(field.replace('|', '/') for field in fields)} |\n"
