"""What a corpus holds back for validation and test, so that dynamic mixing does not train on it."""

import csv
import json
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import NamedTuple

HELD_OUT = ("cv", "tt")


class HeldOut(NamedTuple):
    """The speakers and the noise of the mixtures for validation and test.

    Attributes
    ----------
    speakers : frozenset of str
        Their folders, as paths in the speech folder.
    noise : frozenset of str
        Recordings, as paths in the noise folder without suffixes: training may read them in another format.
    """

    speakers: frozenset[str] = frozenset()
    noise: frozenset[str] = frozenset()


def held_out(corpus: Path) -> HeldOut:
    """Read what a corpus has held back from training.

    Parameters
    ----------
    corpus : Path
        Its folder. Nothing is known of one that `tasnet mix` has not made.

    Returns
    -------
    HeldOut
        Speakers from its `mix.json`, noise from the `scenes.csv` of either split.
    """
    note = corpus / "mix.json"
    if not note.exists():
        return HeldOut()
    splits = json.loads(note.read_text(encoding="utf-8"))["splits"]
    noise = set()
    for split in HELD_OUT:
        for table in corpus.glob(f"wav*/min/{split}/scenes.csv"):
            with table.open(newline="", encoding="utf-8") as rows:
                noise.update(row["noise"] for row in csv.DictReader(rows) if row.get("noise"))
    return HeldOut(
        frozenset(speaker for split in HELD_OUT for speaker in splits[split]["speakers"]),
        frozenset(PurePosixPath(name).with_suffix("").as_posix() for name in noise),
    )


def is_among(path: str, names: Collection[str]) -> bool:
    """Return whether a path is one of some names, or ends with one: folders may have been joined since.

    Parameters
    ----------
    path : str
        Path in a folder, with slashes.
    names : collection of str
        Paths in a folder that may have become a part of it.

    Examples
    --------
    >>> is_among("librispeech/103", {"103"}), is_among("noise8k/rain/1", {"rain/1"}), is_among("1103", {"103"})
    (True, True, False)
    """
    parts = path.split("/")
    return any("/".join(parts[first:]) in names for first in range(len(parts)))
