"""The optimizers that a recipe may name."""

from collections.abc import Iterable
from functools import partial

import torch
from torch import Tensor

from speechbrain_tasnet.training.muon import Muon

OPTIMIZERS = {"adam": partial(torch.optim.Adam, fused=True), "muon": partial(Muon, fused=True)}


def make_optimizer(params: Iterable[Tensor], name: str, lr: float) -> torch.optim.Optimizer:
    """Make an optimizer.

    Parameters
    ----------
    params : iterable of Tensor
        The weights.
    name : str
        ``adam``, or ``muon`` for the matrices, see `Muon`.
    lr : float
        Learning rate.

    Example
    -------
    >>> type(make_optimizer(torch.nn.Linear(3, 5).parameters(), "muon", lr=0.001)).__name__
    'Muon'
    """
    return OPTIMIZERS[name](params, lr=lr)
