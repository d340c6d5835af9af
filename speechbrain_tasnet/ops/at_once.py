"""A function and its derivative in one pass."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from speechbrain_tasnet.ops.threads import alone


def at_once(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Compute a function and its derivative in one go, as `alone` as it is worth it.

    Autograd would compute the derivative later, with as many threads as the way back through the network.

    Parameters
    ----------
    function : callable
        From [batch, ...] to [batch]; must take each item by itself.
    x : Tensor
        [batch, ...].

    Returns
    -------
    Tensor
        [batch].

    Example
    -------
    >>> x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    >>> at_once(lambda x: x.square().sum(1), x).backward(torch.tensor([1.0, 10.0]))
    >>> x.grad
    tensor([[ 2.,  4.],
            [60., 80.]])
    """
    return _AtOnce.apply(function, x)


class _AtOnce(Function):
    @staticmethod
    def forward(ctx, function, x):
        needed = x.requires_grad
        # A derivative in half precision could vanish before it is scaled.
        leaf = x.detach().to(torch.promote_types(x.dtype, torch.float32)).requires_grad_(needed)
        with alone(x.numel()), torch.set_grad_enabled(needed):
            out = function(leaf)
            if needed:
                ctx.save_for_backward(*torch.autograd.grad(out.sum(), leaf))
        ctx.dtype = x.dtype
        return out.detach()

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        (derivative,) = ctx.saved_tensors
        with alone(derivative.numel()):
            return None, (derivative * grad.view(-1, *[1] * (derivative.ndim - 1))).to(ctx.dtype)
