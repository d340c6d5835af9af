"""``tasnet export bundle``: a folder with weights, configuration and model card."""

import argparse
from pathlib import Path

from speechbrain_tasnet.errors import InputError


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    parser.description = (
        "Write a trained separator as a folder that loads without running code: config.json, model.safetensors, "
        "the model card README.md, and hyperparams.yaml for SpeechBrain's own loaders."
    )
    parser.epilog = "example: tasnet export bundle results/wsj0mix/1234 --out my-separator --licence cc-by-4.0"
    parser.add_argument("model", type=Path, metavar="RUN", help="folder of a training run or of a separator")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder to make; must not exist yet"
    )
    parser.add_argument(
        "--dtype",
        choices=("float32", "float16"),
        default="float32",
        help="type of the weights on disk; float16 is half the size, with rounding 65 dB below the signal "
        "(%(default)s)",
    )
    parser.add_argument("--name", help="its name on the model card (the experiment's)")
    parser.add_argument("--licence", metavar="ID", help="as the hub spells it: apache-2.0, cc-by-4.0, ...")
    parser.add_argument("--language", metavar="CODE", help="language of the training speech: en, de, ...")
    parser.add_argument("--datasets", nargs="+", metavar="NAME", help="data sets on the hub it was trained on")
    parser.add_argument("--data", metavar="TEXT", help="one line: what speech, how many speakers, its licence")
    parser.add_argument(
        "--scores",
        nargs="+",
        metavar="NAME=DIR",
        help="results on another test set, from `tasnet evaluate RECIPE --pretrained RUN --output_folder DIR`",
    )


def run(options: argparse.Namespace) -> None:
    """Do the work."""
    from speechbrain_tasnet.bundle import find_bundle, load_bundle, save_bundle
    from speechbrain_tasnet.bundle.about import scores_elsewhere

    model, config = load_bundle(find_bundle(options.model))
    given = {name: getattr(options, name) for name in ("name", "licence", "language", "datasets", "data")}
    about = config.about | {name: value for name, value in given.items() if value is not None}
    for word in options.scores or ():
        name, found, folder = word.partition("=")
        if not (name and found):
            raise InputError(f"--scores {word}: expected NAME=DIR, such as clean=results/clean")
        about["elsewhere"] = about.get("elsewhere", {}) | {name: scores_elsewhere(Path(folder))}
    save_bundle(options.out, model, config.sample_rate, about, options.dtype)
    print(f"{options.out}: load it with TasNetSeparation.from_bundle, upload it with `tasnet push`")
