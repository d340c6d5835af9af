"""What the sweeps over a block are given."""

from typing import NamedTuple

from torch import Tensor


class Activation(NamedTuple):
    """``((prelu(x + bias) - mean) * rstd) * gain + shift``, known by its parts and never written to memory.

    ``x`` is [batch, frames, channels], ``mean`` and ``rstd`` are [batch, frames], ``slope`` is [1], the others
    are [channels].
    """

    x: Tensor
    bias: Tensor
    slope: Tensor
    mean: Tensor
    rstd: Tensor
    gain: Tensor
    shift: Tensor


class Taps(NamedTuple):
    """A depthwise convolution: ``weight`` [channels, 1, P], ``bias`` [channels], zeros on the left."""

    weight: Tensor
    bias: Tensor
    left: int
    dilation: int
