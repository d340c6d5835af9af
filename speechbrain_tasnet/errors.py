"""One kind of error for whatever the user can fix, and one way to show it."""

import errno
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from reprlib import repr as short
from typing import NoReturn

from speechbrain_tasnet.installation import explain

# What the system refuses and only the user can fix: names, permissions, room.
REFUSED = {
    errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT,
}  # fmt: skip


CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def _escape(found: re.Match) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


class InputError(ValueError):
    r"""An error in the input: a file, a folder, an option, a configuration value.

    The message is one line that names the value, what was expected and the way out. What would begin another line
    in it, or command a terminal, is written as an escape: names of files and values may hold anything.

    Example
    -------
    >>> print(InputError("model=a\nb: no such file"))
    model=a\nb: no such file
    """

    def __init__(self, message: str = "", *more: object):
        # Raised again from a loader's process, it has the traceback in front of it, in many lines.
        again = message.startswith("Caught ")
        super().__init__(message if again else CONTROLS.sub(_escape, message), *more)


class UnfinishedError(InputError):
    """Work could not be finished for reasons outside the input; what is done is kept for the next run."""


class DiskError(UnfinishedError):
    """A file cannot be written, for want of space or of permission; what is already there is sound."""


@contextmanager
def one_line_errors(program: str) -> Iterator[None]:
    """Turn an `InputError` into one line on standard error and exit status 2.

    So become what the system refuses, and a package that cannot be imported. Any other exception is a defect of
    ours and keeps its traceback.

    Parameters
    ----------
    program : str
        Name to print before the message.
    """
    try:
        yield
    except InputError as error:
        # One raised in a loader's process comes with the whole traceback before it.
        line = str(error).strip().splitlines()[-1]
        _end(program, line.removeprefix(f"{InputError.__module__}.{type(error).__name__}: "))
    except Exception as error:
        if isinstance(error, OSError) and error.errno in REFUSED:
            if error.filename is None:
                _end(program, f"standard output cannot be written ({error.strerror}); check where it goes")
            _end(program, f"{short(_printable(error.filename))}: {error.strerror}")
        if isinstance(error, RuntimeError) and str(error).startswith("Symlink loop"):
            _end(program, f"{error}: a link that leads nowhere; replace it")
        broken = explain(error)
        if broken is None:
            raise
        _end(program, broken)


def _printable(name: object) -> str:
    return os.fsdecode(name) if isinstance(name, bytes) else str(name)


def _end(program: str, line: str) -> NoReturn:
    print(f"{program}: error: {line}", file=sys.stderr)
    raise SystemExit(2) from None


def whole_number(name: str, value: object, minimum: int = 1, maximum: int | None = None) -> int:
    """Check a size or a count from a configuration.

    Parameters
    ----------
    name : str
        What to call it in the message.
    value : object
        What the user gave.
    minimum : int
        Smallest value allowed.
    maximum : int, optional
        Largest value allowed.

    Raises
    ------
    InputError
        If it is not an int, too small or too large.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
        raise InputError(f"{name}={short(value)}: expected a whole number of at least {minimum}")
    if maximum is not None and value > maximum:
        raise InputError(f"{name}={short(value)}: expected a whole number of at most {maximum}")
    return value


def similar(name: str, known: Iterable[str], prefix: str = "") -> str:
    """Return a hint at the known name most like a wrong one; nothing if none is like it.

    Example
    -------
    >>> similar("wsj0mx", ["demo", "wsj0mix"])
    '; did you mean wsj0mix?'
    """
    near = get_close_matches(name, sorted(known), n=1, cutoff=0.75)
    return f"; did you mean {prefix}{near[0]}?" if near else ""
