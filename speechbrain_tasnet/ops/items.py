"""Pass the items of a batch through a network in one thread each, forward and back."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from speechbrain_tasnet.ops.threads import WORTH_IT, alone, pool, settings_here


def for_items(batch: int, device: torch.device) -> int:
    """Return how many threads should take whole items of a batch by themselves: one if that gains nothing.

    It is where there are enough items. Threads that share an item wait for each other after each small step, and
    if another program needs a processor, all wait for the one that it delays.
    """
    threads = min(torch.get_num_threads(), batch)
    rounds = -(-batch // threads) if threads else 1
    busy = batch / (rounds * torch.get_num_threads())
    return threads if device.type == "cpu" and busy >= WORTH_IT else 1


def over_items(
    function: Callable[..., Tensor], threads: int, items: Sequence[Tensor | None], weights: Sequence[Tensor]
) -> Tensor:
    """Compute ``function`` for each item of a batch, and its derivatives, in several threads.

    Parameters
    ----------
    function : callable
        From items [1, ...] of each of ``items`` to [1, ...]; must depend on nothing that has a derivative but
        these and ``weights``.
    threads : int
        How many. Each computes on one thread.
    items : sequence of Tensor
        [batch, ...] each, or None, which is passed on.
    weights : sequence of Tensor
        What the function uses besides. Their derivatives are summed up in the order of the items, so that results
        do not depend on which thread is faster.

    Returns
    -------
    Tensor
        [batch, ...].

    Example
    -------
    >>> x, weight = torch.ones(3, 2), torch.tensor(2.0, requires_grad=True)
    >>> y = over_items(lambda item: item * weight, 2, [x], [weight])
    >>> y.sum().backward()
    >>> y.shape, weight.grad
    (torch.Size([3, 2]), tensor(6.))
    """
    tensors = [*items, *weights]
    keep = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)
    return _OverItems.apply(function, threads, len(items), keep, *tensors)


class _OverItems(Function):
    @staticmethod
    def forward(ctx, function, threads, count, keep, *tensors):
        items, ctx.weights = tensors[:count], [w for w in tensors[count:] if w.requires_grad]
        ctx.needed = [item is not None and item.requires_grad for item in items]
        batch = next(len(item) for item in items if item is not None)
        settings = settings_here()

        def run(i):
            with settings(), torch.set_grad_enabled(keep):
                parts = [None if item is None else item[i : i + 1].detach() for item in items]
                for part, needed in zip(parts, ctx.needed, strict=True):
                    if needed:
                        part.requires_grad_()
                return parts, function(*parts)

        ctx.done = _map(run, batch, threads)
        ctx.threads = threads
        ctx.places = [i for i, tensor in enumerate(tensors) if i >= count and tensor.requires_grad]
        ctx.total = len(tensors)
        outputs = [out.detach() for _, out in ctx.done]
        if not keep:
            ctx.done = []
        return torch.cat(outputs)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        kept = _kept()

        def run(i):
            if ctx.done[i] is None:
                raise RuntimeError("a second backward through the same graph: the first needs retain_graph=True")
            parts, out = ctx.done[i]
            if not kept:
                ctx.done[i] = None  # so that its memory is free as soon as it is used
            leaves = [part for part, needed in zip(parts, ctx.needed, strict=True) if needed]
            return torch.autograd.grad(
                out, [*leaves, *ctx.weights], grad[i : i + 1], retain_graph=kept, allow_unused=True
            )

        results = _map(run, len(ctx.done), ctx.threads)
        with alone():
            return None, None, None, None, *_join_gradients(ctx, results)


def _join_gradients(ctx, results: Sequence[Sequence[Tensor | None]]) -> list[Tensor | None]:
    """Stack the derivatives by items, and sum those by weights in the order of the items."""
    grads: list[Tensor | None] = [None] * ctx.total
    wanted = [i for i, needed in enumerate(ctx.needed) if needed]
    for i, of_items in zip(wanted, zip(*results, strict=True), strict=False):
        grads[i] = torch.cat(of_items)
    of_weights = zip(*(result[len(wanted) :] for result in results), strict=True)
    for place, of_items in zip(ctx.places, of_weights, strict=True):
        used = [g for g in of_items if g is not None]
        if used:
            total = used[0] if len(used) == 1 else used[0] + used[1]
            for more in used[2:]:
                total += more
            grads[place] = total
    return grads


def _kept() -> bool:
    """Return whether the derivative that is being computed is to be computed again, as by ``retain_graph``."""
    asked = getattr(torch._C._autograd, "_get_current_graph_task_keep_graph", None)
    return asked is not None and asked()


def _map(run: Callable[[int], object], count: int, threads: int) -> list:
    return list(pool(threads).map(run, range(count)))
