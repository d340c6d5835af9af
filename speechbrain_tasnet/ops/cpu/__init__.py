"""Loops for CPUs, compiled by Numba."""

from speechbrain_tasnet.ops.cpu.blocks import Blocks as Blocks
from speechbrain_tasnet.ops.cpu.linear import product as product
from speechbrain_tasnet.ops.cpu.linear import product_over_rows as product_over_rows
from speechbrain_tasnet.ops.cpu.packed_weights import PackedNet as PackedNet
from speechbrain_tasnet.ops.cpu.products import half_is_fast as half_is_fast
