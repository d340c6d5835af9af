"""Write LibriMix's tables of a split: where the files of each mixture lie, and how loud its parts are.

Unlike the original's, the paths are relative, to ``Libri2Mix``, so that a corpus can be moved.
"""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from speechbrain_tasnet.system.files import new_file

TYPES = ("mix_clean", "mix_both", "mix_single")


class Place(TypedDict):
    """What was made of a mixture at one rate in one mode."""

    rate: int  # Hz
    length: int  # samples
    clipped: int  # files with samples beyond full scale
    snr: dict[str, list[float]]  # of each type of mixture: dB of each of its terms


class Row(TypedDict):
    """What was made of a mixture; places are folders such as ``wav8k/min``."""

    name: str
    places: dict[str, Place]


def terms(kind: str, num_speakers: int) -> list[str]:
    """Return what is added up in a type of mixture.

    Parameters
    ----------
    kind : str
        One of `TYPES`.
    num_speakers : int
        Speakers in a mixture.

    Returns
    -------
    list of str
        Folders of the signals.

    Examples
    --------
    >>> terms("mix_both", 2)
    ['s1', 's2', 'noise']
    """
    speech = [f"s{number}" for number in range(1, num_speakers + 1)]
    return {"mix_clean": speech, "mix_both": [*speech, "noise"], "mix_single": ["s1", "noise"]}[kind]


def write_tables(folder: Path, split: str, rows: Sequence[Row], num_speakers: int) -> dict:
    """Write `PLACE/metadata/mixture_SPLIT_TYPE.csv` and `metrics_SPLIT_TYPE.csv` for all places and types.

    Parameters
    ----------
    folder : pathlib.Path
        The corpus.
    split : str
        Such as ``train-100``.
    rows : sequence of Row
        Its mixtures.
    num_speakers : int
        Speakers in a mixture.

    Returns
    -------
    dict
        Number of mixtures; for each place the seconds of them all and the files that were clipped.
    """
    report: dict = {"mixtures": len(rows)}
    for place, first in rows[0]["places"].items():
        made = [row["places"][place] for row in rows]
        report[place] = {
            "seconds": sum(one["length"] for one in made) / first["rate"],
            "clipped": sum(one["clipped"] for one in made),
        }
        for kind in first["snr"]:
            signals = terms(kind, num_speakers)
            names = [f"source_{signal[1:]}" if signal != "noise" else "noise" for signal in signals]
            table = folder / place / "metadata" / f"mixture_{split}_{kind}.csv"
            lines = []
            for row in rows:
                paths = [f"{place}/{split}/{signal}/{row['name']}.wav" for signal in (kind, *signals)]
                lines.append([row["name"], *paths, row["places"][place]["length"]])
            _write(table, ["mixture_ID", "mixture_path", *(f"{name}_path" for name in names), "length"], lines)
            lines = [[row["name"], *row["places"][place]["snr"][kind]] for row in rows]
            table = folder / place / "metadata" / f"metrics_{split}_{kind}.csv"
            _write(table, ["mixture_ID", *(f"{name}_SNR" for name in names)], lines)
    return report


def _write(table: Path, columns: Sequence[str], lines: Sequence[Sequence]) -> None:
    """Write a CSV file."""
    with new_file(table) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(lines)
