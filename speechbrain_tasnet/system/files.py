"""Files and folders that appear whole or not at all."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO

from speechbrain_tasnet.errors import DiskError, InputError, UnfinishedError
from speechbrain_tasnet.system.locks import exclusive
from speechbrain_tasnet.system.ownership import (
    LONGEST_NAME,
    check_own,
    create,
    make_private_folder,
    open_up,
    secret_name,
)
from speechbrain_tasnet.system.termination import Termination

PARTIAL = ".partial"
SMALL = 2**26  # bytes that a scratch file keeps in memory
REPLACED = ".replaced"
OPTIONS = ".options.json"  # of an unfinished folder


@contextmanager
def new_file(path: Path | str) -> Iterator[Path]:
    """Write a file so that a reader sees the old one or the new one, never a part of it.

    Of several writers of one file, in any number of processes and threads, the last one's whole file stays.

    Parameters
    ----------
    path : path-like
        File to write; its folder is made if it is not there.

    Yields
    ------
    pathlib.Path
        Temporary, empty file beside `path`, of a name of its own, that becomes `path` at the end; any exception
        removes it.

    Raises
    ------
    DiskError
        The file cannot be written.
    """
    path = Path(path)
    partial = path.with_name(secret_name(PARTIAL))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        create(partial)
        yield partial
        partial.replace(path)
    except OSError as error:
        raise DiskError(f"{path}: cannot be written ({error.strerror}); check the folder and disk space") from None
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all.

    Parameters
    ----------
    path : path-like
        Its folder is made if it is not there.
    text : str
        What it will hold.
    """
    with new_file(path) as partial:
        # The same bytes on every system: Windows would write each line's end as two.
        # Bytes of a file's name that are no UTF-8 stay what they are.
        partial.write_text(text, encoding="utf-8", errors="surrogateescape", newline="\n")


@contextmanager
def new_folder(out: Path | str, replace: bool = False) -> Iterator[Path]:
    """Write a folder whole or not at all.

    Parameters
    ----------
    out : path-like
        Folder to make; it must not exist yet, or be empty.
    replace : bool
        Let it take the place of a folder that is there. A kill at any moment leaves one of the two whole: between
        two renames the old one lies hidden beside it, and the next call puts it back.

    Yields
    ------
    pathlib.Path
        Temporary folder beside `out` that becomes `out` at the end. Any exception, an interrupt and a
        termination signal remove it.

    Raises
    ------
    InputError
        `out` already holds something, or cannot be made.
    """
    out = Path(out).resolve()
    if replace and not out.is_file():
        _recover(out)
    else:
        check_free(out)
    partial = out.with_name(f"{_hidden_prefix(out)}{secret_name(PARTIAL)}")
    missing_parents = [parent for parent in partial.parents if not parent.exists()]
    if not _make_folder(partial, out):
        raise InputError(f"{partial}: already exists; delete it")
    try:
        with Termination():
            yield partial
        open_up(partial)
        if replace and out.exists():
            _swap(partial, out)
        else:
            _give_name(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        _remove_empty(missing_parents)


@contextmanager
def resumable_folder(out: Path | str, options: dict) -> Iterator[Path]:
    """Write a folder over as many runs as it takes.

    The work is done in ``.OUT.partial`` beside `out`, which becomes `out` at the end. A run that was killed or
    interrupted, or met a full disk, leaves it for the next one, which finds what is done and does the rest:
    write each file with `new_file`. Wrong input removes it, unless an earlier run had begun it.

    Parameters
    ----------
    out : path-like
        Folder to make; it must not exist yet, or be empty.
    options : dict
        What decides the content, as JSON takes it: only a run with the same options continues.

    Yields
    ------
    pathlib.Path
        The folder to work in.

    Raises
    ------
    InputError
        `out` already holds something or cannot be made, another run is using it, an unfinished run had other
        options, or somebody else may have put one there.
    """
    out = Path(out).resolve()
    check_free(out)
    partial = _beside(out, PARTIAL)
    missing_parents = [parent for parent in partial.parents if not parent.exists()]
    resumed = not _make_folder(partial, out)
    if resumed:
        check_own(partial)
    note = partial / OPTIONS
    # The lock is beside the folder, since Windows does not rename a folder that holds an open file.
    lock = _beside(out, ".lock")
    with ExitStack() as afterwards, _held(lock, out, None if resumed else partial), Termination():
        check_free(out)  # the run that held the lock may have finished it
        text = json.dumps(options, indent=1, sort_keys=True, default=str)
        if not note.exists():
            write_text(note, text)
        elif note.read_text(encoding="utf-8") != text:
            raise InputError(
                f"{partial}: an unfinished run with other options; repeat those of its {note.name}, or delete it"
            )
        try:
            yield partial
        except UnfinishedError:
            raise
        except InputError:
            if not resumed:
                shutil.rmtree(partial, ignore_errors=True)
                afterwards.callback(_remove_empty, missing_parents)  # the lock's file is in one of them
            raise
        # What a killed run was writing when it died.
        for leftover in partial.rglob(f".*{PARTIAL}-*"):
            leftover.unlink()
        note.unlink()
        open_up(partial)
        _give_name(partial, out)


@contextmanager
def _held(lock: Path, out: Path, new: Path | None) -> Iterator[None]:
    """Hold the lock of a folder; if it cannot be had, remove the new folder again."""
    with ExitStack() as held:
        try:
            held.enter_context(exclusive(lock, out))
        except InputError:
            if new is not None:
                with suppress(OSError):
                    new.rmdir()
            raise
        yield


def check_free(out: Path | str) -> None:
    """Refuse a folder that is not empty.

    Parameters
    ----------
    out : path-like
        Folder that is to be made.

    Raises
    ------
    InputError
        There is something in it, or it is a file.
    """
    out = Path(out)
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise InputError(f"{out}: already holds something; choose another --out or delete it")


def check_not_there(paths: Iterable[Path]) -> None:
    """Refuse to replace files.

    Raises
    ------
    InputError
        One of them is there.
    """
    for path in paths:
        if path.exists():
            raise InputError(f"{path}: already exists; choose another --out or give --overwrite")


@contextmanager
def scratch_file(near: Path | str) -> Iterator[IO[bytes]]:
    """Open a file without a name, for bytes that are written and read again; nothing can leave it behind.

    Parameters
    ----------
    near : path-like
        The file is on the disk of this file or folder, which need not exist yet.

    Yields
    ------
    file object
        In memory as long as it is small.

    Raises
    ------
    DiskError
        The disk is full, or the folder cannot be written to.
    """
    try:
        with SpooledTemporaryFile(SMALL, dir=existing_parent(near)) as file:
            yield file
    except OSError as error:
        raise DiskError(
            f"{near}: no room for a scratch file ({error.strerror}); check the folder and disk space"
        ) from None


def existing_parent(path: Path | str) -> Path:
    """Return the nearest folder, or file, on the way to a path that is there; the path itself if it is.

    Examples
    --------
    >>> existing_parent("/no such folder/at all") == Path("/").absolute()
    True
    """
    path = Path(path).absolute()
    return next(parent for parent in (path, *path.parents) if parent.exists())


def _give_name(partial: Path, out: Path) -> None:
    """Rename a new folder to a name that is free, or that of an empty folder."""
    # Windows renames no folder onto another one, not even onto an empty one.
    with suppress(FileNotFoundError):
        out.rmdir()
    partial.replace(out)


def _swap(partial: Path, out: Path) -> None:
    """Replace the old folder by the new one; one of them is always there."""
    replaced = out.with_name(f"{_hidden_prefix(out)}{REPLACED}")
    out.rename(replaced)
    try:
        partial.rename(out)
    except OSError:
        replaced.rename(out)
        raise
    shutil.rmtree(replaced, ignore_errors=True)


def _recover(out: Path) -> None:
    """Clean up after a run that was killed while it replaced a folder: one run at a time does."""
    replaced = out.with_name(f"{_hidden_prefix(out)}{REPLACED}")
    if os.path.lexists(replaced):
        check_own(replaced)
        if not out.exists():
            replaced.rename(out)
    shutil.rmtree(replaced, ignore_errors=True)
    for leftover in out.parent.glob(f"{_hidden_prefix(out)}.*{PARTIAL}-*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _beside(out: Path, suffix: str) -> Path:
    """Return the hidden path beside `out` by which a later run finds what an earlier one left."""
    name = f".{out.name}{suffix}"
    fits = len(os.fsencode(name)) <= LONGEST_NAME
    return out.with_name(name if fits else f"{_hidden_prefix(out)}{suffix}")


def _hidden_prefix(out: Path) -> str:
    """Return what begins the names of all that is hidden beside `out`, however long its own name is."""
    return f".{hashlib.sha256(os.fsencode(out.name)).hexdigest()[:16]}"


def _make_folder(partial: Path, out: Path) -> bool:
    """Make the folder that will become `out`, unless there is something already."""
    try:
        make_private_folder(partial)
    except FileExistsError:
        return False
    except OSError as error:
        raise DiskError(f"{out}: cannot be made ({error.strerror}); choose another --out") from None
    return True


def _remove_empty(parents: list[Path]) -> None:
    """Remove the parents that were made for an unfinished folder."""
    for parent in parents:
        with suppress(OSError):
            parent.rmdir()
