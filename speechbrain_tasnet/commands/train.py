"""``tasnet train``: a whole experiment from a recipe."""

import argparse


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    parser.usage = f"{parser.prog} RECIPE [--KEY VALUE ...]"
    parser.description = (
        "Any key of the recipe can be given as --KEY VALUE, and so can SpeechBrain's run options: --device "
        "cuda:0, --precision bf16, --debug, ... Started again, training goes on from its last checkpoint."
    )
    parser.epilog = f"example: {parser.prog} wsj0mix --data_folder corpus --N 256 --batch_size 8"
    parser.add_argument(
        "recipe",
        metavar="RECIPE",
        help="a YAML file, a packaged recipe (demo, wsj0mix), or the folder of an earlier run",
    )


def run(options: argparse.Namespace, evaluate_only: bool = False) -> None:
    """Do the work."""
    from speechbrain_tasnet.experiment import run

    folder = run([options.recipe, *options.overrides], evaluate_only)
    print(f"{folder / 'report.html'}: open it in a browser")
