"""Git LFS, which leaves a few lines of text in place of a large file if it is not installed."""

from pathlib import Path
from typing import IO

POINTER = b"version https://git-lfs"
WAY_OUT = "is a pointer of Git LFS, not the file itself; get that with `git lfs pull` in its folder"


def is_pointer(path: Path | str) -> bool:
    """Return whether a file is such a pointer.

    Examples
    --------
    >>> is_pointer("/no/such/file")
    False
    """
    try:
        with open(path, "rb") as file:
            return begins_as_pointer(file)
    except OSError:
        return False


def begins_as_pointer(file: IO[bytes]) -> bool:
    """Return whether what is in an open file is such a pointer; it is read from its begin."""
    file.seek(0)
    return file.read(len(POINTER)) == POINTER
