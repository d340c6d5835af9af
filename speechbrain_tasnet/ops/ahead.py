"""Results in order, with several threads computing the next ones ahead."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from itertools import islice
from typing import TypeVar

import torch

from speechbrain_tasnet.ops.threads import WORTH_IT, pool, settings_here

STEP = 0.1  # seconds

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[tuple[Item, Result]]:
    """Map a function over items in order; several threads compute what will be asked for next.

    Parameters
    ----------
    function : callable
        Of one item.
    items : iterable
        Read in the thread that asks for the results: at most twice as many as there are workers wait, are computed
        or are done and not asked for.
    workers : int
        Threads, each of which computes alone; 1: all is computed in the thread that asks, when it asks. So are,
        by all of its threads together, the last items, where they are too few for the workers.

    Yields
    ------
    tuple
        An item and its result. What the function raises is raised here. Closing the generator drops what has not
        been begun.

    Example
    -------
    >>> list(ahead(abs, [-1, 2, -3], workers=2))
    [(-1, 1), (2, 2), (-3, 3)]
    """
    settings = settings_here()

    def run(item: Item) -> Result:
        with settings():
            return function(item)

    items, waiting = iter(items), deque()
    enough = WORTH_IT * min(workers, torch.get_num_threads())
    try:
        while True:
            some = list(islice(items, workers))  # fewer are the last ones
            spread = workers > 1 and len(some) >= enough
            if spread:
                waiting.extend((item, pool(workers).submit(run, item)) for item in some)
            while len(waiting) > (workers if spread else 0):
                item, call = waiting.popleft()
                yield item, _result(call)
            if not some:
                return
            if not spread:
                yield from ((item, function(item)) for item in some)
    finally:
        for _, call in waiting:
            call.cancel()


def _result(call: Future) -> Result:
    """Wait in steps: a signal that comes just before one, and on Windows any, is answered only after it."""
    while not call.done():
        wait([call], STEP)
    return call.result()
