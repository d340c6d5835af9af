"""Work spread over processes, with a progress bar."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Protocol

from tqdm import tqdm

from speechbrain_tasnet.errors import InputError, whole_number

STOPS = {signal.SIGINT, signal.SIGTERM}
WINDOWS_PROCESSES = 61  # it waits for no more at once


class Launcher(Protocol):
    """Divides work among jobs on other machines, as `cluster.launcher` does; ``cpus`` are those of a job."""

    cpus: int

    def share_out(self, function: Callable[[list], list], tasks: Sequence, label: str) -> list:
        """Call an importable function with parts of the tasks, and join its lists in the order of the tasks."""


Workers = int | Launcher | None


def in_parallel(function: Callable, tasks: Iterable, workers: Workers, label: str) -> list:
    """Map a function over tasks in several processes, in order, with a progress bar on a terminal.

    Parameters
    ----------
    function : callable
        Importable function of one task.
    tasks : iterable
        Picklable tasks.
    workers : int or Launcher, optional
        Number of processes; by default one for each processor that this process may use. A launcher lets each of
        its jobs do the same with a share of the tasks.
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
    if not isinstance(workers, int | None):
        return workers.share_out(partial(in_parallel, function, workers=workers.cpus, label=label), tasks, label)
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
        raise InputError(f"{label}: a process was killed, perhaps for lack of memory; try fewer workers") from None
    finally:
        # Waits for the workers, so that none writes on after its folder is cleared away.
        pool.shutdown(cancel_futures=True)


def each_in_parallel(
    functions: Mapping[str, Callable], tasks: Mapping[str, list], workers: Workers, label: str
) -> dict[str, list]:
    """Run several lists of tasks, each with its own function, as `in_parallel` does with one.

    On a cluster they are then one set of jobs, which wait in the queue once.

    Examples
    --------
    >>> each_in_parallel({"a": abs, "b": str}, {"a": [-1, 2], "b": [3]}, workers=1, label="both")
    {'a': [1, 2], 'b': ['3']}
    """
    pairs = [(functions[name], task) for name, own in tasks.items() for task in own]
    results = iter(in_parallel(_call, pairs, workers, label))
    return {name: list(islice(results, len(own))) for name, own in tasks.items()}


def _call(pair: tuple[Callable, object]) -> object:
    function, task = pair
    return function(task)


def check_workers(workers: Workers) -> None:
    """Refuse fewer processes than one.

    Raises
    ------
    InputError
        There would be none.
    """
    if isinstance(workers, int):
        whole_number("workers", workers)


def here(workers: Workers) -> int | None:
    """Return how many processes do small work, which is no matter for a launcher."""
    return workers if isinstance(workers, int) else None


def usable_cpus() -> int:
    """Return the number of processors that this process may use: fewer than there are in many containers."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Hold back signals that would stop the processes started here before they are ready for them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows cannot
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, which then ends its workers in an orderly way; end if the parent is killed."""
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
