"""``tasnet separate``: audio files into one file a source."""

import argparse
from pathlib import Path


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    parser.description = "Write one file a source: OUT/NAME_s1.wav, OUT/NAME_s2.wav, ..."
    parser.epilog = "example: tasnet separate meeting.wav --model results/wsj0mix/1234 --out separated"
    parser.add_argument(
        "mixtures", type=Path, nargs="+", metavar="MIXTURE", help="wav, flac, ogg or mp3 at any rate"
    )
    parser.add_argument(
        "--model", type=Path, required=True, metavar="DIR", help="folder of a training run or of a separator"
    )
    parser.add_argument(
        "--out", type=Path, default=Path(), metavar="DIR", help="where the sources go (the current folder)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there")


def run(options: argparse.Namespace) -> None:
    """Do the work."""
    from speechbrain_tasnet.pretrained import load_separator, write_sources

    separator = load_separator(options.model)
    for mixture in options.mixtures:
        for path in write_sources(separator, mixture, options.out, overwrite=options.overwrite):
            print(path)
