"""Check that a path through a block computes the same as the readable path on this device.

A random block of the network's own sizes is run forward and back by the path, by the readable one in the same
precision, and by the readable one in float64. A correct path may be a few times as far from the last as the
readable one is, so nobody has to know what a precision costs on which card, TF32 included.

In this block rounding costs little and a mistake much. The PReLUs come after biases of two or minus two,
several deviations away from the kink, where a rounded value may fall on the other side and its derivative is
another one. (A first try drew everything from normal distributions: correct bfloat16 kernels were then off by
anything from 1 % to 500 %.)

A kernel that reads or writes outside its memory cannot be detected here; it may end the process.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from speechbrain_tasnet.ops import reference
from speechbrain_tasnet.ops.block_weights import BlockWeights
from speechbrain_tasnet.ops.gpu import passes

ConvBlock = Callable[..., tuple[Tensor, Tensor]]

# How many times as far as the readable path another may be: orders of adding up differ.
FACTOR = 5.0
# Below this nothing is asked: rounding in float32, with a product's errors added up.
ROUNDING = 1e-5

BATCH, DILATION = 3, 2


class Kind(NamedTuple):
    """All that decides which machine code runs a block; a check of one block speaks for all of its kind."""

    device: torch.device
    dtype: torch.dtype  # of the input
    half: torch.dtype | None  # of the products, where autocast is on
    weights_dtype: torch.dtype
    causal: bool
    norm: str
    channels: int
    hidden: int
    kernel_size: int
    skip: int
    residual: bool

    @property
    def precision(self) -> str:
        """Name of the type that products are computed in."""
        return str(self.half or self.dtype).removeprefix("torch.")


class Errors(NamedTuple):
    """How far a path and the readable one are from the truth, as shares of it; NaN if there is one in a result."""

    path: float
    readable: float

    @property
    def tolerable(self) -> bool:
        """Whether the path is as good as the readable one, but for the order in which it adds up."""
        return self.path <= FACTOR * self.readable + ROUNDING


def kind_of(x: Tensor, weights: BlockWeights, causal: bool, norm: str) -> Kind:
    """Find the kind of a block.

    Example
    -------
    >>> from speechbrain_tasnet.network.tcn import ConvBlock
    >>> block = ConvBlock(8, 16, 4, kernel_size=3, dilation=2, norm="global", causal=False)
    >>> kind_of(torch.randn(2, 50, 8), block.weights(), False, "global")[5:]
    ('global', 8, 16, 3, 4, True)
    """
    device = x.device
    hidden, _, kernel_size = weights.taps.shape
    return Kind(
        device,
        x.dtype,
        torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else None,
        weights.taps.dtype,
        causal,
        norm,
        x.shape[2],
        hidden,
        kernel_size,
        0 if weights.skip_weight is None else len(weights.skip_weight),
        weights.residual_weight is not None,
    )


def compare(path: ConvBlock, kind: Kind) -> Errors:
    """Run a path and the readable one on the same small block, forward and back.

    Nothing of the caller's is touched: no random state, no autograd or autocast mode, and what comes of saved
    tensors, as in a checkpointed segment, does not learn of it. The settings of torch that say how products and
    sums are made are those that the path will run under.
    """
    with _own_modes(kind):
        with torch.device("cpu"):  # whatever the caller's default is
            inputs, valid, grads = _draw(kind)
        readable = _run(reference.conv_block, kind, inputs, valid, grads)
        mine = _run(path, kind, inputs, valid, grads)
        with torch.autocast(kind.device.type, enabled=False):
            truth = _run(reference.conv_block, kind, [t.double() for t in inputs], valid, grads)
        return Errors(_distance(mine, truth), _distance(readable, truth))


@contextmanager
def _own_modes(kind: Kind) -> Iterator[None]:
    # No more than these: torch compiles again for another mode, such as autocast without its cache. Of hooks for
    # saved tensors the innermost alone are called.
    same = saved_tensors_hooks(lambda tensor: tensor, lambda tensor: tensor)
    half = kind.half or torch.get_autocast_dtype(kind.device.type)
    products = torch.autocast(kind.device.type, half, enabled=kind.half is not None)
    with torch.inference_mode(False), torch.enable_grad(), same, products:
        yield


def _draw(kind: Kind) -> tuple[list[Tensor], Tensor, list[Tensor]]:
    """Draw input, skip path and weights, how many frames count, and the derivatives by both outputs.

    There are so many rows that each program of the kernels takes some, and some programs one more than others.
    """
    generator = torch.Generator().manual_seed(0)
    frames = passes.CHUNKS * max(1, passes.TILE // kind.hidden) // BATCH + 8
    valid = torch.tensor([frames, frames - 3, frames // 2])

    def normal(*shape: int, mean: float = 0.0, std: float = 0.3) -> Tensor:
        return mean + std * torch.randn(shape, generator=generator, dtype=torch.float64)

    H, P, rows = kind.hidden, kind.kernel_size, (BATCH, frames)
    outputs = [(kind.channels, kind.residual), (kind.skip, kind.skip > 0)]
    signs = 2.0 - 4 * (torch.arange(H) % 2)
    weights = [
        normal(H, kind.channels, std=0.3 * kind.channels**-0.5), signs, torch.full((1,), 0.25),
        normal(H, mean=1), normal(H), normal(H, 1, P, std=0.3 * P**-0.5), -signs, torch.full((1,), -0.3),
        normal(H, mean=1), normal(H),
    ]  # fmt: skip
    for channels, there in outputs:
        weights += [normal(channels, H, std=H**-0.5), normal(channels)] if there else []
    data = [normal(*rows, kind.channels, std=1), normal(*rows, kind.skip, std=1)]
    inputs = [tensor.to(kind.device, kind.dtype) for tensor in data]
    inputs += [tensor.to(kind.device, kind.weights_dtype) for tensor in weights]
    # The output beyond an item's end is undefined, and nothing comes back from there.
    counts = (torch.arange(frames) < valid[:, None]).unsqueeze(2)
    widths = kind.channels if kind.residual else 0, kind.skip
    grads = [(counts * normal(*rows, width, std=1)).to(kind.device) for width in widths]
    return inputs, valid.to(kind.device), grads


def _run(
    path: ConvBlock, kind: Kind, inputs: Sequence[Tensor], valid: Tensor, grads: Sequence[Tensor]
) -> list[Tensor]:
    """Return the outputs, where they are defined, and the derivatives by all inputs."""
    # As parameters, for which torch compiles other code than for tensors.
    data = [tensor.detach().clone().requires_grad_() for tensor in inputs[:2]]
    weights = [torch.nn.Parameter(tensor) for tensor in inputs[2:]]
    rest = iter(weights)
    there = [True] * 10 + [kind.residual] * 2 + [kind.skip > 0] * 2
    named = BlockWeights(*(next(rest) if wanted else None for wanted in there))
    outputs = path(*data, named, DILATION, kind.causal, kind.norm, valid)
    leaves = [*data, *weights]
    grads = [grad.to(output) for grad, output in zip(grads, outputs, strict=True)]
    derivatives = torch.autograd.grad(outputs, leaves, grads, allow_unused=True)
    counts = (torch.arange(data[0].shape[1], device=kind.device) < valid[:, None]).unsqueeze(2)
    results = [output.detach().masked_fill(~counts, 0) for output in outputs]
    return results + [torch.zeros_like(x) if d is None else d for x, d in zip(leaves, derivatives, strict=True)]


def _distance(results: Sequence[Tensor], truth: Sequence[Tensor]) -> float:
    """Return the largest distance of a result from the truth, as a share of the truth's length.

    A slope's derivative is one number, the small sum of many that cancel each other. It counts together with that
    of the bias before it, a sum of as many.
    """
    lengths: list[Tensor] = []  # squared, of the difference and of the truth
    for result, true in zip(results, truth, strict=True):
        squares = torch.stack([(result.double() - true).square().sum(), true.square().sum()])
        if true.numel() == 1:
            lengths[-1] += squares
        elif true.numel():
            lengths.append(squares)
    distance, length = torch.stack(lengths).sqrt().unbind(1)
    return (distance / length).max().item()  # NaN, where there is one
