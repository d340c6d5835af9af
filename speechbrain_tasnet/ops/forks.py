"""Processes forked from one that has already computed: they have its memory, but none of its threads."""

import os
import re

import torch

from speechbrain_tasnet.system.c_functions import loaded_function

_watched: list[bool] = []


def keep_children_alive() -> None:
    """Make sure that processes forked from now on can compute, on one thread each.

    GNU's OpenMP keeps a pool of threads. A forked process inherits the list of them but not the threads
    themselves, and waits forever for the first piece of work that it hands to one. So it is set to use one
    thread before it does anything. Threads that the forked process starts have pools of their own and are not
    concerned.

    Has no effect where nothing forks, such as on Windows.
    """
    if _watched or not hasattr(os, "register_at_fork"):
        return
    _watched.append(True)
    os.register_at_fork(after_in_child=_use_one_thread)


def _use_one_thread() -> None:
    # Not by `torch.set_num_threads`, after which torch 2.11 solves linear systems wrongly on some processors.
    set_num_threads = loaded_function("omp_set_num_threads")
    if set_num_threads is not None:
        set_num_threads(1)
    # MKL follows OpenMP, unless somebody has called `torch.set_num_threads`, which gives it a number of its own:
    # only the same call changes that, and then it changes nothing else.
    of_mkl = re.search(r"mkl_get_max_threads\(\) : (\d+)", torch.__config__.parallel_info())
    if set_num_threads is None or (of_mkl and of_mkl[1] != "1"):
        torch.set_num_threads(1)
