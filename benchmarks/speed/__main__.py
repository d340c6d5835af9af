"""Measure speed and memory, or write the pages again from what was measured: ``python -m benchmarks.speed``."""

import argparse
import warnings
from pathlib import Path

from benchmarks.page import DOCS, OUTPUT, write_section
from benchmarks.speed import markdown
from benchmarks.speed.results import load, save
from speechbrain_tasnet.system.files import write_text

FULL_MINUTES, QUICK_MINUTES = 20, 3
SUMMARY = "speed.md"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("what", nargs="?", choices=["run", "report"], default="run")
    parser.add_argument("--quick", action="store_true", help="only the first and the small cells, fewer rounds")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--minutes", type=float, help="about how long it takes (20, or 3 if quick)")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help=f"folder of all output, with the summary in its {SUMMARY} (results/bench, with the summary in "
        f"docs/{SUMMARY})",
    )
    options = parser.parse_args()
    folder, summary = options.out or OUTPUT, (options.out or DOCS) / SUMMARY
    name = "results" if options.device == "cpu" else f"results-{options.device}"
    if options.what == "run":
        measure(options, folder / f"{name}.json")
    report(folder, name, summary)


def measure(options: argparse.Namespace, path: Path) -> None:
    """Run the benchmark and save the results so far after each cell."""
    from benchmarks.speed import bench  # needs torch, which a report does not

    warnings.simplefilter("ignore")  # deprecations within the toolkits
    minutes = options.minutes or (QUICK_MINUTES if options.quick else FULL_MINUTES)
    for results in bench.measure(options.device, options.quick, minutes):
        save(results, path)


def report(folder: Path, name: str, summary: Path) -> None:
    """Write the full page and the plot into a folder, the short sections into the summary, and print the latter.

    Parameters
    ----------
    folder : Path
        Holds ``NAME.json``; gets ``NAME.md`` and ``NAME.png``.
    name : str
        Of these files.
    summary : Path
        Page whose sections are replaced.
    """
    from benchmarks.speed import plot  # needs matplotlib, which the contestants' processes do not

    results = load(folder / f"{name}.json")
    picture = folder / f"{name}.png"
    plot.draw(results, picture)
    write_text(folder / f"{name}.md", markdown.render(results, picture.name))
    for section in markdown.sections(results):
        write_section(summary, section)
    print(markdown.summary(results))
    print(f"{folder / name}.md, {summary}")


if __name__ == "__main__":
    main()
