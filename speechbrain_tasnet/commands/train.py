"""``tasnet train``: a whole experiment from a recipe."""

import argparse

from speechbrain_tasnet.configuration.packaged import MODELS, PACKAGED, names_in


def describe_recipe(parser: argparse.ArgumentParser) -> None:
    """Add the options that `tasnet train` and `tasnet evaluate` share."""
    parser.usage = f"{parser.prog} RECIPE [--model NAME] [--KEY VALUE ...]"
    parser.description = (
        "Any key of the recipe can be given as --KEY VALUE, and so can SpeechBrain's run options: --device "
        "cuda:0, --precision auto, --debug, ... Run again, training resumes from its last checkpoint."
    )
    parser.epilog = f"example: {parser.prog} wsj0mix --data_folder corpus --N 256 --batch_size 8"
    parser.add_argument(
        "recipe",
        metavar="RECIPE",
        help=f"a YAML file, a packaged recipe ({', '.join(names_in(PACKAGED))}), or the folder of an earlier run",
    )
    parser.add_argument(
        "--model",
        metavar="NAME",
        help=f"network in place of the recipe's: a model file, or a packaged one ({', '.join(names_in(MODELS))})",
    )


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    describe_recipe(parser)
    parser.usage = f"{parser.prog} [--check] RECIPE [--model NAME] [--KEY VALUE ...]"
    parser.add_argument(
        "--check",
        action="store_true",
        help="check recipe and corpus, run one batch, predict memory and time of the training; write nothing",
    )


def run(options: argparse.Namespace, evaluate_only: bool = False) -> None:
    """Do the work."""
    from speechbrain_tasnet.experiment import workflow

    model = [] if options.model is None else ["--model", options.model]
    argv = [options.recipe, *model, *options.overrides]
    if not evaluate_only and options.check:
        print(workflow.check(argv))
        return
    folder = workflow.run(argv, evaluate_only)
    print(f"{folder / 'report.html'}: open it in a browser")
