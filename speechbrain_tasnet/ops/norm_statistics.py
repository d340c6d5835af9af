"""How the norms differ: how mean and deviation of a row follow from the moments of rows.

A row is one frame's channels. Given mean and variance of each row, [batch, frames], and how many frames of each
item are ``valid``, [batch], `spread` returns the mean and the reciprocal deviation to normalise each
row with, and `spread_backward` takes the derivative back through them. All in float64: there are few rows.
"""

import torch
from torch import Tensor

from speechbrain_tasnet.ops.moments import cumulative_moments, no_moments
from speechbrain_tasnet.ops.reference import EPS


def _global(mean: Tensor, variance: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    count = valid.unsqueeze(1)
    overall = mean.sum(1, keepdim=True) / count
    square = torch.addcmul(variance, mean, mean).sum(1, keepdim=True) / count
    rstd = (square - overall.square() + EPS).rsqrt()
    return overall.expand_as(mean), rstd.expand_as(mean)


def _channelwise(mean: Tensor, variance: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    return mean, (variance + EPS).rsqrt()


def _cumulative(mean: Tensor, variance: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    mean_so_far, variance_so_far = cumulative_moments(mean, variance, no_moments(len(mean), mean.device))
    return mean_so_far, (variance_so_far + EPS).rsqrt()


def _average(x: Tensor, valid: Tensor) -> Tensor:
    return (x.sum(1, keepdim=True) / valid.unsqueeze(1)).expand_as(x)


def _average_from_here(x: Tensor, valid: Tensor) -> Tensor:
    # What a frame does to all that come after it.
    seen = torch.arange(1, x.shape[1] + 1, device=x.device)
    return (x / seen).flip(1).cumsum(1).flip(1)


_SPREAD = {"global": _global, "cumulative": _cumulative, "channelwise": _channelwise}
# The averages over frames that the norms take of the moments of rows, transposed.
_AVERAGE_BACKWARD = {"global": _average, "cumulative": _average_from_here, "channelwise": lambda x, valid: x}


def spread(norm: str, mean: Tensor, variance: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the mean and reciprocal deviation with which a norm normalises each row.

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
    norm: str, total: Tensor, product: Tensor, mean: Tensor, rstd: Tensor, valid: Tensor, size: int
) -> tuple[Tensor, Tensor]:
    """Take the derivative of a norm to what it adds to each row.

    Whatever the norm, its mean and its mean square are averages of those of rows, so that the derivatives by the
    moments of rows are the transposed averages of those by mean and mean square.

    Parameters
    ----------
    norm : str
        As for `spread`.
    total, product : Tensor
        [batch, frames], the sums over the channels of ``dn`` and of ``dn * n``, where ``n = (a - mean) * rstd``
        are the normalised rows and ``dn`` is the derivative by them; 0 where an item has ended.
    mean, rstd : Tensor
        [batch, frames], as `spread` returned them.
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
    total, product, mean, rstd = (x.double() for x in (total, product, mean, rstd))
    gamma = -rstd.square() * product / size
    alpha = -rstd * total / size - gamma * mean
    average = _AVERAGE_BACKWARD[norm]
    return average(alpha, valid).to(dtype).contiguous(), average(gamma, valid).to(dtype).contiguous()
