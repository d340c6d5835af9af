"""Charts as SVG: the layout of their parts, and the templates that draw them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

ROOM = Path(__file__).parent
MINUS, DASH = "\N{MINUS SIGN}", "\N{EN DASH}"


@dataclass(frozen=True)
class Axis:
    """A scale with round ticks, from values to the pixels between `start` and `end`.

    Example
    -------
    >>> axis = Axis.around([0.4, 9.7], start=0, end=100)
    >>> axis.ticks
    [0, 2, 4, 6, 8, 10]
    >>> axis(5)
    50.0
    """

    ticks: list[int]
    start: float
    end: float

    @classmethod
    def around(cls, values: Sequence[float], start: float, end: float, most: int = 6) -> "Axis":
        """Choose about `most` ticks that enclose the values, at steps of 1, 2 or 5 times a power of ten."""
        low, high = min(values), max(values)
        least = max((high - low) / most, 1)
        power = 10 ** math.floor(math.log10(least))
        step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least)
        first, last = math.floor(low / step), math.ceil(high / step)
        return cls([step * k for k in range(first, max(last, first + 1) + 1)], start, end)

    def __call__(self, value: float) -> float:
        """Place a value between `start` and `end`."""
        share = (value - self.ticks[0]) / (self.ticks[-1] - self.ticks[0])
        return round(self.start + share * (self.end - self.start), 1)


@dataclass(frozen=True)
class LogAxis:
    """A logarithmic scale with ticks at round multiples of powers of ten, otherwise like `Axis`.

    Example
    -------
    >>> axis = LogAxis.around([0.3, 9], start=0, end=100)
    >>> axis.ticks
    [0.2, 0.5, 1.0, 2.0, 5.0, 10.0]
    >>> axis(10), axis(0.2)
    (100.0, 0.0)
    """

    ticks: list[float]
    start: float
    end: float

    @classmethod
    def around(cls, values: Sequence[float], start: float, end: float) -> "LogAxis":
        """Choose at least three ticks that enclose the values, all of them above 0."""
        low, high = min(values), max(values)
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1
        for factors in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 5, 7), range(1, 10)):
            grid = [float(f"{factor}e{power}") for power in range(first, last + 1) for factor in factors]
            below = max(tick for tick in grid if tick <= low)
            above = min(tick for tick in grid if tick >= high and tick > below)
            ticks = [tick for tick in grid if below <= tick <= above]
            if len(ticks) > 3:
                break
        return cls(ticks, start, end)

    def __call__(self, value: float) -> float:
        """Place a value between `start` and `end`."""
        share = math.log(value / self.ticks[0]) / math.log(self.ticks[-1] / self.ticks[0])
        return round(self.start + share * (self.end - self.start), 1)


def page_template(name: str) -> jinja2.Template:
    """Load a template that is stored beside this file.

    Parameters
    ----------
    name : str
        Its file name.

    Returns
    -------
    jinja2.Template
        With the filters ``number`` and ``tick``.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([ROOM, ROOM.parent]),  # those of studies are named study/...
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"number": number, "tick": lambda value: f"{value:g}".replace("-", MINUS)}
    return environment.get_template(name)


def number(value: float | None, digits: int = 1, signed: bool = False) -> str:
    """Write a number with a true minus sign; a dash where there is none.

    Parameters
    ----------
    value : float, optional
        The number.
    digits : int
        Decimal places.
    signed : bool
        Write a plus sign, too.

    Returns
    -------
    str
        The text.
    """
    if value is None:
        return DASH
    value = round(value, digits) + 0.0  # no negative zero
    text = f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"
    return text.replace("-", MINUS)


def frame(x: Sequence[float], y: Sequence[float]) -> dict[str, Axis]:
    """Lay out the axes of one chart in the templates' view box of 320 x 220.

    Parameters
    ----------
    x, y : sequence of float
        The values to show.

    Returns
    -------
    dict
        The axes ``x`` and ``y``.
    """
    return {"x": Axis.around(x, start=40, end=310), "y": Axis.around(y, start=184, end=24)}


def lay_out_curve(curve: Sequence[Mapping[str, float]]) -> dict | None:
    """Lay out the SI-SNR over the epochs, leaving out values that are not finite.

    Parameters
    ----------
    curve : sequence of mapping
        As `learning_curve.learning_curve` reads it.

    Returns
    -------
    dict or None
        The axes, the ``lines`` as SVG paths, ``best_epoch`` and ``best``, its SI-SNR; None before the first epoch.
    """
    points = {
        name: [(e["epoch"], e[name]) for e in curve if math.isfinite(e.get(name, math.nan))]
        for name in ("train", "valid")
    }
    if not points["valid"]:
        return None
    epochs, values = zip(*points["train"], *points["valid"], strict=True)
    chart = frame(epochs, values)
    best_epoch, best = max(points["valid"], key=lambda point: point[1])
    lines = {name: _polyline(points[name], chart) for name in points}
    return chart | {"lines": lines, "best_epoch": best_epoch, "best": best}


def _polyline(points: Sequence[tuple[float, float]], chart: Mapping) -> str:
    """Write a path; the last step of no length makes a single point visible, too."""
    return "M" + "L".join(f"{chart['x'](x)} {chart['y'](y)}" for x, y in points) + "h0" if points else ""
