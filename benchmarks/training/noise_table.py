"""Keep the noise of test scenes out of training: ``python -m benchmarks.training.noise_table FOLDER --out CSV``.

`tasnet mix --noise FOLDER` draws a tenth of the files for validation and a tenth for tests. The table, the
`noise.csv` of a folder that contains these folders, puts the same files there, and also whatever else was cut
from the same recordings: clips of ESC-50 are called FOLD-RECORDING-TAKE.
"""

import argparse
import csv
import re
from collections import Counter
from pathlib import Path

from speechbrain_tasnet.data.folders.noise import split_noise
from speechbrain_tasnet.data.folders.speech import SPLITS

TAKE = re.compile(r"(\d-\d+)-[A-Z]$")


def recording(path: Path) -> str:
    """Return the recording that a file was cut from.

    Examples
    --------
    >>> recording(Path("rain/1-17367-A.flac")), recording(Path("city.flac"))
    ('1-17367', 'city')
    """
    take = TAKE.match(path.stem)
    return take[1] if take else path.stem


def rows(folder: Path, suffix: str, rate: int, seed: int) -> list[tuple[str, str]]:
    """List the files of a folder, by their names relative to its parent, and the split of each."""
    names = {split: name for name, split in SPLITS.items()}
    splits = {path: split for split, paths in split_noise(folder, rate, seed).items() for path in paths}
    held_out = {recording(path): split for path, split in splits.items() if split != SPLITS["train"]}
    listed = []
    for path, split in sorted(splits.items()):
        file = Path(folder.name) / path.relative_to(folder)
        listed.append(
            (file.with_suffix(suffix or path.suffix).as_posix(), names[held_out.get(recording(path), split)])
        )
    return listed


def main() -> None:
    """Write the table and count what is in it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training.noise_table", description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True, help="noise.csv of the folder that has them all")
    parser.add_argument("--suffix", default="", help="of the files there, if they have been converted: .wav")
    parser.add_argument("--rate", type=int, default=8000)
    parser.add_argument("--seed", type=int, default=0, help="of tasnet mix")
    options = parser.parse_args()
    listed = [
        row for folder in options.folders for row in rows(folder, options.suffix, options.rate, options.seed)
    ]
    with options.out.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("file", "split"), *listed])
    print(Counter(split for _, split in listed))


if __name__ == "__main__":
    main()
