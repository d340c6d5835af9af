"""Products of bfloat16 by Intel's matrix instructions (AMX): sixteen times as many multiplications a cycle.

A tile register holds 16 rows of 64 bytes. Four of them add up a block of 32 rows and 32 columns of the result, in
float32; for each 32 inner indices two are filled from one factor and two from the other, in which pairs of inner
indices lie side by side: see `pairs`.
"""

import ctypes
import sys
from functools import cache

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from speechbrain_tasnet.ops.cpu.compile import bits_of_bfloat16, serial
from speechbrain_tasnet.ops.cpu.microkernel import ArrayIn, move

BLOCK = 32  # rows and columns of a block, and inner indices of a step
ROWS_OF_TILE, BYTES_OF_ROW = 16, 64
# What Linux is asked for before a process may use tile registers.
ARCH_PRCTL, REQUEST_PERMISSION, TILE_DATA = 158, 0x1023, 18


@cache
def available() -> bool:
    """Return whether this processor has the instructions and this process may use them."""
    features = llvmlite.binding.get_host_cpu_features()
    if not (features.get("amx-tile") and features.get("amx-bf16") and sys.platform == "linux"):
        return False
    return ctypes.CDLL(None).syscall(ARCH_PRCTL, REQUEST_PERMISSION, TILE_DATA) == 0


def whole_blocks(size: int) -> int:
    """Round up to whole blocks."""
    return -(-size // BLOCK) * BLOCK


@serial
def pairs(x, row, rows, columns, out, width):
    """Lay out rows of ``x`` as ``out`` [pairs of rows, width] of two bfloat16 each; zeros fill the others."""
    for pair in range(len(out)):
        first, second = 2 * pair < rows, 2 * pair + 1 < rows
        for c in range(columns):
            low = bits_of_bfloat16(x[row + 2 * pair, c]) if first else np.uint32(0)
            high = bits_of_bfloat16(x[row + 2 * pair + 1, c]) if second else np.uint32(0)
            out[pair, c] = low | (high << np.uint32(16))
        for c in range(columns, width):
            out[pair, c] = 0


@serial
def pairs_of_columns(x, gain, out):
    """Lay out the transpose of ``x`` [columns, inner], each column of that times ``gain``, as `pairs` does."""
    columns, inner = x.shape
    for pair in range(len(out)):
        first, second = 2 * pair < inner, 2 * pair + 1 < inner
        for c in range(columns):
            low = bits_of_bfloat16(x[c, 2 * pair] * gain[2 * pair]) if first else np.uint32(0)
            high = bits_of_bfloat16(x[c, 2 * pair + 1] * gain[2 * pair + 1]) if second else np.uint32(0)
            out[pair, c] = low | (high << np.uint32(16))
        for c in range(columns, out.shape[1]):
            out[pair, c] = 0


@serial
def round_rows(x, row, rows, out, width):
    """Round rows of ``x`` to bfloat16, with zeros behind its columns, up to ``width``."""
    for r in range(rows):
        for c in range(min(x.shape[1], width)):
            out[r, c] = bits_of_bfloat16(x[row + r, c])
        for c in range(x.shape[1], width):
            out[r, c] = 0


@serial
def transpose(pairs, first, count, out):
    """Turn ``count`` columns of what `pairs` makes, from ``first`` on, into rows of ``out``."""
    for c in range(count):
        for pair in range(out.shape[1]):
            out[c, pair] = pairs[pair, first + c]


def _block(add: bool):
    @intrinsic
    def block(typing_context, x, row, weight, column, steps, out, to):
        """Multiply BLOCK rows of ``x`` by BLOCK columns of ``weight``, in so many steps, into ``out``.

        ``x`` is [rows, inner] of bfloat16 and ``weight`` what `pairs` makes; ``out`` gets the block in the same
        columns, from row ``to`` on. Must stand between `begin` and `end`.
        """

        def generate(context, builder, signature, arguments):
            _, row, _, column, steps, _, to = arguments
            x, weight, out = (ArrayIn(context, builder, signature, arguments, i) for i in (0, 2, 5))
            _Block(builder).write(
                (x.at(row), x.steps[0]), (weight.at(_index(0), column), weight.steps[0]), steps,
                (out.at(to, column), out.steps[0]), add,
            )  # fmt: skip
            return context.get_dummy_value()

        return types.void(x, row, weight, column, steps, out, to), generate

    return block


block, add_block = _block(add=False), _block(add=True)


@intrinsic
def begin(typing_context, config):
    """Let this thread use tiles as ``config``, which is `CONFIG`, describes them."""

    def generate(context, builder, signature, arguments):
        config = ArrayIn(context, builder, signature, arguments, 0).at()
        _call(builder, "ldtilecfg", builder.bitcast(config, _byte.as_pointer()))
        return context.get_dummy_value()

    return types.void(config), generate


@intrinsic
def end(typing_context):
    """Let go of the tiles: whoever switches threads must save what they hold."""

    def generate(context, builder, signature, arguments):
        _call(builder, "tilerelease")
        return context.get_dummy_value()

    return types.void(), generate


_index, _byte = ir.IntType(64), ir.IntType(8)

# Which kind of tiles there are: all of full size. Layout: kind, 15 bytes, bytes of a row (16 times 2), rows (16).
CONFIG = np.zeros(64, np.uint8)
CONFIG[0] = 1
CONFIG[16:32:2] = BYTES_OF_ROW
CONFIG[48:56] = ROWS_OF_TILE


class _Block:
    def __init__(self, builder):
        self.builder = builder

    def write(self, x, weight, steps, out, add):
        """Append the loop over the inner index."""
        builder = self.builder
        (x, x_row), (weight, weight_row), (out, out_row) = x, weight, out
        half = _index(ROWS_OF_TILE)
        corners = [
            move(builder, move(builder, out, _index(r * ROWS_OF_TILE), out_row), _index(c), _index(BYTES_OF_ROW))
            for r in range(2)
            for c in range(2)
        ]
        for tile, corner in enumerate(corners):
            if add:
                self._load(tile, corner, out_row)
            else:
                _call(self.builder, "tilezero", _byte(tile))
        loop, end = (builder.append_basic_block(name) for name in ("loop", "end"))
        before = builder.block
        builder.branch(loop)
        builder.position_at_end(loop)
        k = builder.phi(_index)
        k.add_incoming(_index(0), before)
        rows = move(builder, x, k, _index(BYTES_OF_ROW))
        columns = move(builder, weight, builder.mul(k, half), weight_row)
        self._load(4, rows, x_row)
        self._load(5, move(builder, rows, half, x_row), x_row)
        self._load(6, columns, weight_row)
        self._load(7, move(builder, columns, _index(1), _index(BYTES_OF_ROW)), weight_row)
        for tile in range(4):
            _call(self.builder, "tdpbf16ps", _byte(tile), _byte(4 + tile // 2), _byte(6 + tile % 2))
        following = builder.add(k, _index(1))
        k.add_incoming(following, loop)
        builder.cbranch(builder.icmp_signed("<", following, steps), loop, end)
        builder.position_at_end(end)
        for tile, corner in enumerate(corners):
            _call(self.builder, "tilestored64", _byte(tile), builder.bitcast(corner, _byte.as_pointer()), out_row)

    def _load(self, tile, pointer, stride):
        _call(self.builder, "tileloadd64", _byte(tile), self.builder.bitcast(pointer, _byte.as_pointer()), stride)


def _call(builder, name, *arguments):
    kind = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
    builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.{name}"), arguments)
