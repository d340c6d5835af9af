"""Products of bfloat16 by Intel's matrix instructions (AMX): sixteen times as many multiplications a cycle.

A tile register holds 16 rows of 64 bytes. Four of them add up a block of 32 rows and 32 columns of the result, in
float32; for each 32 inner indices two are filled from one factor and two from the other, a panel of pairs.
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

from speechbrain_tasnet.ops.cpu.microkernel import ArrayIn, move

BLOCK = 32  # rows and columns of a block, and inner indices of a step
ROWS_OF_TILE, BYTES_OF_ROW = 16, 64
# What Linux is asked for before a process may use tile registers.
ARCH_PRCTL, REQUEST_PERMISSION, TILE_DATA = 158, 0x1023, 18

_features = llvmlite.binding.get_host_cpu_features()
# Whether this processor has the instructions.
HERE = bool(_features.get("amx-tile") and _features.get("amx-bf16")) and sys.platform == "linux"


@cache
def permitted() -> bool:
    """Return whether this process may use them."""
    return HERE and ctypes.CDLL(None).syscall(ARCH_PRCTL, REQUEST_PERMISSION, TILE_DATA) == 0


def whole_blocks(size: int) -> int:
    """Round up to whole blocks."""
    return -(-size // BLOCK) * BLOCK


def _block(add: bool):
    @intrinsic
    def block(typing_context, x, row, panels, panel, column, steps, out, to, start):
        """Multiply BLOCK rows of ``x`` by BLOCK columns of a panel, in so many steps, into ``out[to:, start:]``.

        ``x`` is [rows, inner] of bfloat16, ``panels`` [panels, pairs, WIDTH], or a panel alone. Must stand between
        `begin` and `end`.
        """

        def generate(context, builder, signature, arguments):
            _, row, _, panel, column, steps, _, to, start = arguments
            x, panels, out = (ArrayIn(context, builder, signature, arguments, i) for i in (0, 2, 6))
            place = (panel, _index(0), column)[-len(panels.steps) :]
            _Block(builder).write(
                (x.at(row), x.steps[0]), (panels.at(*place), panels.steps[-2]), steps,
                (out.at(to, start), out.steps[0]), add,
            )  # fmt: skip
            return context.get_dummy_value()

        return types.void(x, row, panels, panel, column, steps, out, to, start), generate

    return block


block, add_block = _block(add=False), _block(add=True)


@intrinsic
def begin(typing_context, config):
    """Configure the tiles of this thread as ``config``, which is `CONFIG`, describes them."""

    def generate(context, builder, signature, arguments):
        config = ArrayIn(context, builder, signature, arguments, 0).at()
        _call(builder, "ldtilecfg", builder.bitcast(config, _byte.as_pointer()))
        return context.get_dummy_value()

    return types.void(config), generate


@intrinsic
def end(typing_context):
    """Release the tiles: a switch of threads would have to save their content."""

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
