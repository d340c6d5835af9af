"""Find the speakers in a folder of speech and split them into training, validation and test."""

import csv
from pathlib import Path

import numpy as np

from speechbrain_tasnet.audio.formats import COMMON
from speechbrain_tasnet.data.folders.walk import FoundAudio, find_audio, is_audio, left_out, passed_over, tell
from speechbrain_tasnet.errors import InputError

SPEAKERS_CSV = "speakers.csv"
MIN_SECONDS = 1.0  # of an utterance that is mixed
# Names of the splits in speakers.csv, and the folders of wsj0-mix that hold them.
SPLITS = {"train": "tr", "valid": "cv", "test": "tt"}

Speakers = dict[str, list[Path]]


def find_speakers(folder: Path | str) -> Speakers:
    """Find the speakers of a folder: its subfolders that hold audio, however deep.

    Parameters
    ----------
    folder : path-like
        `FOLDER/SPEAKER/.../UTTERANCE.wav`, or in another format that soundfile reads; hidden files and folders are
        passed over. What is taken and what is left out is printed on standard error.

    Returns
    -------
    dict
        Audio files of each speaker; speakers and files are sorted.

    Raises
    ------
    InputError
        The folder is missing or has no audio in subfolders.
    """
    folder = _existing(folder)
    entries = [entry for entry in sorted(folder.iterdir()) if entry.is_dir() and not passed_over(entry.name)]
    found = {entry.name: find_audio(entry) for entry in entries}
    speakers = {name: audio.files for name, audio in found.items() if audio.files}
    if not speakers:
        raise InputError(
            f"{folder}: no audio found; expected one subfolder per speaker with {COMMON} files"
            f"{left_out(found.values())}"
        )
    loose = sum(is_audio(entry) for entry in folder.iterdir())
    tell(folder, found.values(), f"{len(speakers)} speakers", loose)
    return speakers


def split_speakers(folder: Path | str, num_speakers: int, seed: int) -> dict[str, Speakers]:
    """Split the speakers of a folder so that no speaker is in two splits.

    `speakers.csv` (columns `speaker,split`; split is train, valid or test; speaker is a path inside the
    folder) decides where the folder has one. Otherwise a tenth of the speakers, drawn at random, goes to
    validation and to test each, though never fewer than a mixture needs.

    Parameters
    ----------
    folder : path-like
        Speech folder, see `find_speakers`.
    num_speakers : int
        Speakers in a mixture: every split must have as many.
    seed : int
        Seed of the random split.

    Returns
    -------
    dict
        Splits `tr`, `cv`, `tt`; each holds the audio files of each of its speakers.

    Raises
    ------
    InputError
        The folder is missing, holds no audio or too few speakers, or its `speakers.csv` is wrong.
    """
    folder = _existing(folder)
    if (folder / SPEAKERS_CSV).is_file():
        return _splits_of_csv(folder, num_speakers)
    speakers = find_speakers(folder)
    if len(speakers) < 3 * num_speakers:
        raise InputError(
            f"{folder}: {len(speakers)} speaker folder{'s' * (len(speakers) != 1)} found, at least "
            f"{3 * num_speakers} needed ({num_speakers} speakers in each of 3 splits); add speakers"
        )
    names = np.random.default_rng(seed).permutation(sorted(speakers)).tolist()
    held_out = max(num_speakers, round(len(names) / 10))
    parts = {"tr": names[2 * held_out :], "cv": names[:held_out], "tt": names[held_out : 2 * held_out]}
    return {split: {name: speakers[name] for name in sorted(part)} for split, part in parts.items()}


def _splits_of_csv(folder: Path, num_speakers: int) -> dict[str, Speakers]:
    """Read speakers and splits from `speakers.csv`."""
    table = folder / SPEAKERS_CSV
    # A name in another encoding then turns up below as a folder that does not exist.
    with table.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        reader = csv.DictReader(file)
        missing = {"speaker", "split"} - set(reader.fieldnames or ())
        rows = [(reader.line_num, row) for row in reader]
    if missing:
        raise InputError(f"{table}: no column {' and '.join(sorted(missing))}; expected speaker,split")
    splits: dict[str, Speakers] = {split: {} for split in SPLITS.values()}
    owners: dict[Path, str] = {}
    found: dict[str, FoundAudio] = {}
    for line, row in rows:
        speaker, split = row["speaker"], row["split"]
        where = f"{table} line {line}"
        if split not in SPLITS:
            raise InputError(f"{where}: split {split!r}; expected {', '.join(SPLITS)}")
        if not (speaker and (folder / speaker).is_dir()):
            raise InputError(f"{where}: no folder {speaker!r} in {folder}; fix or delete the line")
        found[speaker] = find_audio(folder / speaker)
        files = found[speaker].files
        if not files:
            raise InputError(
                f"{where}: folder {speaker!r} holds no audio{left_out([found[speaker]])}; delete the line"
            )
        for path in files:
            if owners.setdefault(path, speaker) is not speaker:
                raise InputError(f"{where}: {path} belongs to speaker {owners[path]!r} too; keep one of the lines")
        splits[SPLITS[split]][speaker] = files
    for name, split in SPLITS.items():
        if len(splits[split]) < num_speakers:
            raise InputError(
                f"{table}: {len(splits[split])} speakers with split {name}, at least {num_speakers} needed; "
                "add lines, or delete the file for a random split"
            )
    tell(folder, found.values(), f"{len(found)} speakers")
    return splits


def _existing(folder: Path | str) -> Path:
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected a folder with one subfolder per speaker")
    return folder
