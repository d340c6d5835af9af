"""Loops for graphics cards, compiled by Triton, and what takes their place where they are wrong or slower."""

from speechbrain_tasnet.ops.gpu.blocks import Blocks as Blocks
