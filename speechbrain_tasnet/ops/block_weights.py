"""The weights of a convolutional block and of a mask network, by name."""

from typing import NamedTuple

from torch import Tensor


class BlockWeights(NamedTuple):
    """The weights of a convolutional block, in the order in which it uses them.

    ``expand_weight`` [hidden, channels], ``taps`` [hidden, 1, P], ``residual_weight`` [channels, hidden],
    ``skip_weight`` [skip channels, hidden], slopes [1]; gains and shifts of the norms and all biases as long as
    what they belong to. What belongs to a path that the block does not have is None.
    """

    expand_weight: Tensor
    expand_bias: Tensor
    slope1: Tensor
    gain1: Tensor
    shift1: Tensor
    taps: Tensor
    taps_bias: Tensor
    slope2: Tensor
    gain2: Tensor
    shift2: Tensor
    residual_weight: Tensor | None
    residual_bias: Tensor | None
    skip_weight: Tensor | None
    skip_bias: Tensor | None


class MaskWeights(NamedTuple):
    """The weights of a mask network in the order in which it uses them; ``blocks`` are its `BlockWeights`."""

    gain: Tensor
    shift: Tensor
    bottleneck_weight: Tensor
    bottleneck_bias: Tensor
    blocks: list[BlockWeights]
    slope: Tensor
    mask_weight: Tensor
    mask_bias: Tensor
