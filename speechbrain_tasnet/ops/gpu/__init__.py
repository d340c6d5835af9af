"""Loops for graphics cards, compiled by Triton."""

from speechbrain_tasnet.ops.gpu.block import conv_block as conv_block
