"""``tasnet study``: networks compared, everything else equal."""

import argparse
from pathlib import Path

from speechbrain_tasnet.commands import add_launcher, launcher
from speechbrain_tasnet.configuration.packaged import STUDIES, names_in
from speechbrain_tasnet.system.parallel import Launcher


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    parser.usage = f"{parser.prog} STUDY [--KEY VALUE ...]"
    parser.description = (
        "Train several networks on the same mixtures in the same order, at the same cost, each in a process of "
        "its own; then compare them on the same test set. Any key of the study can be given as --KEY VALUE, and "
        "so can any key of its recipe, for all contestants. After an interruption, the same command continues."
    )
    parser.epilog = f"example: {parser.prog} table3 --data_folder corpus --budget '60 minutes' --batch_size 8"
    parser.add_argument(
        "study",
        metavar="STUDY",
        help=f"a YAML file, a packaged study ({', '.join(names_in(STUDIES))}), or the folder of an earlier one",
    )
    add_launcher(parser)


def run(options: argparse.Namespace) -> None:
    """Do the work."""
    from speechbrain_tasnet.study.workflow import run_study

    def launch(folder: Path, threads: int) -> Launcher:
        return launcher(options, folder, threads)

    folder = run_study([options.study, *options.overrides], launch if options.launcher else None)
    print(f"{folder / 'report.html'}: open it in a browser")
