"""Manifests: one row per mixture, any number of sources, in the CSV form that SpeechBrain's loaders read."""

import csv
import hashlib
import json
import logging
from contextlib import suppress
from pathlib import Path

from tqdm import tqdm

from speechbrain_tasnet import __version__
from speechbrain_tasnet.data.corpus import Corpus, Row
from speechbrain_tasnet.data.corpus_checks import evenly_spread, length, wrong_sum
from speechbrain_tasnet.data.read_manifest import SEGMENTS
from speechbrain_tasnet.data.segments import read_segments
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.system.files import new_file, write_text

logger = logging.getLogger(__name__)

PREPARED = "prepared.json"
PROBLEMS = "problems.txt"
CHECKPOINTS = "CKPT+*"  # SpeechBrain's folders, where a training has begun


def write_manifests(corpus: Corpus, save_folder: Path | str) -> None:
    """Check a corpus and describe it in ``tr.csv``, ``cv.csv`` and ``tt.csv``.

    The columns are ``ID``, ``duration`` in seconds, ``sample_rate`` in Hz, ``mix_wav`` and ``s1_wav`` ... for
    what goes in and what should come out, then one ``NAME_wav`` for each further signal of the corpus; where the
    task has taken its name, ``corpus_NAME_wav``. Where each mixture of conversation has its segments beside it,
    which say of which source they are, ``segments`` has their JSON file. In paths, ``$data_root`` stands for the
    data folder. Rows are sorted by ID. Manifests that are there are kept if neither the files of the corpus
    (names, sizes, times of change) nor the options have changed since. Beside a checkpoint they are kept
    whatever has become of the files: a training that was stopped continues although some have gone bad.

    Parameters
    ----------
    corpus : Corpus
        What is where.
    save_folder : path-like
        Where the manifests go.

    Raises
    ------
    InputError
        A folder or a file is missing, unreadable or empty, has another rate or length than the others, or a
        mixture is not the sum of its parts. With several, the first is named, all are in ``problems.txt``.
    """
    save_folder = Path(save_folder)
    splits = {split: list(corpus.rows(split)) for split in corpus.splits}
    state = {"version": __version__, **_options(corpus), "files": _fingerprint(corpus, splits)}
    note = save_folder / PREPARED
    if note.exists() and all((save_folder / f"{split}.csv").exists() for split in splits):
        before = _read_note(note)
        if before == state:
            logger.info("The corpus has not changed: its manifests are kept")
            return
        if before | {"files": state["files"]} == state and any(save_folder.glob(CHECKPOINTS)):
            logger.warning(
                "The corpus has changed since this training began, which continues with what there was: "
                "files that are gone or bad are skipped; delete %s to prepare it again",
                note,
            )
            return
        note.unlink()
    (save_folder / PROBLEMS).unlink(missing_ok=True)
    lengths = {split: _check(corpus, rows, split, save_folder) for split, rows in splits.items()}
    for split, rows in splits.items():
        _write(save_folder / f"{split}.csv", corpus, rows, lengths[split])
    write_text(note, json.dumps(state, indent=1))


def _read_note(note: Path) -> dict:
    """Read what the manifests were made of; a note that a crash has left empty says nothing."""
    with suppress(ValueError):
        return json.loads(note.read_text(encoding="utf-8"))
    return {}


def _options(corpus: Corpus) -> dict:
    mixture, sources = corpus.pairing
    pairing = [mixture, list(sources)]  # as JSON gives it back
    options = {"root": str(corpus.root.resolve()), "pairing": pairing, "sample_rate": corpus.sample_rate}
    return options if corpus.mics == 1 else options | {"mics": corpus.mics, "reference": corpus.reference}


def _fingerprint(corpus: Corpus, splits: dict[str, list[Row]]) -> str:
    """Sum up names, sizes and times of all files."""
    digest = hashlib.sha1()
    for rows in splits.values():
        for row in rows:
            for name in row.files.values():
                try:
                    state = (corpus.root / name).stat()
                except OSError:
                    continue  # the check will name it
                digest.update(f"{name} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _check(corpus: Corpus, rows: list[Row], split: str, save_folder: Path) -> list[int]:
    """Return the samples of each row, or raise with what is wrong."""
    found = [length(corpus, row) for row in tqdm(rows, desc=f"checking {split}", disable=None)]
    problems = [problem for problem in found if isinstance(problem, str)]
    if not problems:
        problems = [problem for row in evenly_spread(rows) if (problem := wrong_sum(corpus, row))]
    if not problems:
        return found
    if len(problems) == 1:
        raise InputError(problems[0])
    write_text(save_folder / PROBLEMS, "\n".join(problems) + "\n")
    raise InputError(f"{problems[0]} ({len(problems)} such problems, listed in {save_folder / PROBLEMS})")


def _write(path: Path, corpus: Corpus, rows: list[Row], lengths: list[int]) -> None:
    """Write the manifest of one split."""
    columns = _columns(corpus, list(rows[0].files))
    segments = [Path(row.files[corpus.pairing.mixture]).with_suffix(".json") for row in rows]
    with_segments = _say_who_speaks([corpus.root / file for file in segments])
    with new_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        header = ["ID", "duration", "sample_rate", *(f"{column}_wav" for column in columns)]
        writer.writerow([*header, SEGMENTS] if with_segments else header)
        for row, samples, said in zip(rows, lengths, segments, strict=True):
            files = [f"$data_root/{row.files[signal]}" for signal in columns.values()]
            files += [f"$data_root/{said.as_posix()}"] if with_segments else []
            writer.writerow([row.name, f"{samples / corpus.sample_rate:.6f}", corpus.sample_rate, *files])


def _say_who_speaks(files: list[Path]) -> bool:
    """Return whether these are all segments, as the first one shows: other corpora have other files there."""
    if not all(file.exists() for file in files):
        return False
    with suppress(InputError):
        read_segments(files[0], named="source")
        return True
    return False


def _columns(corpus: Corpus, signals: list[str]) -> dict[str, str]:
    """List the columns, each with the signal it holds: those of the task first."""
    mixture, sources = corpus.pairing
    columns = {"mix": mixture} | {f"s{i}": source for i, source in enumerate(sources, start=1)}
    for signal in signals:
        if signal not in columns.values():
            columns[f"corpus_{signal}" if signal in columns else signal] = signal
    return columns
