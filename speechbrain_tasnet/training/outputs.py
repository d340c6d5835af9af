"""A network with another number of sources that starts as the one that was trained."""

from collections.abc import Mapping

from torch import Tensor

# The one layer that knows how many sources there are.
MASK_LAYER = ("mask.weight", "mask.bias")


def refit(trained: Mapping[str, Tensor], fresh: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the mask layer for another number of sources.

    Existing outputs stay as they were, as many as are wanted. New ones are as they were drawn, about
    as loud as the others: one that begins quiet learns to separate in a whisper, which passes for silence.

    Parameters
    ----------
    trained, fresh : mapping of Tensor
        State dictionaries of both mask networks.

    Returns
    -------
    dict of Tensor
        Weight and bias of the layer.

    Example
    -------
    >>> import torch
    >>> trained = {"mask.weight": torch.ones(4, 3), "mask.bias": torch.ones(4)}
    >>> fresh = {"mask.weight": torch.zeros(6, 3), "mask.bias": torch.zeros(6)}
    >>> refit(trained, fresh)["mask.bias"]
    tensor([1., 1., 1., 1., 0., 0.])
    """
    layer = {name: fresh[name].clone() for name in MASK_LAYER}
    for name, values in layer.items():
        kept = min(len(values), len(trained[name]))
        values[:kept] = trained[name][:kept]
    return layer
