"""SpeechBrain's relative lengths, turned into counts and masks."""

import torch
from torch import Tensor


def valid_samples(lengths: Tensor, size: int) -> Tensor:
    """Convert relative lengths to numbers of samples, rounded as SpeechBrain rounds them.

    Parameters
    ----------
    lengths : Tensor
        [batch], in (0, 1].
    size : int
        Samples of the longest item, which 1 stands for.

    Returns
    -------
    Tensor
        [batch] of int64, at least 1.

    Example
    -------
    >>> valid_samples(torch.tensor([1.0, 0.5]), 7)
    tensor([7, 4])
    """
    return (lengths.double() * size).round().long().clamp(1, size)


def padding_mask(counts: Tensor, size: int) -> Tensor:
    """Return where each item of a padded batch has ended.

    Parameters
    ----------
    counts : Tensor
        [batch], valid steps of each item.
    size : int
        Steps of the padded batch.

    Returns
    -------
    Tensor
        [batch, size, 1] of bool, True on padding.

    Example
    -------
    >>> padding_mask(torch.tensor([3, 1]), 3).squeeze(2)
    tensor([[False, False, False],
            [False,  True,  True]])
    """
    return (torch.arange(size, device=counts.device) >= counts[:, None]).unsqueeze(2)
