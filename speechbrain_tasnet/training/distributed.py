"""Work divided among the processes of a distributed run, and its results gathered."""

import os
from collections.abc import Sized

import torch
import torch.distributed as dist


def processes() -> int:
    """Return how many processes train together.

    Example
    -------
    >>> processes()
    1
    """
    # Before they have found each other, as in `tasnet train --check`, it is what torchrun says.
    return dist.get_world_size() if dist.is_initialized() else int(os.environ.get("WORLD_SIZE", 1))


def rank() -> int:
    """Return which of them this is, from 0.

    Example
    -------
    >>> rank()
    0
    """
    return dist.get_rank() if dist.is_initialized() else int(os.environ.get("RANK", 0))


def first_on_its_machine() -> bool:
    """Return whether this process speaks for its machine.

    Example
    -------
    >>> first_on_its_machine()
    True
    """
    return int(os.environ.get("LOCAL_RANK", 0)) == 0


def share_of(dataset: Sized) -> range:
    """List the items that this process takes, every item falling to one process.

    SpeechBrain's samplers for training give some items twice, so that all processes make as many steps.

    Example
    -------
    >>> share_of("abc")
    range(0, 3)
    """
    if not dist.is_initialized():
        return range(len(dataset))
    return range(dist.get_rank(), len(dataset), dist.get_world_size())


def gather(values: list) -> list:
    """Join the lists that the processes hold; each gets the whole. All must call it.

    Example
    -------
    >>> gather([1, 2])
    [1, 2]
    """
    if not dist.is_initialized():
        return values
    parts: list = [None] * dist.get_world_size()
    dist.all_gather_object(parts, values)
    return [value for part in parts for value in part]


def anywhere(true: bool) -> bool:
    """Return whether something is true in any of the processes. All must call it.

    Example
    -------
    >>> anywhere(True)
    True
    """
    return bool(highest(true))


def highest(value: float) -> float:
    """Return the highest of the values that the processes hold. All must call it.

    Example
    -------
    >>> highest(0.5)
    0.5
    """
    return _reduced(value, dist.ReduceOp.MAX) if dist.is_initialized() else value


def total(value: float) -> float:
    """Return the sum of the values that the processes hold. All must call it.

    Example
    -------
    >>> total(0.5)
    0.5
    """
    return _reduced(value, dist.ReduceOp.SUM) if dist.is_initialized() else value


def _reduced(value: float, operation: dist.ReduceOp) -> float:
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    held = torch.tensor(value, dtype=torch.float64, device=device)
    dist.all_reduce(held, operation)
    return held.item()
