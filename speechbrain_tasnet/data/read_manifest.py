"""Read a manifest, even one written by a spreadsheet or another program."""

import codecs
import csv
import io
import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from speechbrain_tasnet.errors import InputError

ROOT = "$data_root"
SEGMENTS = "segments"  # the column of files that say who speaks when
STATED = ("duration", "sample_rate", SEGMENTS)
DELIMITERS = (",", ";", "\t")  # as spreadsheets write them, by country and encoding
WAY_OUT = "expected a CSV file with a line for each mixture and the columns ID, mix_wav, s1_wav, ..."

Item = dict[str, str]


def read_manifest(
    manifest: Path | str, data_folder: Path | str, num_spks: int, sample_rate: int | None = None
) -> dict[str, Item]:
    """Read which files each mixture of a manifest has.

    In paths, ``$data_root`` at the start stands for the data folder; any other ``$`` is an ordinary character,
    which is why SpeechBrain's reader, which takes it for a variable, is not used. UTF-8 and UTF-16, with a mark at
    the beginning or without, are understood, and so are commas, semicolons and tabs, and column names in capitals
    or small letters.

    Parameters
    ----------
    manifest : path-like
        CSV file.
    data_folder : path-like
        What ``$data_root`` stands for.
    num_spks : int
        Sources that it must have.
    sample_rate : int, optional
        In Hz; where a line states a rate, it must be this one.

    Returns
    -------
    dict
        By id, in the file's order: the paths of mixture and sources and, where stated, duration,
        sample_rate and the path of the segments.

    Raises
    ------
    InputError
        The file is missing, holds no mixture, lacks a column, or a line of it makes no sense.
    """
    manifest = Path(manifest)
    if not manifest.is_file():
        raise InputError(f"{manifest}: no such manifest; was the corpus prepared (skip_prep)?")
    needed = ["mix_wav", *(f"s{i}_wav" for i in range(1, num_spks + 1))]
    items: dict[str, Item] = {}
    lines: dict[str, int] = {}
    for line, row in _rows(manifest, ["ID", *needed], num_spks):
        where = f"{manifest} line {line}"
        name = row.pop("ID")
        if name in items:
            raise InputError(f"{where}: ID {name!r} is that of line {lines[name]} too; give each line its own")
        if sample_rate is not None:
            _check_rate(row.get("sample_rate", ""), sample_rate, manifest)
        items[name], lines[name] = _with_root(row, str(data_folder), where), line
    if not items:
        raise InputError(f"{manifest}: no mixture in it; {WAY_OUT}")
    return items


def duration_of(item: Mapping[str, str]) -> float | None:
    """Return the seconds that a manifest states, or None where it states none that can be.

    Examples
    --------
    >>> duration_of({"duration": "2.5"}), duration_of({"duration": "n/a"}), duration_of({})
    (2.5, None, None)
    """
    with suppress(ValueError):
        seconds = float(item.get("duration", ""))
        if 0 < seconds < math.inf:
            return seconds
    return None


def _rows(manifest: Path, needed: list[str], num_spks: int) -> Iterator[tuple[int, Item]]:
    """Read the lines that hold something, each with its number and the values by the names of the columns."""
    text = _text(manifest)
    header = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=header.count)
    spaces = f"{delimiter} " in header  # as SpeechBrain's own documentation writes them
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=spaces)
    try:
        columns = _columns(next(reader, []), needed)
        if missing := [column for column in needed if column not in columns]:
            raise InputError(
                f"{manifest}: columns {columns}, expected {needed} for num_spks={num_spks}; "
                f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"
            )
        for cells in reader:
            if not any(cells):
                continue
            where = f"{manifest} line {reader.line_num}"
            if any(cells[len(columns) :]):
                raise InputError(
                    f"{where}: {len(cells)} values, expected {len(columns)}; put a value that holds a "
                    f"{delimiter!r} into double quotes"
                )
            row = {name: cell for name, cell in zip(columns, cells, strict=False) if name in (*needed, *STATED)}
            for column in needed:
                if not row.get(column):
                    raise InputError(f"{where}: no {column}; complete the line or delete it")
            yield reader.line_num, row
    except csv.Error as error:
        raise InputError(f"{manifest} line {reader.line_num}: {error}; {WAY_OUT}") from None


def _text(manifest: Path) -> str:
    """Read a text in UTF-8 or UTF-16."""
    content = manifest.read_bytes()
    encoding = "utf-8-sig"
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif b"\0" in content[:2]:  # which a name of ASCII letters has in UTF-16
        encoding = "utf-16-be" if content[:1] == b"\0" else "utf-16-le"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"{manifest} line {line}: not in UTF-8; save the file again as UTF-8") from None


def _columns(names: list[str], needed: list[str]) -> list[str]:
    """Return the names of the columns; one that differs from an expected name by capitals alone is that one."""
    names = [name.strip() for name in names]
    known = {name.lower(): name for name in (*needed, *STATED) if name not in names}
    return [known.get(name.lower(), name) for name in names]


def _with_root(row: Item, data_folder: str, where: str) -> Item:
    """Insert the data folder into the paths of a line."""
    for column, value in row.items():
        if (column.endswith("_wav") or column == SEGMENTS) and value.startswith("$"):
            name = value.partition("/")[0]
            if name == ROOT:
                row[column] = data_folder + value.removeprefix(ROOT)
            elif not Path(value).exists():
                raise InputError(
                    f"{where}: {value!r}: no such file, and {name} stands for nothing; expected {ROOT}, which "
                    "stands for data_folder, or a path"
                )
    return row


def _check_rate(stated: str, sample_rate: int, manifest: Path) -> None:
    """Compare the rate of a line with that of the training."""
    with suppress(ValueError):
        if float(stated) == sample_rate:
            return
    if stated:
        raise InputError(f"{manifest}: {stated} Hz, expected sample_rate={sample_rate}")
