"""Find the noise in a folder and split it into training, validation and test."""

import csv
from collections.abc import Collection
from pathlib import Path

import numpy as np

from speechbrain_tasnet.audio.formats import COMMON
from speechbrain_tasnet.audio.reading import audio_length
from speechbrain_tasnet.data.folders.speech import SPLITS
from speechbrain_tasnet.data.folders.walk import find_audio, left_out, tell
from speechbrain_tasnet.data.held_out import is_among
from speechbrain_tasnet.errors import InputError

NOISE_CSV = "noise.csv"
MIN_SECONDS = 1.0  # shorter noise would be a rhythm


def split_noise(folder: Path | str, rate: int, seed: int) -> dict[str, list[Path]]:
    """Split the files of a noise folder so that no file is in two splits.

    `noise.csv` (columns `file,split`; split is train, valid or test; file is a path inside the folder) decides
    where the folder has one, else its subfolders `tr`, `cv` and `tt`, as WHAM! has them. Without either a tenth
    of the files, drawn at random, goes to validation and to test each, though never fewer than one; files that
    were cut from one recording may then be in two splits.

    Parameters
    ----------
    folder : path-like
        Folder with audio files, however deep; hidden ones are passed over.
    rate : int
        Sampling rate in Hz that the noise will be read at.
    seed : int
        Seed of the random split.

    Returns
    -------
    dict
        Splits `tr`, `cv`, `tt`; each a sorted list of files of a second or more.

    Raises
    ------
    InputError
        The folder is missing or holds too little, a file is not audio, or `noise.csv` is wrong.
    """
    folder = _existing(folder)
    if (folder / NOISE_CSV).is_file():
        splits = _splits_of_csv(folder)
    elif any((folder / split).is_dir() for split in SPLITS.values()):
        found = {split: find_audio(folder / split) for split in SPLITS.values()}
        tell(folder, found.values())
        splits = {split: audio.files for split, audio in found.items()}
    else:
        splits = _random_splits(folder, seed)
    for split, files in splits.items():
        # Every header is read before any work starts.
        splits[split] = [path for path in files if audio_length(path, rate) >= MIN_SECONDS * rate]
        if not splits[split]:
            raise InputError(
                f"{folder}: no noise of {MIN_SECONDS:g} s or more for {split}, {len(files)} shorter files; "
                "add longer ones"
            )
    return splits


def training_noise(folder: Path | str, exclude: Collection[str] = ()) -> list[Path]:
    """List the files to train on.

    Parameters
    ----------
    folder : path-like
        Noise folder, see `split_noise`. Without a `noise.csv` or a subfolder `tr`, all that is in it.
    exclude : collection of str
        Files to leave out, such as those of validation and test: what their paths in the folder end with, without
        suffixes. They need not be in it.

    Returns
    -------
    list of Path
        Sorted.

    Raises
    ------
    InputError
        The folder is missing, holds no audio or none that is not excluded, or its `noise.csv` is wrong.
    """
    folder = _existing(folder)
    if (folder / NOISE_CSV).is_file():
        files = _splits_of_csv(folder)[SPLITS["train"]]
    else:
        inside = folder / SPLITS["train"]
        found = find_audio(inside if inside.is_dir() else folder)
        if not found.files:
            raise InputError(f"{folder}: no audio found; expected {COMMON} files{left_out([found])}")
        tell(folder, [found])
        files = found.files
    taken = [path for path in files if not is_among(path.relative_to(folder).with_suffix("").as_posix(), exclude)]
    if not taken:
        raise InputError(
            f"{folder}: all {len(files)} files are excluded, the corpus has them for validation or test; add noise"
        )
    return taken


def _existing(folder: Path | str) -> Path:
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected a folder of noise")
    return folder


def _random_splits(folder: Path, seed: int) -> dict[str, list[Path]]:
    """Draw which file goes where."""
    found = find_audio(folder)
    files = found.files
    if len(files) < len(SPLITS):
        raise InputError(
            f"{folder}: {len(files)} noise files ({COMMON}) found, at least {len(SPLITS)} needed, one for each "
            f"split; add noise{left_out([found])}"
        )
    tell(folder, [found])
    order = [files[i] for i in np.random.default_rng(seed).permutation(len(files))]
    held_out = max(1, round(len(files) / 10))
    parts = {"tr": order[2 * held_out :], "cv": order[:held_out], "tt": order[held_out : 2 * held_out]}
    return {split: sorted(part) for split, part in parts.items()}


def _splits_of_csv(folder: Path) -> dict[str, list[Path]]:
    """Read files and splits from `noise.csv`."""
    table = folder / NOISE_CSV
    # A name in another encoding then turns up below as a file that does not exist.
    with table.open(newline="", encoding="utf-8-sig", errors="replace") as stream:
        reader = csv.DictReader(stream)
        missing = {"file", "split"} - set(reader.fieldnames or ())
        rows = [(reader.line_num, row) for row in reader]
    if missing:
        raise InputError(f"{table}: no column {' and '.join(sorted(missing))}; expected file,split")
    splits: dict[str, list[Path]] = {split: [] for split in SPLITS.values()}
    seen = set()
    for line, row in rows:
        file, split = row["file"], row["split"]
        where = f"{table} line {line}"
        if split not in SPLITS:
            raise InputError(f"{where}: split {split!r}; expected {', '.join(SPLITS)}")
        if not file or Path(file).is_absolute() or not (folder / file).is_file():
            raise InputError(f"{where}: no file {file!r} in {folder}; fix or delete the line")
        if (folder / file).resolve() in seen:
            raise InputError(f"{where}: {file!r} appears twice; keep one of the lines")
        seen.add((folder / file).resolve())
        splits[SPLITS[split]].append(folder / file)
    for name, split in SPLITS.items():
        if not splits[split]:
            raise InputError(
                f"{table}: no noise with split {name}; add lines, or delete the file for a random split"
            )
    return {split: sorted(files) for split, files in splits.items()}
