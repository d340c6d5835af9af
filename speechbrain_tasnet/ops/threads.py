"""Threads that compute independently, and when an operation is worth dividing among threads."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import cache

import torch

from speechbrain_tasnet.system.c_functions import loaded_function

WORTH_IT = 0.75  # part of the threads that must have work, on average, or they share what there is
MANY = 2**20  # numbers: an operation on fewer takes less time than threads may wait for each other

_pools: dict[int, ThreadPoolExecutor] = {}


def pool(threads: int) -> ThreadPoolExecutor:
    """Return a pool of this many threads, each of which computes alone, however many processors there are."""
    if threads not in _pools:
        if not _pools and hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_pools.clear)  # a forked process has none of the threads
        _pools[threads] = ThreadPoolExecutor(threads, "tasnet", _compute_alone)
    return _pools[threads]


def settings_here() -> Callable[[], AbstractContextManager[None]]:
    """Return what takes over, in another thread, what holds for operations in this one."""
    half = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None
    inference, grad = torch.is_inference_mode_enabled(), torch.is_grad_enabled()

    @contextmanager
    def settings() -> Iterator[None]:
        autocast = torch.autocast("cpu", half or torch.bfloat16, enabled=half is not None)
        with torch.inference_mode(inference), torch.set_grad_enabled(grad), autocast:
            yield

    return settings


@contextmanager
def alone(numbers: int = 0) -> Iterator[None]:
    """Keep the operations of this thread on it: small ones take less time than waiting for other threads.

    Parameters
    ----------
    numbers : int
        That an operation is on: where they are many, nothing changes.
    """
    before = torch.get_num_threads()
    _use(1 if numbers < MANY else before)
    try:
        yield
    finally:
        _use(before)


def _compute_alone() -> None:
    """Keep the operations of this thread on it, permanently, and denormal numbers out of them."""
    torch.get_num_threads()  # torch sets the number when it is first asked in a thread
    _use(1)
    torch.set_flush_denormal(True)


def _use(threads: int) -> None:
    """Set how many threads the operations of this thread, and of no other, use."""
    for function in _setters():
        function(threads)


@cache
def _setters() -> list[Callable]:
    found = map(loaded_function, ("omp_set_num_threads", "MKL_Set_Num_Threads_Local"))
    return [function for function in found if function is not None]
