"""Loops for GPUs, compiled by Triton, and what replaces them where they are wrong or slower."""

from speechbrain_tasnet.ops.gpu.blocks import Blocks as Blocks
