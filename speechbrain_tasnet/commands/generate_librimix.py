"""``tasnet generate librimix``: LibriMix from LibriSpeech and WHAM!'s noise."""

import argparse
from pathlib import Path

from speechbrain_tasnet.commands import add_workers, workers


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    parser.description = (
        "Make LibriMix from its public metadata: OUT/Libri2Mix/wav8k/min/SPLIT/{s1,s2,mix_clean,...}/ID.wav and "
        "tables with relative paths; Libri3Mix if the metadata has three speakers. After an interruption, the "
        "same command continues."
    )
    parser.epilog = (
        "example: git clone https://github.com/JorisCos/LibriMix, then tasnet generate librimix --librispeech "
        "data/LibriSpeech --noise data/wham_noise --metadata LibriMix/metadata/Libri2Mix --out data"
    )
    parser.add_argument(
        "--librispeech",
        type=Path,
        required=True,
        metavar="DIR",
        help="LibriSpeech, the folder that holds dev-clean; `tasnet download` fetches its parts",
    )
    parser.add_argument(
        "--noise",
        type=Path,
        metavar="DIR",
        help="WHAM!'s wham_noise, the folder that holds tr, cv and tt; not needed for mix_clean alone",
    )
    parser.add_argument(
        "--metadata", type=Path, required=True, metavar="DIR", help="metadata/Libri2Mix or Libri3Mix of LibriMix"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder in which to make Libri2Mix")
    parser.add_argument(
        "--rate", type=int, nargs="+", default=[8000], metavar="HZ", help="8000, 16000 or both (8000)"
    )
    parser.add_argument("--mode", nargs="+", default=["min"], metavar="MODE", help="min, max or both (min)")
    parser.add_argument(
        "--types",
        nargs="+",
        default=["mix_clean", "mix_both", "mix_single"],
        metavar="TYPE",
        help="any of mix_clean, mix_both and mix_single (all)",
    )
    parser.add_argument(
        "--splits",
        nargs="+",
        metavar="SPLIT",
        help="any of train-100, train-360, dev and test (all in the metadata)",
    )
    add_workers(parser)


def run(options: argparse.Namespace) -> None:
    """Do the work."""
    from speechbrain_tasnet.generate.librimix import generate_librimix
    from speechbrain_tasnet.generate.librimix.advice import training_advice

    corpus = generate_librimix(
        options.librispeech,
        options.noise,
        options.metadata,
        options.out,
        rates=options.rate,
        modes=options.mode,
        types=options.types,
        splits=options.splits,
        workers=workers(options),
    )
    print(f"{corpus}: {training_advice(corpus)}")
