"""Results as a picture: seconds of audio per second of computing, inference beside training."""

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from benchmarks.speed.results import INFERENCE, OURS, TRAINING, Results, Row, three_digits
from benchmarks.speed.sizes import SIZES

OUR_COLOUR, THEIR_COLOUR = "#0b6e99", "#9aa0a6"
HATCHES = {"float32": "", "tf32": "..", "bfloat16": "///"}


def draw(results: Results, path: Path) -> None:
    """Draw the first cell of inference and that of training."""
    panels = {kind: [row for row in results.rows if row.cell.kind == kind] for kind in (INFERENCE, TRAINING)}
    panels = {kind: [row for row in rows if row.cell == rows[0].cell] for kind, rows in panels.items() if rows}
    labels = list(dict.fromkeys((row.name, row.precision) for rows in panels.values() for row in rows))
    figure, axes = plt.subplots(
        1, len(panels), figsize=(12, 1.9 + 0.42 * len(labels)), sharey=True, squeeze=False, layout="constrained"
    )
    for axis, (kind, rows) in zip(axes[0], panels.items(), strict=True):
        _draw_panel(axis, kind, {(row.name, row.precision): row for row in rows}, labels)
    cell = results.rows[0].cell
    machine = results.machine.get("accelerator") or results.machine["processor"]
    figure.suptitle(
        f"Seconds of audio per second of computing\n"
        f"{SIZES[cell.sizes]}, batch {cell.batch} x {cell.seconds:g} s at 8 kHz, {machine}",
        fontsize=12,
    )
    used = [p for p in HATCHES if p in {precision for _, precision in labels}]
    patches = [Patch(facecolor=THEIR_COLOUR, edgecolor="white", hatch=HATCHES[p], label=p) for p in used]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), frameon=False)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _draw_panel(axis: Axes, kind: str, rows: dict[tuple, Row], labels: list[tuple]) -> None:
    for place, label in enumerate(labels):
        row = rows.get(label)
        if row is None or row.why:
            reason = "does not train" if row is None else row.why[:60]
            axis.text(0, place, f" {reason}", va="center", fontsize=8, color="dimgray", style="italic")
        else:
            _draw_bar(axis, place, row)
    axis.set_title({INFERENCE: "inference", TRAINING: "training step"}[kind], fontsize=11)
    axis.set_yticks(range(len(labels)), [name for name, _ in labels])
    axis.set_ylim(len(labels) - 0.4, -0.6)
    axis.set_xlabel("seconds of audio per second; whiskers: quartiles; %: share of the multiply-add peak")
    axis.margins(x=0.2)
    axis.set_xlim(left=0)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(axis="y", length=0)


def _draw_bar(axis: Axes, place: int, row: Row) -> None:
    speed = row.cell.audio / row.median
    low, high = sorted(row.cell.audio / quartile for quartile in row.quartiles)
    axis.barh(
        place,
        speed,
        xerr=[[speed - low], [high - speed]],
        height=0.72,
        color=OUR_COLOUR if row.name == OURS else THEIR_COLOUR,
        hatch=HATCHES[row.precision],
        edgecolor="white",
        error_kw={"elinewidth": 1, "capsize": 2, "ecolor": "black"},
    )
    share = row.share(row.peak or row.product)
    text = f"{three_digits(speed)}   {share:.0%}".replace("%", " %")
    axis.annotate(text, (high, place), (6, 0), textcoords="offset points", va="center", fontsize=9)
