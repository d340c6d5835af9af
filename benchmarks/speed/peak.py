"""The multiply-add peak: as many a second as all cores can do, on numbers that never leave their registers."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from speechbrain_tasnet.ops.cpu import amx, microkernel
from speechbrain_tasnet.ops.cpu.microkernel import LANES

# So many sums are in work at once that none waits for the one before.
SUMS = 24 if LANES == 16 else 12
STEPS = 20_000_000  # dozens of milliseconds
TIMES = 3  # of which the fastest counts: a processor that has slept begins slowly
INNER = 256  # of a block of matrix instructions, whose factors stay in the first-level cache


def precisions() -> list[str]:
    """List the precisions that this processor has instructions for."""
    return ["float32", *(["bfloat16"] if amx.permitted() or microkernel.PAIRS else [])]


def peak(threads: int, precision: str = "float32") -> float:
    """Measure how many operations a second so many threads do; a multiply-add is two."""
    if precision == "float32":
        run, steps, operations = _multiply_add, STEPS, 2 * SUMS * LANES
    elif amx.permitted():
        run, steps, operations = _multiply_blocks, STEPS // 16, 2 * amx.BLOCK**2 * INNER
    else:
        run, steps, operations = _multiply_add_pairs, STEPS, 4 * SUMS * LANES
    seconds = []
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(run, [1] * threads))  # compiles, starts the threads
        for _ in range(TIMES):
            start = time.perf_counter()
            list(pool.map(run, [steps] * threads))
            seconds.append(time.perf_counter() - start)
    return operations * steps * threads / min(seconds)


def _sums(pairs: bool):
    @intrinsic
    def sums(typing_context, steps):
        """Add up ``steps`` products in each lane of each sum, and return one of the results."""
        vector, index = ir.VectorType(ir.FloatType(), LANES), ir.IntType(64)

        def generate(context, builder, signature, arguments):
            kind = ir.FunctionType(vector, [vector] * 3)
            fused = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{LANES}f32")
            factor, addend = (ir.Constant(vector, [value] * LANES) for value in (0.5, 1.0))
            multiply_add = microkernel.DOT if pairs else fused
            before = builder.block
            loop, end = (builder.append_basic_block(name) for name in ("loop", "end"))
            builder.branch(loop)
            builder.position_at_end(loop)
            step = builder.phi(index)
            step.add_incoming(index(0), before)
            sums = [builder.phi(vector) for _ in range(SUMS)]
            for k, total in enumerate(sums):
                total.add_incoming(ir.Constant(vector, [float(k)] * LANES), before)
            # Of the form s * a + b: a product of constants alone would be taken out of the loop.
            results = [builder.call(multiply_add, [total, factor, addend]) for total in sums]
            for total, result in zip(sums, results, strict=True):
                total.add_incoming(result, loop)
            following = builder.add(step, index(1))
            step.add_incoming(following, loop)
            builder.cbranch(builder.icmp_signed("<", following, arguments[0]), loop, end)
            builder.position_at_end(end)
            total = results[0]
            for result in results[1:]:
                total = builder.fadd(total, result)
            return builder.extract_element(total, ir.IntType(32)(0))

        return types.float32(types.int64), generate

    return sums


_sums_of_numbers, _sums_of_pairs = _sums(pairs=False), _sums(pairs=True)


@njit(nogil=True)
def _multiply_add(steps):
    return _sums_of_numbers(steps)


@njit(nogil=True)
def _multiply_add_pairs(steps):
    return _sums_of_pairs(steps)


@njit(nogil=True)
def _multiply_blocks(steps):
    x, out = np.zeros((amx.BLOCK, INNER), np.int16), np.zeros((amx.BLOCK, amx.BLOCK), np.float32)
    panel = np.zeros((INNER // 2, amx.BLOCK), np.int32)
    amx.begin(amx.CONFIG)
    for _ in range(steps):
        amx.block(x, 0, panel, 0, 0, INNER // amx.BLOCK, out, 0, 0)
    amx.end()
    return out[0, 0]
