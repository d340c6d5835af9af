"""Where bytes of audio come from: a file, memory, or a pipe, which is copied: decoders go back and forth."""

import io
import os
import re
import stat
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from typing import IO, Any

from speechbrain_tasnet.audio.formats import readable
from speechbrain_tasnet.errors import DiskError, InputError

ADDRESS = re.compile(r"(?:https?|ftp|s3|gs|hf):/")


Bytes = Path | str | bytes | IO[bytes]


class _Lent:
    """A file that somebody else opened and will close."""

    def __init__(self, file: IO[bytes]):
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def close(self) -> None:
        """Leave it open."""


def name_of(source: Bytes) -> str:
    """Return what to call a source in messages.

    Example
    -------
    >>> name_of("talk.wav"), name_of(b"RIFF"), name_of(io.BytesIO())
    ('talk.wav', 'the bytes', 'the open file')
    """
    if isinstance(source, bytes):
        return "the bytes"
    if isinstance(source, str | os.PathLike):
        return str(source)
    return str(name) if isinstance(name := getattr(source, "name", None), str) else "the open file"


def is_pipe(path: object) -> bool:
    """Return whether it is the path of a pipe, which can be read once and has no size."""
    if not isinstance(path, str | os.PathLike):
        return False
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def open_bytes(path: Bytes) -> IO[bytes]:
    """Open a file, or what comes through a pipe, as a file that can seek.

    Parameters
    ----------
    path : path-like, bytes or binary file
        Of a file or a pipe; what is in a file; or one that is open, which stays open.

    Returns
    -------
    binary file
        To be closed.

    Raises
    ------
    InputError
        There is none, or it cannot be read, or it is none of these.
    """
    if isinstance(path, bytes):
        return io.BytesIO(path)
    if not isinstance(path, str | os.PathLike) and not hasattr(path, "seekable"):
        raise InputError(
            f"a recording of type {type(path).__name__}: expected a path, bytes or an open binary file; "
            "samples go with their rate into separate_audio or separate_voices"
        )
    if not isinstance(path, str | os.PathLike):
        return _Lent(path) if path.seekable() else _copy_of(path, name_of(path))
    if "\0" in str(path):
        raise InputError(f"{str(path)!r}: a file name cannot contain NUL")
    try:
        if is_pipe(path):
            return _copy(path)
        if Path(path).is_file():
            return Path(path).open("rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
    if ADDRESS.match(str(path)):
        raise InputError(f"{path}: a web address, not a file; download it first, for example with curl -O")
    if Path(path).is_dir():
        kind = "a folder"
    elif os.path.islink(path):
        kind = "a link that leads nowhere"
    else:
        kind = "no file of a disk" if os.path.exists(path) else "no such file"
    raise InputError(f"{path}: {kind}; expected an audio file ({readable()})")


def _copy(path: Path | str) -> IO[bytes]:
    """Copy what comes through a pipe to a file without a name, which is gone when it is closed."""
    with open(path, "rb") as pipe:
        return _copy_of(pipe, str(path))


def _copy_of(stream: IO[bytes], name: str) -> IO[bytes]:
    with ExitStack() as opened:
        copy = opened.enter_context(TemporaryFile())
        while data := stream.read(2**20):
            try:
                copy.write(data)
            except OSError as error:
                reason = f"no room for a copy in {gettempdir()} ({error.strerror})"
                raise DiskError(f"{name}: {reason}; set TMPDIR to another disk") from None
        opened.pop_all()
        return copy
