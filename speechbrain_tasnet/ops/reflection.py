"""Padding by reflection beyond the ends of a signal; data is [batch, frames, channels]."""

import torch
from torch import Tensor


def reflect(x: Tensor, reach: int, valid: Tensor | None = None) -> Tensor:
    """Lengthen items by their own reflection at their first and last frame, half of it on either side.

    Parameters
    ----------
    x : Tensor
        [batch, frames, channels].
    reach : int
        Frames to add.
    valid : Tensor, optional
        [batch] of int, the frames that each item has; None: all of them.

    Returns
    -------
    Tensor
        [batch, frames + reach, channels]; where an item is shorter than its reflection, that is reflected again.

    Example
    -------
    >>> reflect(torch.tensor([1, 2, 3]).reshape(1, 3, 1), reach=6).flatten()
    tensor([2, 3, 2, 1, 2, 3, 2, 1, 2])
    """
    frames = x.shape[1]
    last = x.new_full((x.shape[0], 1), frames - 1, dtype=torch.int64) if valid is None else valid.unsqueeze(1) - 1
    period = (2 * last).clamp(min=1)  # there and back
    index = torch.arange(-(reach // 2), frames + reach - reach // 2, device=x.device) % period
    index = torch.minimum(index, period - index)  # [batch, frames + reach]
    return x.gather(1, index.unsqueeze(2).expand(-1, -1, x.shape[2]))
