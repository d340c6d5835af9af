"""The multiply-add peak: as many a second as all cores can do, on numbers that never leave their registers."""

import time
from concurrent.futures import ThreadPoolExecutor

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from speechbrain_tasnet.ops.cpu.microkernel import LANES

# So many sums are in work at once that none waits for the one before.
SUMS = 24 if LANES == 16 else 12
STEPS = 4_000_000  # a few dozen milliseconds


def peak(threads: int) -> float:
    """Measure how many float32 operations a second so many threads do; a multiply-add is two."""
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(_multiply_add, [1] * threads))  # compiles, starts the threads
        start = time.perf_counter()
        list(pool.map(_multiply_add, [STEPS] * threads))
        return 2 * SUMS * LANES * STEPS * threads / (time.perf_counter() - start)


@njit(nogil=True)
def _multiply_add(steps):
    return _sums(steps)


@intrinsic
def _sums(typing_context, steps):
    """Add up ``steps`` products in each lane of each sum, and return one of the results."""
    vector, index = ir.VectorType(ir.FloatType(), LANES), ir.IntType(64)

    def generate(context, builder, signature, arguments):
        kind = ir.FunctionType(vector, [vector] * 3)
        fused = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{LANES}f32")
        factor, addend = (ir.Constant(vector, [value] * LANES) for value in (0.5, 1.0))
        before, loop, end = builder.block, builder.append_basic_block("loop"), builder.append_basic_block("end")
        builder.branch(loop)
        builder.position_at_end(loop)
        step = builder.phi(index)
        step.add_incoming(index(0), before)
        sums = [builder.phi(vector) for _ in range(SUMS)]
        for k, total in enumerate(sums):
            total.add_incoming(ir.Constant(vector, [float(k)] * LANES), before)
        # Of the form s * a + b: a product of constants alone would be taken out of the loop.
        results = [builder.call(fused, [total, factor, addend]) for total in sums]
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
