"""Files and folders that appear whole or not at all."""

import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from speechbrain_tasnet.errors import InputError


@contextmanager
def new_file(path: Path | str) -> Iterator[Path]:
    """Write a file so that a reader sees the old one or the new one, never a part of it.

    Parameters
    ----------
    path : path-like
        File to write; its folder is made if it is not there.

    Yields
    ------
    pathlib.Path
        Temporary file beside `path` that becomes `path` at the end; any exception removes it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        yield partial
        partial.replace(path)
    finally:
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
        partial.write_text(text, encoding="utf-8")


@contextmanager
def new_folder(out: Path | str, replace: bool = False) -> Iterator[Path]:
    """Write a folder whole or not at all.

    Parameters
    ----------
    out : path-like
        Folder to make; it must not exist yet, or be empty.
    replace : bool
        Let it take the place of a folder that is there.

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
    if not replace and out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise InputError(f"{out}: already holds something; choose another --out or delete it")
    partial = out.with_name(f".{out.name}.partial-{os.getpid()}")
    missing_parents = [parent for parent in partial.parents if not parent.exists()]
    # In a container a killed run may have had our process number.
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"{out}: cannot be made ({error.strerror}); choose another --out") from None
    try:
        with _termination_as_exit():
            yield partial
        if replace:
            shutil.rmtree(out, ignore_errors=True)
        partial.replace(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        for parent in missing_parents:
            with suppress(OSError):
                parent.rmdir()


@contextmanager
def _termination_as_exit() -> Iterator[None]:
    """Raise `SystemExit` on a termination signal, which would otherwise leave no time to clean up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
