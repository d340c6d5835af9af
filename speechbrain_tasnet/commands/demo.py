"""``tasnet demo``: the main job once."""

import argparse
from pathlib import Path


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    parser.description = (
        "Make a corpus of synthetic voices, train a small model on it, evaluate it on voices it has never heard, "
        "separate one mixture, and say where the report is. It takes about six minutes, on slow machines too. Run "
        "again, it goes on where it stopped."
    )
    parser.add_argument(
        "--out", type=Path, default=Path("results/demo"), metavar="DIR", help="folder for all of it (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the corpus (%(default)s)")
    parser.add_argument("--minutes", type=float, default=4.5, help="how long to train (%(default)s)")


def run(options: argparse.Namespace) -> None:
    """Do the work."""
    from speechbrain_tasnet.demo import run_demo

    run_demo(options.out, options.seed, options.minutes)
