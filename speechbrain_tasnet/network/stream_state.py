"""A network's state, nested tuples of tensors, as a flat dictionary and back."""

from collections.abc import Callable, Iterator

from torch import Tensor


def named_tensors(state: tuple | Tensor, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Iterate over the tensors of a state, with names made of fields and positions.

    Example
    -------
    >>> import torch
    >>> [name for name, _ in named_tensors((torch.ones(1), (), (torch.ones(1),)))]
    ['0', '2.0']
    """
    if isinstance(state, Tensor):
        yield name, state
        return
    fields = getattr(state, "_fields", range(len(state)))
    for field, value in zip(fields, state, strict=True):
        yield from named_tensors(value, f"{name}.{field}" if name else str(field))


def map_tensors(
    function: Callable[[str, Tensor], Tensor], state: tuple | Tensor, name: str = ""
) -> tuple | Tensor:
    """Build a state of the same structure from what ``function`` makes of each name and tensor."""
    if isinstance(state, Tensor):
        return function(name, state)
    fields = getattr(state, "_fields", range(len(state)))
    values = [
        map_tensors(function, value, f"{name}.{field}" if name else str(field))
        for field, value in zip(fields, state, strict=True)
    ]
    return type(state)(*values) if hasattr(state, "_fields") else tuple(values)
