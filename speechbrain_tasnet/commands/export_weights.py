"""``tasnet export torchaudio`` and ``asteroid``: the weights as another toolkit reads them."""

import argparse
from pathlib import Path


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    parser.description = (
        "Write a trained separator for another toolkit's own Conv-TasNet: for torchaudio a state dict, for "
        "Asteroid a file that from_pretrained reads. A model that the toolkit cannot express is refused."
    )
    parser.epilog = f"example: {parser.prog} results/wsj0mix/1234 --out model.pth"
    parser.add_argument(
        "model", type=Path, metavar="MODEL", help="folder of a training run or of a separator, or a bundled one"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="file to write")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")


def run(options: argparse.Namespace) -> None:
    """Do the work."""
    from speechbrain_tasnet.bundle import find_bundle, load_bundle
    from speechbrain_tasnet.convert import write_weights
    from speechbrain_tasnet.system.files import check_not_there

    if not options.overwrite:
        check_not_there([options.out])
    model, config = load_bundle(find_bundle(options.model))
    write_weights(options.kind, options.out, *model.values(), config.sample_rate)
    print(f"{options.out}: for the Conv-TasNet of {options.kind}")
