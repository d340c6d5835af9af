"""Read LibriMix's metadata: which utterances and which noise make a mixture, and how loud each of them is."""

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from speechbrain_tasnet.errors import InputError

WHERE = "as metadata/Libri2Mix of github.com/JorisCos/LibriMix has them"
NAME = re.compile(r"[\w-][\w.-]{0,199}")
# LibriMix plays some of WHAM!'s training noise slower and faster, under names of their own.
SPEED = re.compile(r"sp(08|12)\.wav$")


@dataclass(frozen=True)
class Part:
    """A file of a mixture, what its samples are multiplied by, and how fast it is played."""

    path: Path
    gain: float
    speed: float = 1.0


@dataclass(frozen=True)
class Mixture:
    """One line of a table."""

    name: str
    sources: tuple[Part, ...]
    noise: Part | None


@dataclass(frozen=True)
class Roots:
    """The folders that the paths of a table start from; no noise is read where its folder is None."""

    librispeech: Path
    noise: Path | None


def find_tables(metadata: Path, splits: Sequence[str] | None) -> dict[str, Path]:
    """Find the tables of a folder.

    Parameters
    ----------
    metadata : pathlib.Path
        Folder with ``libri2mix_train-clean-100.csv`` and the like.
    splits : sequence of str, optional
        Names of the splits that are wanted, such as ``train-100``; by default all that are there.

    Returns
    -------
    dict
        Table of each split.

    Raises
    ------
    InputError
        There is no table, or none of a split that is wanted, or tables of several numbers of speakers.
    """
    if not metadata.is_dir():
        raise InputError(f"{metadata}: no such folder; expected LibriMix's tables, {WHERE}")
    files = [path for path in sorted(metadata.glob("libri*mix_*.csv")) if not path.stem.endswith("_info")]
    if not files:
        raise InputError(f"{metadata}: no table such as libri2mix_dev-clean.csv in it; expected them {WHERE}")
    kinds = {path.name.split("_")[0] for path in files}
    if len(kinds) > 1:
        raise InputError(f"{metadata}: tables of {' and '.join(sorted(kinds))}; put each kind in its own folder")
    found = {path.stem.split("_", 1)[1].replace("-clean", ""): path for path in files}
    for split in splits or ():
        if split not in found:
            raise InputError(f"split {split!r}: no table in {metadata}; expected {' or '.join(found)}")
    return {split: path for split, path in found.items() if splits is None or split in splits}


def read_table(table: Path, roots: Roots) -> list[Mixture]:
    """Read one table.

    Parameters
    ----------
    table : pathlib.Path
        CSV file with the columns ``mixture_ID``, ``source_1_path``, ``source_1_gain``, ..., ``noise_path``,
        ``noise_gain``.
    roots : Roots
        Where its paths start.

    Returns
    -------
    list of Mixture
        In the order of the table.

    Raises
    ------
    InputError
        A column or a value is missing or wrong, or a file is not there.
    """
    with table.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        reader = csv.DictReader(file)
        columns = reader.fieldnames or ()
        sources = [f"source_{i}" for i in range(1, _count_sources(columns) + 1)]
        kinds = [*sources, *(["noise"] if roots.noise else [])]
        needed = ["mixture_ID", *(f"{kind}_{what}" for kind in kinds for what in ("path", "gain"))]
        missing = [column for column in needed if column not in columns]
        if missing:
            raise InputError(f"{table}: no column {' and '.join(missing)}; expected the table {WHERE}")
        rows = [(reader.line_num, row) for row in reader]
    mixtures: dict[str, Mixture] = {}
    for line, row in rows:
        where = f"{table} line {line}"
        name = row["mixture_ID"] or ""
        if not NAME.fullmatch(name):
            raise InputError(
                f"{where}: mixture_ID {name!r} makes no file name; expected up to 200 of a-z 0-9 - _ ."
            )
        if name in mixtures:
            raise InputError(f"{where}: mixture_ID {name!r} appears twice; delete one of the lines")
        parts = [_part(row, source, roots.librispeech, where) for source in sources]
        noise = _part(row, "noise", roots.noise, where) if roots.noise else None
        mixtures[name] = Mixture(name, tuple(parts), noise)
    if not mixtures:
        raise InputError(f"{table}: no mixture in it; delete it or take the table {WHERE}")
    return list(mixtures.values())


def _count_sources(columns: Sequence[str]) -> int:
    """Return the number of speakers by the columns, 2 where there are too few."""
    count = 2
    while f"source_{count + 1}_path" in columns:
        count += 1
    return count


def _part(row: dict, kind: str, root: Path, where: str) -> Part:
    """Read a path and its gain from a row."""
    path, gain = row[f"{kind}_path"], row[f"{kind}_gain"]
    if not path:
        raise InputError(f"{where}: no {kind}_path; fix or delete the line")
    try:
        factor = float(gain or "nan")
    except ValueError:
        factor = math.nan
    if not math.isfinite(factor):
        raise InputError(f"{where}: {kind}_gain {gain!r}; expected a number")
    if (root / path).is_file():
        return Part(root / path, factor)
    speed = SPEED.search(path) if kind == "noise" else None
    original = root / (SPEED.sub(".wav", path) if speed else path)
    if not original.is_file():
        option = "noise" if kind == "noise" else "librispeech"
        raise InputError(
            f"{original}: no such file, though {where} names it; --{option} must be the folder that holds "
            f"{Path(path).parts[0]}, complete; or leave the table out: --splits takes those that are wanted"
        )
    return Part(original, factor, speed=int(speed[1]) / 10)
