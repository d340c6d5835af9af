"""An object in a process of its own, which computes on request and is blocked otherwise."""

import multiprocessing
import signal
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

Answer = tuple[Any, str | None]  # a value, or None and the reason why there is none


class Remote:
    """An object in another process.

    Parameters
    ----------
    kind : callable
        Makes the object there.
    *arguments
        For ``kind``.
    """

    # A fresh interpreter: a forked one would begin with the parent's libraries, threads and settings.
    _context = multiprocessing.get_context("spawn")

    def __init__(self, kind: Callable, *arguments):
        self._make = kind, arguments
        self._process = self._pipe = None
        self._why = "the process was not started"

    @property
    def alive(self) -> bool:
        """Whether there is a process."""
        return self._process is not None

    def start(self) -> None:
        """Start the process, again if it has ended."""
        if self.alive:
            return
        self._pipe, theirs = self._context.Pipe()
        self._process = self._context.Process(target=_serve, args=(theirs, *self._make), daemon=True)
        self._process.start()
        theirs.close()

    def ask(self, method: str, *arguments) -> Answer:
        """Call a method of the object and wait for its value; a process that has ended is not started again.

        Parameters
        ----------
        method : str
            Its name.
        *arguments
            For the method.
        """
        if not self.alive:
            return None, self._why
        try:
            self._pipe.send((method, arguments))
            return self._pipe.recv()
        except (EOFError, OSError):  # its end of the pipe is closed
            self._bury()
            return None, self._why

    def stop(self) -> None:
        """End the process, if there is one."""
        if self.alive:
            self._process.kill()
            self._bury()

    def _bury(self) -> None:
        self._process.join()
        self._why = _cause_of_death(self._process.exitcode)
        self._pipe.close()
        self._process = self._pipe = None


def attempt(function: Callable, *arguments) -> Answer:
    """Call ``function`` and return its result, or None and the reason why it failed.

    Example
    -------
    >>> attempt(divmod, 1, 0)
    (None, 'ZeroDivisionError: integer division or modulo by zero')
    """
    try:
        return function(*arguments), None
    except Exception as error:  # a contestant's failure is a result like any other
        line, *more = str(error).strip().split("\n")
        if line.endswith(":") and more:  # torch.compile names first the backend that failed, then what it said
            return None, more[0].strip()
        return None, f"{type(error).__name__}: {line}"


def _cause_of_death(code: int) -> str:
    if code >= 0:
        return f"the process ended with status {code}"
    name = signal.Signals(-code).name
    return f"the process was killed by {name}" + (", perhaps for lack of memory" if name == "SIGKILL" else "")


def _serve(pipe: Connection, kind: Callable, arguments: tuple) -> None:
    """Answer questions until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is for the parent, which then ends this process
    warnings.simplefilter("ignore")  # deprecations within the toolkits
    subject = kind(*arguments)
    while True:
        try:
            method, arguments = pipe.recv()
        except EOFError:
            return
        pipe.send(attempt(getattr(subject, method), *arguments))
