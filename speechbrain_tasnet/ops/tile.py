"""A tile of a matrix product, held in the processor's vector registers: what small products lack in libraries.

A few rows against a large weight leave no time to rearrange the weight at every call, which is what libraries do.
So it lies in `panels`, as the tile reads it: `WIDTH` columns side by side, one inner index behind the other.
"""

import llvmlite.binding
import torch.nn.functional as F  # noqa: N812
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from torch import Tensor

_features = llvmlite.binding.get_host_cpu_features()
# float32 numbers in a vector register; and whether there are 32 registers or 16 of them.
LANES = 16 if _features.get("avx512f") else 8 if _features.get("avx") else 4
MOST_ROWS = 6 if LANES == 8 else 12
VECTORS = 2
WIDTH = VECTORS * LANES


def panels(weight: Tensor) -> Tensor:
    """Lay out ``weight`` [outer, inner] as [panels, inner, WIDTH], with zeros behind the last row.

    Example
    -------
    >>> import torch
    >>> panels(torch.randn(WIDTH + 1, 7)).shape == (2, 7, WIDTH)
    True
    """
    padded = F.pad(weight, (0, 0, 0, -len(weight) % WIDTH))
    return padded.unflatten(0, (-1, WIDTH)).transpose(1, 2).contiguous()


@intrinsic
def tile(typing_context, x, row, rows, weight, block, panel, out):
    """Multiply ``rows`` rows of ``x``, at most MOST_ROWS from ``row`` on, by ``weight[block, panel]``.

    Writes the same rows of ``out``, in the columns of that panel. All arrays are of float32, ``x`` and ``out``
    have two axes, of which the last is contiguous.
    """

    def generate(context, builder, signature, arguments):
        writer = _Writer(context, builder, signature.args, arguments)
        done = builder.append_basic_block("done")
        choice = builder.switch(arguments[2], done)
        for count in range(1, MOST_ROWS + 1):
            choice.add_case(ir.Constant(arguments[2].type, count), builder.append_basic_block(f"rows{count}"))
            builder.position_at_end(choice.cases[-1][1])
            writer.write(count)
            builder.branch(done)
        builder.position_at_end(done)
        return context.get_dummy_value()

    return types.void(x, row, rows, weight, block, panel, out), generate


_index, _number = ir.IntType(64), ir.FloatType()
_vector = ir.VectorType(_number, LANES)
_zeros = ir.Constant(_vector, [0.0] * LANES)


class _Writer:
    """Writes the loop over the inner index for one number of rows, unrolled over rows and vectors."""

    def __init__(self, context, builder, kinds, arguments):
        x, row, _, weight, block, panel, out = arguments
        arrays = [
            context.make_array(kinds[i])(context, builder, array) for i, array in ((0, x), (3, weight), (6, out))
        ]
        self.builder, self.row = builder, row
        (self.x, self.x_step), (start, *steps), (self.out, self.out_step) = (
            (a.data, *cgutils.unpack_tuple(builder, a.strides)[:-1]) for a in arrays
        )
        self.inner = cgutils.unpack_tuple(builder, arrays[1].shape)[2]
        self.weight = self._at(self._at(start, block, steps[0]), panel, steps[1])
        self.weight_step = steps[2]
        self.out = self._at(self.out, panel, _index(4 * WIDTH))

    def write(self, count):
        """Append the loop to the current block; ends in the block behind it."""
        builder, before = self.builder, self.builder.block
        rows = [builder.add(self.row, _index(r)) for r in range(count)]
        sources = [self._at(self.x, row, self.x_step) for row in rows]
        loop, end = (builder.append_basic_block(name) for name in ("loop", "end"))
        builder.branch(loop)
        builder.position_at_end(loop)
        k = self._carried(_index(0), before)
        sums = [[self._carried(_zeros, before) for _ in range(VECTORS)] for _ in rows]
        weights = [builder.load(v, align=4) for v in self._vectors(self._at(self.weight, k, self.weight_step))]
        for source, row_sums in zip(sources, sums, strict=True):
            scalar = self._spread(builder.load(self._at(source, k, _index(4))))
            for v in range(VECTORS):
                total = self._fma(scalar, weights[v], row_sums[v])
                row_sums[v].add_incoming(total, loop)
                row_sums[v] = total
        following = builder.add(k, _index(1))
        k.add_incoming(following, loop)
        builder.cbranch(builder.icmp_signed("<", following, self.inner), loop, end)
        builder.position_at_end(end)
        for row, row_sums in zip(rows, sums, strict=True):
            for total, place in zip(row_sums, self._vectors(self._at(self.out, row, self.out_step)), strict=True):
                builder.store(total, place, align=4)

    def _carried(self, start, before):
        """Make a variable of the loop, which is ``start`` when it comes from the block ``before``."""
        phi = self.builder.phi(start.type)
        phi.add_incoming(start, before)
        return phi

    def _at(self, pointer, index, step):
        """Move a pointer by ``index`` steps of so many bytes."""
        offset = self.builder.mul(index, step)
        address = self.builder.add(self.builder.ptrtoint(pointer, _index), offset)
        return self.builder.inttoptr(address, _number.as_pointer())

    def _vectors(self, pointer):
        """Point to the vectors that lie side by side from ``pointer`` on."""
        pointer = self.builder.bitcast(pointer, _vector.as_pointer())
        return [self.builder.gep(pointer, [_index(v)]) for v in range(VECTORS)]

    def _spread(self, scalar):
        """Fill a vector with one number."""
        nothing = ir.Constant(_vector, ir.Undefined)
        first = self.builder.insert_element(nothing, scalar, ir.IntType(32)(0))
        return self.builder.shuffle_vector(
            first, nothing, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        )

    def _fma(self, x, y, z):
        """Compute ``x * y + z``, fused where the processor can."""
        product = self.builder.fmul(x, y, flags=("contract",))
        return self.builder.fadd(product, z, flags=("contract",))
