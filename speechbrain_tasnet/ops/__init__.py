"""The network's mathematics as plain functions of tensors; data is [batch, frames, channels] throughout.

`naive` is the truth, written to be read. Where a faster path stands beside it, the functions here choose.
"""

import torch
from torch import Tensor

from speechbrain_tasnet.ops import fused, naive
from speechbrain_tasnet.ops.naive import (
    BlockWeights,
    channelwise_norm,
    cumulative_norm,
    decode,
    depthwise,
    encode,
    global_norm,
    prelu,
)
def conv_block(x, skip, weights, dilation, causal, norm, valid=None):
    if valid is None:
        valid = torch.full((len(x),), x.shape[1])
    return fused.conv_block(x, skip, weights, dilation, causal, norm, valid)
