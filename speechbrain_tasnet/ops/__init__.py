"""The network's mathematics as plain functions of tensors; data is [batch, frames, channels] throughout."""

from speechbrain_tasnet.ops.handwritten import depthwise, prelu
from speechbrain_tasnet.ops.naive import channelwise_norm, cumulative_norm, decode, encode, global_norm

__all__ = ["channelwise_norm", "cumulative_norm", "decode", "depthwise", "encode", "global_norm", "prelu"]
