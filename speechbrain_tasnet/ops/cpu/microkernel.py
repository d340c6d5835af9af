"""A tile of a matrix product, held in the CPU's vector registers: faster than libraries for some products.

A few rows against a large weight leave no time to rearrange the weight at every call, which is what libraries do.
So it is stored in panels, as the tile reads it: `WIDTH` columns side by side, one inner index after the other.

The same tile multiplies pairs of bfloat16, see `bfloat16`: a pair has the size of a float32 number, and the dot
product of two pairs, where there is an instruction for it, takes the place of a multiplication.
"""

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_features = llvmlite.binding.get_host_cpu_features()
# float32 numbers in a vector register; and whether there are 32 registers or 16 of them.
LANES = 16 if _features.get("avx512f") else 8 if _features.get("avx") else 4
MOST_ROWS = 6
VECTORS = 4 if LANES == 16 else 2
WIDTH = VECTORS * LANES
# Whether there is an instruction that multiplies and adds pairs.
PAIRS = LANES == 16 and bool(_features.get("avx512bf16"))


@intrinsic
def tile(typing_context, x, row, rows, weight, panel, out, to):
    """Multiply ``rows`` rows of ``x``, at most MOST_ROWS from ``row`` on, by ``weight[panel]``.

    Writes as many rows of ``out`` from ``to`` on, in the columns of that panel. All arrays are of float32, or
    ``x`` is of bfloat16 and ``weight`` of pairs; ``x`` and ``out`` have two axes, of which the last is contiguous.
    """

    def generate(context, builder, signature, arguments):
        _, row, rows, _, panel, _, to = arguments
        x, weight, out = (ArrayIn(context, builder, signature, arguments, i) for i in (0, 3, 5))
        _Writer(
            builder,
            (x.at(row), x.steps[0], _index(4)),
            (weight.at(panel), weight.steps[1]),
            weight.shape[1],
            (out.at(to, builder.mul(panel, _index(WIDTH))), out.steps[0]),
            pairs=_of_pairs(signature.args[3]),
        ).write(rows)
        return context.get_dummy_value()

    return types.void(x, row, rows, weight, panel, out, to), generate


@intrinsic
def add_transposed_tile(typing_context, y, first, column, columns, panel, count, out, start):
    """Multiply the transpose of ``count`` rows of ``y``, from ``first`` on, by as many rows of ``panel``.

    Adds to ``out[column : column + columns, start : start + WIDTH]``, at most MOST_ROWS rows, what comes of the
    same columns of ``y``. All arrays have two axes, of which the last is contiguous, and are of float32, or ``y``
    and ``panel`` are of pairs, which count for one row.
    """

    def generate(context, builder, signature, arguments):
        _, first, column, columns, _, count, _, start = arguments
        y, panel, out = (ArrayIn(context, builder, signature, arguments, i) for i in (0, 4, 6))
        _Writer(
            builder,
            (y.at(first, column), _index(4), y.steps[0]),
            (panel.at(), panel.steps[0]),
            count,
            (out.at(column, start), out.steps[0]),
            add=True,
            pairs=_of_pairs(signature.args[4]),
        ).write(columns)
        return context.get_dummy_value()

    return types.void(y, first, column, columns, panel, count, out, start), generate


def _of_pairs(array: types.Array) -> bool:
    return isinstance(array.dtype, types.Integer)


_index, _number = ir.IntType(64), ir.FloatType()
_vector = ir.VectorType(_number, LANES)
_zeros = ir.Constant(_vector, [0.0] * LANES)
# In assembler: LLVM's own name for it takes other types in each version.
llvmlite.binding.initialize_native_asmparser()
DOT = ir.InlineAsm(ir.FunctionType(_vector, [_vector] * 3), "vdpbf16ps $3, $2, $0", "=v,0,v,v")


class ArrayIn:
    """One of the arrays that an intrinsic is given: where it lies in memory."""

    def __init__(self, context, builder, signature, arguments, i):
        array = context.make_array(signature.args[i])(context, builder, arguments[i])
        self.builder, self.data = builder, array.data
        self.steps = cgutils.unpack_tuple(builder, array.strides)  # bytes
        self.shape = cgutils.unpack_tuple(builder, array.shape)

    def at(self, *indices):
        """Point to an element, given its first indices."""
        pointer = self.data
        for index, step in zip(indices, self.steps, strict=False):
            pointer = move(self.builder, pointer, index, step)
        return pointer


def move(builder, pointer, index, step):
    """Move a pointer by ``index`` steps of so many bytes."""
    address = builder.add(builder.ptrtoint(pointer, _index), builder.mul(index, step))
    return builder.inttoptr(address, _number.as_pointer())


class _Writer:
    """Writes a loop over the inner index ``k``, unrolled over rows and vectors.

    Parameters
    ----------
    x : tuple
        Pointer to the rows' first numbers, bytes from row to row and from ``k`` to ``k + 1``.
    weight : tuple
        Pointer to the panel, bytes from ``k`` to ``k + 1``.
    inner
        How many ``k`` there are, at least one.
    out : tuple
        Pointer to the first of the panel's columns, bytes from row to row.
    add : bool
        Whether to add to what is there.
    pairs : bool
        Whether numbers of the factors are pairs. They are moved about as float32, whatever that reads in them.
    """

    def __init__(self, builder, x, weight, inner, out, add=False, pairs=False):
        self.builder, self.inner, self.add = builder, inner, add
        self.multiply_add = self._dot if pairs else self._fma
        self.x, self.x_row, self.x_step = x
        self.weight, self.weight_step = weight
        self.out, self.out_row = out

    def write(self, rows):
        """Append a loop for each number of rows to the current block, and the choice between them."""
        done = self.builder.append_basic_block("done")
        choice = self.builder.switch(rows, done)
        for count in range(1, MOST_ROWS + 1):
            choice.add_case(ir.Constant(rows.type, count), self.builder.append_basic_block(f"rows{count}"))
            self.builder.position_at_end(choice.cases[-1][1])
            self._write(count)
            self.builder.branch(done)
        self.builder.position_at_end(done)

    def _write(self, count):
        builder, before = self.builder, self.builder.block
        places = [self._vectors(move(builder, self.out, _index(r), self.out_row)) for r in range(count)]
        starts = [[builder.load(p, align=4) if self.add else _zeros for p in row] for row in places]
        loop, end = (builder.append_basic_block(name) for name in ("loop", "end"))
        builder.branch(loop)
        builder.position_at_end(loop)
        k = self._carried(_index(0), before)
        sums = [[self._carried(start, before) for start in row] for row in starts]
        here = move(builder, self.weight, k, self.weight_step)
        weights = [builder.load(vector, align=4) for vector in self._vectors(here)]
        numbers = move(builder, self.x, k, self.x_step)
        for r, row_sums in enumerate(sums):
            scalar = self._spread(builder.load(move(builder, numbers, _index(r), self.x_row)))
            for v in range(VECTORS):
                total = self.multiply_add(scalar, weights[v], row_sums[v])
                row_sums[v].add_incoming(total, loop)
                row_sums[v] = total
        following = builder.add(k, _index(1))
        k.add_incoming(following, loop)
        builder.cbranch(builder.icmp_signed("<", following, self.inner), loop, end)
        builder.position_at_end(end)
        for row_sums, row in zip(sums, places, strict=True):
            for total, place in zip(row_sums, row, strict=True):
                builder.store(total, place, align=4)

    def _carried(self, start, before):
        """Make a variable of the loop, which is ``start`` when it comes from the block ``before``."""
        phi = self.builder.phi(start.type)
        phi.add_incoming(start, before)
        return phi

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

    def _dot(self, x, y, z):
        """Add the products of pairs to ``z``."""
        return self.builder.call(DOT, [z, x, y])
