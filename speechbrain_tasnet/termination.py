"""SIGTERM, which schedulers send some seconds before they kill: time to clean up, and for training to save."""

import signal
import sys
import threading

STATUS = 128 + signal.SIGTERM


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

    def __enter__(self) -> "Termination":
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(self, *_) -> None:
        if hasattr(self, "_before"):
            signal.signal(signal.SIGTERM, self._before)

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
