"""Threads that run one compiled function together and synchronise in it."""

import os
import sys
import threading
from collections.abc import Callable

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from speechbrain_tasnet.ops.forks import keep_children_alive
from speechbrain_tasnet.ops.threads import pool

SPINS = 2000  # of a thread that waits, before it lets others have its processor, some microseconds
YIELD = "SwitchToThread" if sys.platform == "win32" else "sched_yield"

keep_children_alive()

# Two teams that each wait for a part of the pool would wait for ever.
_lock = threading.Lock()


def _renew_lock() -> None:
    """Keep a forked process from waiting for a team of its parent."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def run(function: Callable, threads: int, *arguments) -> None:
    """Call ``function(thread, threads, barrier, *arguments)`` on this many threads at once, this one included.

    Parameters
    ----------
    function : callable
        Compiled, without the GIL. The threads may `meet` in it.
    threads : int
        How many.
    *arguments
        The same for all.
    """
    barrier = np.zeros(2, np.int64)
    if threads == 1:
        function(0, 1, barrier, *arguments)
        return
    with _lock:
        others = [pool(threads).submit(function, i, threads, barrier, *arguments) for i in range(1, threads)]
        function(0, threads, barrier, *arguments)
        for other in others:
            other.result()


@intrinsic
def meet(typing_context, barrier, threads):
    """Wait until all threads have arrived. ``barrier`` is two zeros at first: arrivals, and rounds."""

    def generate(context, builder, signature, arguments):
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        here, meetings = (builder.gep(array.data, [ir.IntType(64)(i)]) for i in range(2))
        before = builder.load_atomic(meetings, "seq_cst", 8)
        count = builder.add(builder.atomic_rmw("add", here, ir.IntType(64)(1), "seq_cst"), ir.IntType(64)(1))
        last, wait, done = (builder.append_basic_block(name) for name in ("last", "wait", "done"))
        come = builder.block
        builder.cbranch(builder.icmp_signed("==", count, arguments[1]), last, wait)

        builder.position_at_end(last)
        builder.store_atomic(ir.IntType(64)(0), here, "seq_cst", 8)
        builder.atomic_rmw("add", meetings, ir.IntType(64)(1), "seq_cst")
        builder.branch(done)

        builder.position_at_end(wait)
        spins = builder.phi(ir.IntType(64))
        spins.add_incoming(ir.IntType(64)(0), come)
        more = builder.add(spins, ir.IntType(64)(1))
        with builder.if_then(builder.icmp_signed(">", more, ir.IntType(64)(SPINS)), likely=False):
            kind = ir.FunctionType(ir.IntType(32), [])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, YIELD), [])
        now = builder.load_atomic(meetings, "seq_cst", 8)
        spins.add_incoming(more, builder.block)
        builder.cbranch(builder.icmp_signed("==", now, before), wait, done)

        builder.position_at_end(done)
        return context.get_dummy_value()

    return types.void(barrier, threads), generate
