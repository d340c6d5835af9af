"""Where bytes of audio come from: a file, or a pipe, which is copied first, for decoders go back and forth."""

import os
import re
import stat
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from typing import IO

from speechbrain_tasnet.audio.formats import COMMON
from speechbrain_tasnet.errors import DiskError, InputError

ADDRESS = re.compile(r"(?:https?|ftp|s3|gs|hf):/")


def is_pipe(path: Path | str) -> bool:
    """Return whether a path is a pipe, which can be read once and has no size."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def open_bytes(path: Path | str) -> IO[bytes]:
    """Open a file, or what comes through a pipe, as a file that can seek.

    Parameters
    ----------
    path : path-like
        Of a file or a pipe.

    Returns
    -------
    binary file
        To be closed.

    Raises
    ------
    InputError
        There is none, or it cannot be read.
    """
    if "\0" in str(path):
        raise InputError(f"{str(path)!r}: no name of a file has a NUL in it")
    try:
        if is_pipe(path):
            return _copy(path)
        if Path(path).is_file():
            return Path(path).open("rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); see to its permissions") from None
    if ADDRESS.match(str(path)):
        raise InputError(f"{path}: an address, no file; download it first, as by curl -O")
    if Path(path).is_dir():
        kind = "a folder"
    elif os.path.islink(path):
        kind = "a link that leads nowhere"
    else:
        kind = "no file of a disk" if os.path.exists(path) else "no such file"
    raise InputError(f"{path}: {kind}; expected an audio file ({COMMON})")


def _copy(path: Path | str) -> IO[bytes]:
    """Copy what comes through a pipe to a file without a name, which is gone when it is closed."""
    with ExitStack() as opened:
        copy = opened.enter_context(TemporaryFile())
        with open(path, "rb") as pipe:
            while data := pipe.read(2**20):
                try:
                    copy.write(data)
                except OSError as error:
                    reason = f"no room for a copy in {gettempdir()} ({error.strerror})"
                    raise DiskError(f"{path}: {reason}; set TMPDIR to another disk") from None
        opened.pop_all()
        return copy
