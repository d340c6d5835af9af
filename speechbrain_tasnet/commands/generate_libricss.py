"""``tasnet generate libricss``: excerpts of LibriCSS with few speakers each."""

import argparse
from pathlib import Path

from speechbrain_tasnet.commands import add_workers, workers


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    parser.description = (
        "Cut the sessions of LibriCSS, in pauses, into excerpts with few speakers each: "
        "OUT/wav8k/{dev,test}/{record,clean,s1,s2,s3}/NAME.wav, and NAME.json for who speaks when. After an "
        "interruption, the same command continues."
    )
    parser.epilog = "example: tasnet generate libricss --data for_release --out corpora/libricss"
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="DIR",
        help="for_release, the folder that holds 0L, 0S and OV10",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="corpus to make")
    parser.add_argument("--rate", type=int, default=8000, metavar="HZ", help="8000 or 16000 (%(default)s)")
    parser.add_argument("--num-speakers", type=int, default=3, metavar="C", help="speakers at most (%(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=60.0, metavar="S", help="length of an excerpt (%(default)g)"
    )
    add_workers(parser)


def run(options: argparse.Namespace) -> None:
    """Do the work."""
    from speechbrain_tasnet.generate.libricss import generate_libricss

    corpus = generate_libricss(
        options.data, options.out, options.rate, options.num_speakers, options.seconds, workers(options)
    )
    words = f"--num_spks {options.num_speakers} --sample_rate {options.rate} --metrics '[der]'"
    print(f"{corpus}: `tasnet evaluate libricss --data_folder {corpus} {words} --pretrained ...`")
