"""``tasnet generate wsj0-mix``: wsj0-2mix and wsj0-3mix from WSJ0 and MERL's lists."""

import argparse
from pathlib import Path

from speechbrain_tasnet.commands import add_workers, workers


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    parser.description = (
        "Make wsj0-2mix, wsj0-3mix and their like, OUT/wav8k/min/{tr,cv,tt}/{mix,s1,s2}/NAME.wav, from WSJ0 "
        "(LDC93S6A) and the lists of MERL's create-speaker-mixtures. After an interruption, the same command "
        "continues."
    )
    parser.epilog = (
        "example: tasnet generate wsj0-mix --wsj0 csr_1 --lists create-speaker-mixtures --out 2speakers"
    )
    parser.add_argument(
        "--wsj0",
        type=Path,
        required=True,
        metavar="DIR",
        help="holds si_tr_s, si_dt_05 and si_et_05, at any depth; wav, or SPHERE uncompressed by sph2pipe",
    )
    parser.add_argument(
        "--lists", type=Path, required=True, metavar="DIR", help="holds mix_2_spk_{tr,cv,tt}.txt and the like"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="corpus to make; must not exist yet"
    )
    parser.add_argument("--rate", type=int, default=8000, metavar="HZ", help="8000 or 16000 (%(default)s)")
    parser.add_argument(
        "--mode",
        default="min",
        metavar="MODE",
        help="min: cut to the shortest utterance; max: pad to the longest (%(default)s)",
    )
    parser.add_argument(
        "--num-speakers", type=int, default=2, metavar="C", help="speakers in a mixture (%(default)s)"
    )
    add_workers(parser)


def run(options: argparse.Namespace) -> None:
    """Do the work."""
    from speechbrain_tasnet.generate.wsj0mix import generate_wsj0mix

    generate_wsj0mix(
        options.wsj0,
        options.lists,
        options.out,
        rate=options.rate,
        mode=options.mode,
        num_speakers=options.num_speakers,
        workers=workers(options),
    )
    print(
        f"{options.out}: train on it with `tasnet train wsj0mix --data_folder {options.out} "
        f"--num_spks {options.num_speakers} --sample_rate {options.rate} --mode {options.mode}`"
    )
