"""What tells the norms apart: how mean and deviation of a row follow from the moments of rows.

A row is one frame's channels. Given mean and variance of each row, [batch, frames], and how many frames of each
item are ``valid``, [batch], `spread` tells the mean and the reciprocal deviation to normalise each
row with, and `spread_backward` takes the derivative back through them. All in float64: there are few rows.
"""

import torch
from torch import Tensor

from speechbrain_tasnet.ops.moments import cumulative_moments, no_moments
from speechbrain_tasnet.ops.naive import EPS


def _global(mean: Tensor, variance: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    count = valid.unsqueeze(1)
    overall = mean.sum(1, keepdim=True) / count
    square = torch.addcmul(variance, mean, mean).sum(1, keepdim=True) / count
    rstd = (square - overall.square() + EPS).rsqrt()
    return overall.expand_as(mean), rstd.expand_as(mean)


def _global_backward(d_mean, d_variance, row_mean, mean, valid) -> tuple[Tensor, Tensor]:
    count = valid.unsqueeze(1)
    d_square = d_variance.sum(1, keepdim=True) / count
    d_row_mean = d_mean.sum(1, keepdim=True) / count + 2 * d_square * (row_mean - mean)
    return d_row_mean, d_square.expand_as(mean)


def _channelwise(mean: Tensor, variance: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    return mean, (variance + EPS).rsqrt()


def _channelwise_backward(d_mean, d_variance, row_mean, mean, valid) -> tuple[Tensor, Tensor]:
    return d_mean, d_variance


def _cumulative(mean: Tensor, variance: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    mean_so_far, variance_so_far = cumulative_moments(mean, variance, no_moments(len(mean), mean.device))
    return mean_so_far, (variance_so_far + EPS).rsqrt()


def _cumulative_backward(d_mean, d_variance, row_mean, mean, valid) -> tuple[Tensor, Tensor]:
    # What a frame does to all that come after it.
    seen = torch.arange(1, mean.shape[1] + 1, device=mean.device)
    d_square = _sums_from_here(d_variance / seen)
    d_row_mean = _sums_from_here((d_mean - 2 * d_variance * mean) / seen) + 2 * d_square * row_mean
    return d_row_mean, d_square


def _sums_from_here(x: Tensor) -> Tensor:
    return x.flip(1).cumsum(1).flip(1)


_SPREAD = {"global": _global, "channelwise": _channelwise, "cumulative": _cumulative}
_SPREAD_BACKWARD = {
    "global": _global_backward,
    "channelwise": _channelwise_backward,
    "cumulative": _cumulative_backward,
}


def spread(norm: str, mean: Tensor, variance: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Tell with which mean and reciprocal deviation a norm normalises each row.

    Parameters
    ----------
    norm : str
        ``global``, ``cumulative`` or ``channelwise``.
    mean, variance : Tensor
        [batch, frames], of the channels of each row; 0 where an item has ended.
    valid : Tensor
        [batch] of int, the frames that each item has.

    Returns
    -------
    tuple of Tensor
        [batch, frames] each.
    """
    results = _SPREAD[norm](mean.double(), variance.double(), valid)
    return tuple(result.to(mean.dtype).contiguous() for result in results)


def spread_backward(
    norm: str,
    total: Tensor,
    product: Tensor,
    row_mean: Tensor,
    mean: Tensor,
    rstd: Tensor,
    valid: Tensor,
    size: int,
) -> tuple[Tensor, Tensor]:
    """Take the derivative of a norm to what it adds to each row.

    Parameters
    ----------
    norm : str
        As for `spread`.
    total, product : Tensor
        [batch, frames], the sums over the channels of ``dn`` and of ``dn * n``, where ``n = (a - mean) * rstd``
        are the normalised rows and ``dn`` is the derivative by them.
    row_mean, mean, rstd : Tensor
        [batch, frames], what went into `spread` and came out of it.
    valid : Tensor
        As for `spread`.
    size : int
        Channels of a row.

    Returns
    -------
    tuple of Tensor
        ``alpha`` and ``gamma``, [batch, frames]: the derivative by the rows is
        ``rstd * dn + alpha + gamma * a``.
    """
    dtype = total.dtype
    total, product, row_mean, mean, rstd = (x.double() for x in (total, product, row_mean, mean, rstd))
    d_row_mean, d_square = _SPREAD_BACKWARD[norm](
        -rstd * total, -0.5 * rstd.square() * product, row_mean, mean, valid
    )
    gamma = 2 * d_square / size
    alpha = d_row_mean / size - gamma * row_mean
    return alpha.to(dtype), gamma.to(dtype)
