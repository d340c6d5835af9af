"""Muon: orthogonalised steps of matrices."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import torch
from torch import Tensor

from speechbrain_tasnet.ops.dispatch import find_loops
from speechbrain_tasnet.ops.threads import pool

# Keller Jordan's quintic, https://kellerjordan.github.io/posts/muon: five rounds bring singular values from 0.001
# on into the range from 0.7 to 1.2. Closer to one would take more rounds, and is of no use.
QUINTIC = (3.4445, -4.7750, 2.0315)
ROUNDS = 5


class Muon(torch.optim.Adam):
    """Steps of matrices by Muon, those of all other weights by Adam.

    A gradient's matrix has few large singular values, and Adam's step little more: it turns the weight towards a
    few directions. Muon replaces the singular values of the averaged gradient by ones, so that all directions are
    learnt at the same rate. It is for weights that map many channels to many; filters and gains are Adam's.

    Parameters
    ----------
    params : iterable of Tensor
        The weights. Those of two axes are matrices.
    lr : float
        Learning rate of all, as Adam takes it.
    momentum : float
        Share of the averaged gradient that is kept in a step, with Nesterov's look ahead.
    rms : float
        Root mean square of the numbers in a matrix's step, for a learning rate of one. Adam's are at 0.2 to 0.4.
    **adam
        Arguments of `torch.optim.Adam`.

    Example
    -------
    >>> linear = torch.nn.Linear(3, 5)
    >>> optimizer = Muon(linear.parameters(), lr=0.5, rms=0.4)
    >>> before = linear.weight.detach().clone()
    >>> linear(torch.randn(7, 3)).square().sum().backward()
    >>> optimizer.step()
    >>> bool(0.1 < (linear.weight - before).square().mean().sqrt() < 0.3)
    True
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        momentum: float = 0.95,
        rms: float = 0.4,
        **adam: object,
    ):
        weights = list(params)
        others = [weight for weight in weights if weight.ndim != 2]
        matrices = [weight for weight in weights if weight.ndim == 2]
        groups = [{"params": group} for group in (others, matrices) if group]
        super().__init__(groups, lr=lr, **adam)
        self.momentum, self.rms = momentum, rms
        self._threads = torch.get_num_threads()  # of the training, which lets an optimizer have one

    @torch.no_grad()
    def step(self, closure: Callable | None = None) -> None:
        """Take a step; ``closure`` is refused, as nothing of the kind is needed here."""
        if closure is not None:
            raise TypeError("closure: Muon takes none")
        groups = self.param_groups
        on_processor = groups[0]["params"][0].device.type == "cpu"
        threads = self._threads if on_processor else 1
        tasks = [partial(self._step_together, *work) for work in self._work(threads)]
        tasks.append(super().step)
        self.param_groups = [group for group in groups if group["params"][0].ndim != 2]
        try:
            if threads == 1:
                for task in tasks:
                    task()
            else:  # each task on one thread
                list(pool(threads).map(lambda task: task(), tasks))
        finally:
            self.param_groups = groups

    def _work(self, threads: int) -> Iterator[tuple[list[Tensor], float]]:
        """Give matrices of one shape, of each shape about as many to each thread, and their learning rate."""
        for group in self.param_groups:
            by_shape = defaultdict(list)
            for weight in group["params"]:
                if weight.ndim == 2 and weight.grad is not None:
                    by_shape[weight.shape].append(weight)
            for weights in by_shape.values():
                count = math.ceil(len(weights) / threads)
                for first in range(0, len(weights), count):
                    yield weights[first : first + count], group["lr"]

    @torch.no_grad()
    def _step_together(self, weights: list[Tensor], lr: float) -> None:
        """Take the step of matrices of one shape."""
        gradients = [weight.grad for weight in weights]
        averages = [self._momentum_of(weight) for weight in weights]
        torch._foreach_mul_(averages, self.momentum)
        torch._foreach_add_(averages, gradients)
        ahead = torch._foreach_add(gradients, averages, alpha=self.momentum)
        steps = orthogonal(torch.stack(ahead), _fast_type(weights[0].device))
        # An orthogonal matrix of n columns and at most as many rows has numbers of mean square 1 / n.
        size = self.rms * math.sqrt(max(weights[0].shape))
        torch._foreach_add_(weights, list(steps.unbind()), alpha=-lr * size)

    def _momentum_of(self, weight: Tensor) -> Tensor:
        state = self.state[weight]
        if not state:  # Adam looks for a count of steps when it resumes
            state |= {"step": torch.tensor(0.0), "momentum": torch.zeros_like(weight)}
        return state["momentum"]


@torch.no_grad()
def orthogonal(matrices: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Bring all singular values of matrices close to one by Newton-Schulz iteration.

    Parameters
    ----------
    matrices : Tensor
        [count, rows, columns].
    dtype : torch.dtype
        Of the products; bfloat16 is good enough, because a step need not be exactly orthogonal.

    Returns
    -------
    Tensor
        The same shape and type.

    Example
    -------
    >>> values = torch.linalg.svdvals(orthogonal(torch.randn(2, 6, 4)))
    >>> bool((values > 0.5).all() and (values < 1.5).all())
    True
    """
    wide = matrices.shape[2] >= matrices.shape[1]
    x = matrices if wide else matrices.mT
    x = (x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)).to(dtype)
    a, b, c = QUINTIC
    for _ in range(ROUNDS):
        square = x @ x.mT
        # a x + (b square + c square^2) x
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return (x if wide else x.mT).to(matrices.dtype)


def _fast_type(device: torch.device) -> torch.dtype:
    """Return the type in which products are fast on a device: bfloat16 without instructions for it is slow."""
    if device.type == "cpu":
        loops = find_loops(torch.ones(1))
        return torch.bfloat16 if loops is not None and loops.half_is_fast() else torch.float32
    return torch.bfloat16
