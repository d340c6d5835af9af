"""``python -m benchmarks``: measure, or only write the report again."""

import argparse
import warnings
from pathlib import Path

from benchmarks import markdown, page
from benchmarks.results import load, save

FULL_MINUTES, QUICK_MINUTES = 20, 3


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("what", nargs="?", choices=["run", "report"], default="run")
    parser.add_argument("--quick", action="store_true", help="only the first and the small cells, fewer rounds")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--minutes", type=float, help="about how long it takes (20, or 3 if quick)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder of the report")
    options = parser.parse_args()
    suffix = "" if options.device == "cpu" else f"-{options.device}"
    if options.what == "run":
        measure(options, options.out / f"results{suffix}.json")
    report(options.out, suffix)


def measure(options: argparse.Namespace, path: Path) -> None:
    """Run the benchmark, keeping what there is after each cell."""
    from benchmarks import bench  # needs torch, which a report does not

    warnings.simplefilter("ignore")  # the toolkits' deprecations are theirs
    minutes = options.minutes or (QUICK_MINUTES if options.quick else FULL_MINUTES)
    for results in bench.measure(options.device, options.quick, minutes):
        save(results, path)


def report(folder: Path, suffix: str) -> None:
    """Write page and plot from the JSON file in ``folder``, and print the summary."""
    from benchmarks import plot  # needs matplotlib, which the contestants' processes do not

    results = load(folder / f"results{suffix}.json")
    picture = folder / f"results{suffix}.png"
    plot.draw(results, picture)
    page.write_tables(folder / f"RESULTS{suffix}.md", markdown.render(results, picture.name))
    print(markdown.summary(results))


if __name__ == "__main__":
    main()
