"""SIGTERM, which schedulers send some seconds before they kill: time to clean up and to save a training."""

import signal
import subprocess
import sys
import threading

STATUS = 128 + signal.SIGTERM

# What asks a process to end. Windows kills at SIGTERM; Ctrl+Break is what a process there can answer.
SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGBREAK") if hasattr(signal, name)]


class Termination:
    """Makes the signal a `SystemExit` while it is entered, so that files half written are cleared away.

    Between `defer` and `resume` a signal is only noted, in ``requested``. Outside the main thread, where Python
    gets no signals, nothing changes.

    Example
    -------
    >>> with Termination() as termination:
    ...     termination.requested
    False
    """

    def __init__(self) -> None:
        self.requested = False
        self._deferred = False
        self._before = {}

    def __enter__(self) -> "Termination":
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def defer(self) -> None:
        """Only note the signal from now on."""
        self._deferred = True

    def resume(self) -> None:
        """End at the signal from now on, and now if it has come already."""
        self._deferred = False
        if self.requested:
            sys.exit(STATUS)

    def _note(self, *_) -> None:
        self.requested = True
        if not self._deferred:
            sys.exit(STATUS)


def outlive(worker: int = 0) -> None:
    """Make a process that works for another one end with it, not by a signal that all of them get.

    Schedulers send the signal to every process of a job. A loading process that ended first would be missed by the
    training, which then could not save.

    Parameters
    ----------
    worker : int
        Which one it is, as PyTorch's ``worker_init_fn`` is told.
    """
    del worker
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def apart() -> dict[str, object]:
    """Return options of `subprocess.Popen` for a process that `ask_to_end` reaches and Ctrl-C passes by."""
    group = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", None)  # on Windows
    return {"start_new_session": True} if group is None else {"creationflags": group}


def ask_to_end(process: subprocess.Popen) -> None:
    """Send a process that was started `apart` the signal that `Termination` waits for."""
    if hasattr(signal, "CTRL_BREAK_EVENT"):
        process.send_signal(signal.CTRL_BREAK_EVENT)
    else:
        process.terminate()
