"""Outputs that change places in the course of a recording, so that turns come to be where they belong."""

from collections.abc import Sequence

import numpy as np
import scipy
import torch
from torch import Tensor

from speechbrain_tasnet.speakers.turns import Turn

# From which frame on, and which output is in which place from there.
Orders = list[tuple[int, np.ndarray]]


def find_orders(
    turns: Sequence[Turn], wanted: Sequence[int], outputs: int, before: np.ndarray | None = None
) -> Orders:
    """Find the orders of outputs in which most turns are where they belong.

    Outputs change places no more often than they must, and none does where everybody is in place.

    Parameters
    ----------
    turns : sequence of Turn
        Where they are.
    wanted : sequence of int
        In which output each belongs.
    outputs : int
        How many there are.
    before : numpy.ndarray, optional
        The order before the first frame; as they are.

    Examples
    --------
    >>> find_orders([Turn(0, 0, 100), Turn(1, 120, 200)], [0, 2], outputs=3)
    [(0, array([0, 1, 2])), (120, array([0, 2, 1])), (200, array([0, 1, 2]))]
    """
    as_is: np.ndarray = np.arange(outputs)
    order = as_is if before is None else before
    orders: Orders = []
    for frame in sorted({0, *(turn.start for turn in turns), *(turn.end for turn in turns)}):
        agreement = np.zeros((outputs, outputs))  # [place, output]
        for turn, place in zip(turns, wanted, strict=True):
            agreement[place, turn.output] += turn.start <= frame < turn.end
        best = scipy.optimize.linear_sum_assignment(agreement, maximize=True)[1]
        # Of equally good ones the first is taken.
        order = max([as_is, order, best], key=lambda order: agreement[as_is, order].sum())
        if not orders or (order != orders[-1][1]).any():
            orders.append((frame, order))
    return orders


def in_orders(sources: Tensor, orders: Orders, hop: int, before: np.ndarray | None = None) -> Tensor:
    """Put sources in orders, each of which is faded into the next one within a frame.

    Parameters
    ----------
    sources : Tensor
        [channels, time, C].
    orders : list of tuple
        See `find_orders`; the first one begins at frame 0.
    hop : int
        Samples of a frame.
    before : numpy.ndarray, optional
        The order before the first frame, which is faded into that; by default the first one.

    Returns
    -------
    Tensor
        [channels, time, C].

    Examples
    --------
    >>> sources = torch.tensor([1.0, 2.0]).expand(1, 6, 2)
    >>> in_orders(sources, [(0, np.array([0, 1])), (1, np.array([1, 0]))], hop=2)[0].T
    tensor([[1.0000, 1.0000, 1.2500, 1.7500, 2.0000, 2.0000],
            [2.0000, 2.0000, 1.7500, 1.2500, 1.0000, 1.0000]])
    """
    moved = torch.empty_like(sources)
    rise = (torch.arange(hop) + 0.5).div(hop).unsqueeze(1)
    before = orders[0][1] if before is None else before
    ends = [frame for frame, _ in orders[1:]] + [sources.shape[1] // hop + 1]
    for (start, order), end in zip(orders, ends, strict=True):
        piece = sources[:, start * hop : end * hop]
        moved[:, start * hop : end * hop] = piece[..., order]
        fade = piece[:, :hop]
        meeting = slice(start * hop, start * hop + fade.shape[1])
        moved[:, meeting] = torch.lerp(fade[..., before], fade[..., order], rise[: fade.shape[1]])
        before = order
    return moved
