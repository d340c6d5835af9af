"""A network of another number of sources that begins as the one that was trained."""

from collections.abc import Mapping

from torch import Tensor

# The one layer that knows how many sources there are.
WEIGHT, BIAS = MASK_LAYER = ("mask.weight", "mask.bias")

# Of the scores of a new output: a sigmoid or softmax makes next to nothing of it, and yet it can learn.
QUIET = -4.0


def refit(trained: Mapping[str, Tensor], fresh: Mapping[str, Tensor], mask_activation: str) -> dict[str, Tensor]:
    """Return the mask layer for another number of sources.

    The outputs that were there go on as they were, as many as are wanted. New ones are quiet at first, but for a
    ReLU, which would not learn there: its are as they were drawn.

    Parameters
    ----------
    trained, fresh : mapping of Tensor
        State dictionaries of both mask networks.
    mask_activation : str
        Of both.

    Returns
    -------
    dict of Tensor
        Weight and bias of the layer.

    Example
    -------
    >>> import torch
    >>> trained = {"mask.weight": torch.ones(4, 3), "mask.bias": torch.ones(4)}
    >>> fresh = {"mask.weight": torch.zeros(6, 3), "mask.bias": torch.zeros(6)}
    >>> refit(trained, fresh, "sigmoid")["mask.bias"]
    tensor([ 1.,  1.,  1.,  1., -4., -4.])
    """
    layer = {name: fresh[name].clone() for name in MASK_LAYER}
    if mask_activation != "relu":
        layer[BIAS].fill_(QUIET)
    for name, values in layer.items():
        kept = min(len(values), len(trained[name]))
        values[:kept] = trained[name][:kept]
    return layer
