"""``tasnet generate sparselibrimix``: SparseLibriMix from LibriSpeech and WHAM!'s noise."""

import argparse
from pathlib import Path

from speechbrain_tasnet.commands import add_workers, workers


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    parser.description = (
        "Make SparseLibriMix, a test set of two or three people who take turns, from its public metadata: "
        "OUT/sparse_2_0.2/wav8000/{s1,s2,mix_clean,noise,mix_noisy}/NAME.wav, and NAME.json beside the mixtures "
        "for who speaks when. Needs pip install 'speechbrain-tasnet[corpora]'. After an interruption, the same "
        "command continues."
    )
    parser.epilog = (
        "example: git clone https://github.com/popcornell/SparseLibriMix, then tasnet generate sparselibrimix "
        "--librispeech LibriSpeech/test-clean --noise wham_noise/tt --metadata SparseLibriMix/metadata --out data"
    )
    parser.add_argument(
        "--librispeech",
        type=Path,
        required=True,
        metavar="DIR",
        help="LibriSpeech's test-clean",
    )
    parser.add_argument(
        "--noise", type=Path, metavar="DIR", help="the folder tt of WHAM!'s wham_noise; without it, only speech"
    )
    parser.add_argument(
        "--metadata",
        type=Path,
        required=True,
        metavar="DIR",
        help="SparseLibriMix's metadata, or one set of it: metadata/sparse_2_0.2",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder in which to make the sets")
    parser.add_argument(
        "--rate", type=int, nargs="+", default=[8000], metavar="HZ", help="8000, 16000 or both (8000)"
    )
    parser.add_argument(
        "--num-speakers",
        type=int,
        metavar="C",
        help="sources per mixture, silent where there are fewer speakers: to evaluate a separator that counts",
    )
    add_workers(parser)


def run(options: argparse.Namespace) -> None:
    """Do the work."""
    from speechbrain_tasnet.generate.sparselibrimix import generate_sparselibrimix

    folders = generate_sparselibrimix(
        options.librispeech,
        options.noise,
        options.metadata,
        options.out,
        rates=options.rate,
        num_speakers=options.num_speakers,
        workers=workers(options),
    )
    rate = options.rate[0]
    for folder in folders:
        voices = len(list((folder / f"wav{rate}").glob("s[1-9]")))
        words = f"--data_folder {folder} --num_spks {voices} --sample_rate {rate}"
        print(f"{folder}: `tasnet evaluate sparselibrimix {words} --pretrained ...`")
