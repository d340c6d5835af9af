"""Which estimate belongs to which target."""

from itertools import permutations

import scipy
import torch
from torch import Tensor

# Beyond this many sources the C! orders cost more than the Hungarian algorithm.
MAX_ENUMERATED_SOURCES = 4


@torch.no_grad()
def best_order(scores: Tensor) -> Tensor:
    """Find the assignment with the highest sum of scores.

    All C! orders are compared up to C=4; beyond, the Hungarian algorithm finds the same assignment.

    Parameters
    ----------
    scores : Tensor
        [batch, C targets, C estimates]. NaN counts as 0: an estimate of NaN must reach the loss, where SpeechBrain
        counts it, and not stop the assignment.

    Returns
    -------
    Tensor
        [batch, C] of int64: estimate ``order[b, c]`` belongs to target ``c``.

    Example
    -------
    >>> best_order(torch.tensor([[[0.0, 9.0], [8.0, 9.5]]]))
    tensor([[1, 0]])
    """
    scores = torch.nan_to_num(scores)
    num_sources = scores.shape[-1]
    if num_sources > MAX_ENUMERATED_SOURCES:
        rows = [scipy.optimize.linear_sum_assignment(score, maximize=True)[1] for score in scores.cpu().numpy()]
        return torch.stack([torch.from_numpy(row) for row in rows]).to(scores.device)
    orders = torch.tensor(list(permutations(range(num_sources))), device=scores.device)
    totals = scores[:, torch.arange(num_sources), orders].sum(-1)  # [batch, C!]
    return orders[totals.argmax(1)]


def reorder(estimates: Tensor, permutation: Tensor) -> Tensor:
    """Put each estimate in the place of the target it belongs to.

    Parameters
    ----------
    estimates : Tensor
        [batch, time, C].
    permutation : Tensor
        [batch, C], as `best_permutation` returns it.

    Returns
    -------
    Tensor
        [batch, time, C].

    Example
    -------
    >>> reorder(torch.tensor([[[10, 20, 30]]]), torch.tensor([[2, 0, 1]]))
    tensor([[[30, 10, 20]]])
    """
    return estimates.gather(2, permutation.unsqueeze(1).expand_as(estimates))
