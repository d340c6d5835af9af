"""Work spread over processes, with a progress bar."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from tqdm import tqdm

from speechbrain_tasnet.errors import InputError

STOPS = {signal.SIGINT, signal.SIGTERM}
WINDOWS_PROCESSES = 61  # it waits for no more at once


def in_parallel(function: Callable, tasks: Iterable, workers: int | None, label: str) -> list:
    """Map a function over tasks in several processes, in order, with a progress bar on a terminal.

    Parameters
    ----------
    function : callable
        Importable function of one task.
    tasks : iterable
        Picklable tasks.
    workers : int, optional
        Number of processes; by default one for each processor that this process may use.
    label : str
        Text before the bar.

    Returns
    -------
    list
        The function's values, in the order of the tasks.

    Raises
    ------
    InputError
        One of the processes was killed. What the function raises is passed on.

    Examples
    --------
    >>> in_parallel(abs, [1, -2, 3], workers=1, label="abs")
    [1, 2, 3]
    """
    tasks = list(tasks)
    workers = min(workers or usable_cpus(), len(tasks))
    if sys.platform == "win32":
        workers = min(workers, WINDOWS_PROCESSES)
    bar = {"total": len(tasks), "desc": label, "disable": None}
    if workers <= 1:
        return [function(task) for task in tqdm(tasks, **bar)]
    pool = ProcessPoolExecutor(workers, initializer=_start_worker)
    try:
        # Larger chunks would gain no speed, and an interrupt waits for the chunks in hand.
        chunk = max(1, min(8, len(tasks) // (4 * workers)))
        with _signals_wait():
            results = pool.map(function, tasks, chunksize=chunk)
        return list(tqdm(results, **bar))
    except BrokenProcessPool:
        raise InputError(f"{label}: a process was killed, for want of memory perhaps; try fewer workers") from None
    finally:
        # Waits for the workers, so that none writes on after its folder is cleared away.
        pool.shutdown(cancel_futures=True)


def usable_cpus() -> int:
    """Return the number of processors that this process may use: fewer than there are in many containers."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Hold back what would stop the processes that are begun here before they are ready for it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows cannot
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker() -> None:
    """Let Ctrl-C stop the parent alone, which then ends its workers in good order, and die if it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGBREAK"):  # Ctrl+Break, on Windows
        signal.signal(signal.SIGBREAK, signal.SIG_IGN)
    # The parent's handler would raise in the middle of reading a task and leave the next worker the rest of it.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)
