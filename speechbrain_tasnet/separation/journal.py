"""A journal of what has been separated into a folder, so that a later run does only the rest."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from speechbrain_tasnet.errors import DiskError, InputError
from speechbrain_tasnet.separation.options import SeparationOptions
from speechbrain_tasnet.separation.output_files import Destination
from speechbrain_tasnet.separation.recording import Written
from speechbrain_tasnet.system.files import write_text
from speechbrain_tasnet.system.ownership import check_own, no_links, secret_name

FOLDER = ".separated"
OPTIONS = "options.json"
PATHS = ("sources", "tables")  # what of `Written` are files, noted relative to the folder


class Journal:
    """Notes, in a hidden folder beside the sources, on which mixtures were begun and which are done.

    Each process writes a file of its own and reads those of all, so that many may work at the same time, on any
    number of machines, if no two of them have the same mixtures.

    Parameters
    ----------
    model : path-like
        Name or folder of the separator.
    destination : Destination
        Where the sources go.
    choices : SeparationOptions
        How mixtures are separated.

    Raises
    ------
    InputError
        What is in the folder was separated by another model, or otherwise.
    """

    def __init__(self, model: Path | str, destination: Destination, choices: SeparationOptions):
        self._folder = Path(destination.folder) / FOLDER
        self._file = self._folder / f"{secret_name('.journal')}.jsonl"
        self._begun: set[str] = set()
        self._done: dict[str, dict] = {}
        self._options = json.dumps(_options(model, destination, choices), indent=1, default=str) + "\n"
        self._check_options()
        for path in sorted(self._folder.glob(".tasnet.journal-*.jsonl")):
            self._read(path)

    def done(self, mixture: Path) -> Written | None:
        """Return the files that have come of a mixture, if it is done, and all are there, and it is the same."""
        note = self._done.get(_key(mixture))
        if note is None or note["stamp"] != _stamp(mixture):
            return None
        folder = self._folder.parent
        paths = {kind: [folder / name for name in note[kind]] for kind in PATHS}
        if not all(path.exists() for kind in PATHS for path in paths[kind]):
            return None
        return Written(**{name: note[name] for name in Written._fields} | paths)

    def knows(self, mixture: Path) -> bool:
        """Return whether a mixture was begun: what is there of it comes from the journal's runs."""
        return _key(mixture) in self._begun

    def begin(self, mixture: Path) -> None:
        """Record that files of a mixture may appear from now on."""
        self._note({"mixture": _key(mixture)})

    def end(self, mixture: Path, written: Written) -> None:
        """Record that all files of a mixture are complete."""
        folder = self._folder.parent
        paths = {kind: [path.relative_to(folder).as_posix() for path in getattr(written, kind)] for kind in PATHS}
        self._note({"mixture": _key(mixture), "stamp": _stamp(mixture), **written._asdict(), **paths})

    def _check_options(self) -> None:
        note = self._folder / OPTIONS
        if self._folder.is_dir():
            check_own(self._folder)
        if note.exists() and note.read_text(encoding="utf-8") != self._options:
            raise InputError(
                f"{self._folder}: separated with other options; repeat those of its {OPTIONS}, choose another "
                "--out or delete it"
            )

    def _read(self, path: Path) -> None:
        """Read a file; a line that a kill has cut off is ignored."""
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
            if line.endswith("\n"):
                note = json.loads(line)
                self._begun.add(note["mixture"])
                if "sources" in note:
                    self._done[note["mixture"]] = note

    def _note(self, note: Mapping[str, object]) -> None:
        """Append a line that outlives the machine; the first one fixes the options."""
        if not (self._folder / OPTIONS).exists():
            write_text(self._folder / OPTIONS, self._options)
        try:
            with open(self._file, "a", encoding="utf-8", opener=no_links) as file:
                file.write(json.dumps(note) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise DiskError(f"{self._file}: cannot be written ({error.strerror}); check disk space") from None


def _key(mixture: Path) -> str:
    return os.path.realpath(mixture)


def _stamp(mixture: Path) -> Sequence[int] | None:
    """Return what changes with a file."""
    try:
        found = mixture.stat()
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns]


def _options(model: Path | str, destination: Destination, choices: SeparationOptions) -> dict[str, object]:
    """List all that the sources depend on."""
    model = os.path.realpath(model) if Path(model).exists() else str(model)
    how = {name: value for name, value in asdict(choices).items() if name != "workers"}
    kind = asdict(destination.kind)
    return {"model": model, **how, **kind, "tables": list(destination.tables), "name": destination.name}
