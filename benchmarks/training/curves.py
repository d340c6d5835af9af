"""Draw what is learned from an hour of audio, from `curves.csv`: ``python -m benchmarks.training.curves``."""

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

POINTS = Path(__file__).with_name("curves.csv")


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training.curves", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="picture, .svg or .png")
    draw(read(POINTS), parser.parse_args().out)


def read(path: Path) -> dict[str, list[tuple[float, float]]]:
    """Read hours of audio and dB in validation of each run."""
    curves = defaultdict(list)
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            curves[row["run"]].append((float(row["hours"]), float(row["decibels"])))
    return dict(curves)


def draw(curves: dict[str, list[tuple[float, float]]], path: Path) -> None:
    """Draw all runs over the hours of audio, which double from line to line."""
    figure, axes = plt.subplots(figsize=(8, 4.2), layout="constrained")
    for name, points in curves.items():
        axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=name)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("audio heard, hours")
    axes.set_ylabel("validation, SI-SNRi in dB")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
