"""``tasnet mix``: a corpus of mixtures from any folder of speech."""

import argparse
from pathlib import Path


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    parser.description = (
        "Mix speech into a corpus in the layout of wsj0-mix, OUT/wav8k/min/{tr,cv,tt}/{mix,s1,s2}/NAME.wav. No "
        "speaker of one split is in another; two speakers lie 0 to 5 dB apart."
    )
    parser.epilog = "example: tasnet mix --speech LibriSpeech/train-clean-100 --out corpus --hours 10"
    parser.add_argument(
        "--speech",
        type=Path,
        required=True,
        metavar="DIR",
        help="one subfolder a speaker, nested as deep as it comes; wav, flac, ogg or mp3 at any rate. A "
        "speakers.csv in it, with the columns speaker,split, may say who is train, valid and test",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="corpus to make; must not exist yet")
    parser.add_argument(
        "--num-speakers", type=int, default=2, metavar="C", help="speakers in a mixture (%(default)s)"
    )
    parser.add_argument("--rate", type=int, default=8000, metavar="HZ", help="sampling rate (%(default)s)")
    parser.add_argument(
        "--hours", type=float, default=2.0, metavar="H", help="hours of training mixtures (%(default)s)"
    )
    parser.add_argument("--valid-hours", type=float, metavar="H", help="of validation (a tenth of --hours)")
    parser.add_argument("--test-hours", type=float, metavar="H", help="of test (a tenth of --hours)")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same corpus (%(default)s)")


def run(options: argparse.Namespace) -> None:
    """Do the work."""
    from speechbrain_tasnet.generate.mixing import make_mixtures

    make_mixtures(
        options.speech,
        options.out,
        num_speakers=options.num_speakers,
        rate=options.rate,
        hours=options.hours,
        valid_hours=options.valid_hours,
        test_hours=options.test_hours,
        seed=options.seed,
    )
    print(f"{options.out}: train on it with `tasnet train wsj0mix --data_folder {options.out}`")
