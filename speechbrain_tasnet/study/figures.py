"""The charts of a study: quality against what it costs, and learning curves."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from speechbrain_tasnet.report.charts import Axis, LogAxis, page_template
from speechbrain_tasnet.study.columns import COLUMNS
from speechbrain_tasnet.study.outcomes import Outcome

# Of the view box, 440 x 220: charts.j2 draws the frame between 40 and 310, names find room on the right of it.
LEFT, RIGHT, BOTTOM, TOP, WIDTH = 40, 310, 184, 24, 440
LETTER, LINE = 5.4, 11  # of a name
STEPS = 16  # in which a piece of a line is followed
SIDES = (7, "start"), (-7, "end")  # of its point
SHIFTS = [shift for far in range(4, 120, 8) for shift in (far, -far)]  # from there, the nearest first

COSTS = ("gmacs_per_second", "real_time_factor", "parameters_millions", "training_memory_mb")

# Early validations, such as the first of ten, are so low that the rest would be one line at the top.
SHOWN_FROM = 0.15

Polyline = Sequence[tuple[float, float]]  # in pixels


@dataclass(frozen=True)
class Label:
    """A name in a chart."""

    name: str
    x: float
    y: float
    anchor: str = "start"


def colours(outcomes: Sequence[Outcome]) -> dict[str, str]:
    """Return each contestant a hue, those that are neighbours in the study far from each other."""
    hues = [round(250 + 137.5 * place) % 360 for place in range(len(outcomes))]
    return {o.name: f"oklch(var(--tone) .15 {hue})" for o, hue in zip(outcomes, hues, strict=True)}


def scatters(outcomes: Sequence[Outcome]) -> list[dict]:
    """Lay out `scatter` over each of the costs for which it can be shown."""
    return [chart for key in COSTS if (chart := scatter(outcomes, key))]


def scatter(outcomes: Sequence[Outcome], key: str) -> dict | None:
    """Lay out SI-SNR improvement, with its interval, over one of the costs.

    Parameters
    ----------
    outcomes : sequence of Outcome
        Those that failed are left out.
    key : str
        Of the column.

    Returns
    -------
    dict or None
        The axes ``x`` and ``y``, ``points`` (name, x, y, low and high in pixels), ``labels`` and the ``column``;
        None where nothing can be shown.
    """
    column = COLUMNS[key]
    found = [(o.name, column.of(o), o.metrics["si-snr_i"]) for o in outcomes if not o.error]
    found = [(name, cost, gain) for name, cost, gain in found if cost and gain["mean"] is not None]
    if len(found) < 2:
        return None
    ends = [end for _, _, gain in found for end in gain["ci95"] or [gain["mean"]]]
    x = LogAxis.around([cost for _, cost, _ in found], start=LEFT, end=RIGHT)
    y = Axis.around(ends, start=BOTTOM, end=TOP)
    points = [
        (name, x(cost), y(gain["mean"]), *(y(end) for end in gain["ci95"] or [gain["mean"]] * 2))
        for name, cost, gain in found
    ]
    labels = _beside([(name, px, py) for name, px, py, *_ in points])
    return {"x": x, "y": y, "points": points, "labels": labels, "column": column}


def _beside(points: Sequence[tuple[str, float, float]], lines: Sequence[Polyline] = ()) -> list[Label]:
    """Write each name right of its point, or left of it, where it lies on no other name, no point and no line."""
    taken = [(px - 4, py - 4, px + 4, py + 4) for _, px, py in points]
    taken += [(px - 2, py - 2, px + 2, py + 2) for line in lines for px, py in _along(line)]
    labels = []
    for name, px, py in sorted(points, key=lambda point: point[2]):
        width = LETTER * len(name)
        places = [(px + side, py + dy, anchor) for dy in SHIFTS for side, anchor in SIDES]
        boxes = [(x if anchor == "start" else x - width, y, anchor) for x, y, anchor in places]
        free = [
            place
            for place, (left, y, _) in zip(places, boxes, strict=True)
            if left > LEFT and left + width < WIDTH and TOP - LINE < y < BOTTOM + 4
            and not any(_overlap((left, y - LINE + 2, left + width, y + 1), box) for box in taken)
        ]  # fmt: skip
        x, y, anchor = (free or places)[0]
        left = x if anchor == "start" else x - width
        taken.append((left, y - LINE + 2, left + width, y + 1))
        labels.append(Label(name, x, y, anchor))
    return labels


def _along(line: Polyline) -> list[tuple[float, float]]:
    """List points of a line, so close that no name fits between them."""
    return [
        (x + (next_x - x) * part / STEPS, y + (next_y - y) * part / STEPS)
        for (x, y), (next_x, next_y) in pairwise(line)
        for part in range(STEPS)
    ]


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def curves(outcomes: Sequence[Outcome]) -> list[dict]:
    """Lay out validation SI-SNR over steps, time and energy.

    Parameters
    ----------
    outcomes : sequence of Outcome
        Those that failed are left out.

    Returns
    -------
    list of dict
        For each that is known of all: what it is ``over``, the axes ``x`` and ``y``, ``unit``, ``lines`` (SVG path
        by name), their ``ends`` (name, x, y) and the ``labels`` there.
    """
    done = [outcome for outcome in outcomes if not outcome.error and outcome.ledger["curve"]]
    kinds = (("steps", _STEPS), ("seconds", _TIMES), ("joules", _ENERGIES))
    return [
        _curves(done, name, units)
        for name, units in kinds
        if done and all(outcome.ledger["curve"][-1][name] is not None for outcome in done)
    ]


# What one of a unit is, from large to small: the first of which there are some is taken.
_STEPS = (("steps, thousands", 1000.0), ("steps", 1.0))
_TIMES = (("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0))
_ENERGIES = (("kWh", 3.6e6), ("Wh", 3600.0), ("J", 1.0))
SOME = 4


def _curves(done: Sequence[Outcome], name: str, units: Sequence[tuple[str, float]]) -> dict:
    most = max(outcome.ledger["curve"][-1][name] for outcome in done)
    unit, one = next(((unit, one) for unit, one in units if most >= SOME * one), units[-1])
    lines = {
        outcome.name: [
            (point[name] / one, point["valid"])
            for point in outcome.ledger["curve"]
            if math.isfinite(point["valid"])
        ]
        for outcome in done
    }
    late = [
        point["valid"]
        for outcome in done
        for point in outcome.ledger["curve"]
        if math.isfinite(point["valid"]) and point["steps"] >= SHOWN_FROM * outcome.ledger["curve"][-1]["steps"]
    ]
    x = Axis.around([0, most / one], start=LEFT, end=RIGHT)
    y = Axis.around(late or [0], start=BOTTOM, end=TOP)
    shown = {name: [(x(spent), y(value)) for spent, value in points] for name, points in lines.items() if points}
    paths = {name: "M" + "L".join(f"{px} {py}" for px, py in points) + "h0" for name, points in shown.items()}
    ends = [(name, *points[-1]) for name, points in shown.items()]
    stacked = max(px for _, px, _ in ends) - min(px for _, px, _ in ends) < LINE
    labels = _stacked(ends) if stacked else _beside(ends, list(shown.values()))
    return {"over": name, "x": x, "y": y, "unit": unit, "lines": paths, "ends": ends, "labels": labels}


def _stacked(ends: Sequence[tuple[str, float, float]]) -> list[Label]:
    """Write names right of where their lines end, one below the other, at whole pixels."""
    ordered = sorted(ends, key=lambda end: end[2])
    ys: list[int] = []
    for _, _, y in ordered:
        ys.append(max(round(y) + 4, ys[-1] + LINE if ys else TOP - LINE))
    # What was pushed out below moves up again.
    limit = BOTTOM + 4
    for index in reversed(range(len(ys))):
        ys[index] = min(ys[index], limit)
        limit = ys[index] - LINE
    return [Label(name, x + 6, y) for (name, x, _), y in zip(ordered, ys, strict=True)]


def pictures(outcomes: Sequence[Outcome], title: str) -> dict[str, str]:
    """Draw the charts of the page once more as files of their own, for papers and other pages.

    Parameters
    ----------
    outcomes : sequence of Outcome
        In the order of the study; those that failed are left out.
    title : str
        Of the study.

    Returns
    -------
    dict
        By the file's name an SVG picture; what cannot be shown is not there.
    """
    charts = {"quality.svg": ("gains", scatters(outcomes)), "curves.svg": ("learning", curves(outcomes))}
    template = page_template("study/picture.svg.j2")
    return {
        name: template.render(title=title, kind=kind, charts=found, colours=colours(outcomes))
        for name, (kind, found) in charts.items()
        if found
    }
