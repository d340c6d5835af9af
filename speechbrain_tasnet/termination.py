"""SIGTERM, which schedulers send some seconds before they kill: training saves first, everything else ends."""

import signal
import sys
import threading

import torch
import torch.distributed as dist

STATUS = 128 + signal.SIGTERM


class Termination:
    """Knows whether the process was told to end, while it is entered.

    Between `defer` and `resume` a signal is only noted, and `requested` tells; at other times it raises
    `SystemExit` at once. Outside the main thread, where Python gets no signals, nothing changes.

    Example
    -------
    >>> with Termination() as termination:
    ...     termination.requested()
    False
    """

    def __init__(self) -> None:
        self._deferred = False
        self._signalled = False

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
        if self._signalled:
            sys.exit(STATUS)

    def requested(self) -> bool:
        """Tell whether the signal has come, to any process of a distributed run: all must ask in step."""
        if not dist.is_initialized():
            return self._signalled
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        signalled = torch.tensor(int(self._signalled), device=device)
        dist.all_reduce(signalled, dist.ReduceOp.MAX)
        return bool(signalled)

    def _note(self, *_) -> None:
        self._signalled = True
        if not self._deferred:
            sys.exit(STATUS)
