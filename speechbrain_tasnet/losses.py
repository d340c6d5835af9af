"""Scale-invariant SNR and permutation-invariant training, on padded batches of any number of sources."""

from itertools import permutations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from speechbrain_tasnet.padding import padding_mask, valid_samples

# SpeechBrain's own constant, in the places where its `cal_si_snr` has it, so that the values agree.
EPS = 1e-8

# Mean power of one step of 16-bit audio (-90 dBFS): a signal at or below it holds nothing but rounding.
SILENCE_POWER = 2.0**-30

# Beyond this many sources the C! orders cost more than the Hungarian algorithm.
MAX_ENUMERATED_SOURCES = 4


def si_snr(targets: Tensor, estimates: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Scale-invariant signal-to-noise ratio of each estimate against the target in the same place.

    Section II-E of the Conv-TasNet paper (arXiv 1809.07454): both signals are made zero-mean, the estimate
    is projected on the target, and the powers of projection and residue are compared.

    Parameters
    ----------
    targets, estimates : Tensor
        [batch, time, C] each.
    lengths : Tensor, optional
        [batch], SpeechBrain's relative lengths in (0, 1]. What lies behind them has no influence.

    Returns
    -------
    Tensor
        [batch, C] in dB. A silent target gives about -80 dB whatever the estimate, with zero gradient.

    Raises
    ------
    ValueError
        If the two shapes differ or are not [batch, time, C].

    Example
    -------
    >>> target = torch.sin(torch.arange(800.0)).reshape(1, 800, 1)
    >>> noise = torch.cos(torch.arange(800.0)).reshape(1, 800, 1)
    >>> si_snr(target, 3 * (target + 0.1 * noise)).round()
    tensor([[20.]])
    """
    targets, estimates = _zero_mean(targets, estimates, lengths=lengths)
    projection = (targets * estimates).sum(2, keepdim=True) / (targets.square().sum(2, keepdim=True) + EPS)
    projected = projection * targets
    residue = estimates - projected
    ratio = projected.square().sum(2) / (residue.square().sum(2) + EPS)
    return 10 * torch.log10(ratio + EPS)


def pit_si_snr_loss(targets: Tensor, estimates: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Negative SI-SNR under the best assignment of estimates to targets (utterance-level PIT).

    Takes its arguments as SpeechBrain's `get_si_snr_with_pitwrapper` does and equals it wherever that is
    defined. Silent targets are left out of the mean over the sources, since no estimate can be right or
    wrong about them; `silent` tells which they are.

    Parameters
    ----------
    targets, estimates : Tensor
        [batch, time, C] each, C of any size.
    lengths : Tensor, optional
        [batch], relative lengths in (0, 1].

    Returns
    -------
    Tensor
        [batch], in dB, lower is better; 0 with zero gradient where all targets are silent.

    Raises
    ------
    ValueError
        If the two shapes differ or are not [batch, time, C].

    Example
    -------
    >>> targets = torch.randn(4, 800, 3)
    >>> pit_si_snr_loss(targets, targets[..., [2, 0, 1]]).shape
    torch.Size([4])
    """
    estimates = reorder(estimates, best_permutation(targets, estimates, lengths))
    heard = ~silent(targets, lengths)
    scores = si_snr(targets, estimates, lengths).masked_fill(~heard, 0)
    return -scores.sum(1) / heard.sum(1).clamp(min=1)


@torch.no_grad()
def best_permutation(targets: Tensor, estimates: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Find the assignment of estimates to targets that has the highest mean SI-SNR.

    All C! orders are compared up to C=4; beyond, the Hungarian algorithm finds the same assignment.

    Parameters
    ----------
    targets, estimates : Tensor
        [batch, time, C] each.
    lengths : Tensor, optional
        [batch], relative lengths in (0, 1].

    Returns
    -------
    Tensor
        [batch, C] of int64: estimate ``permutation[b, c]`` belongs to target ``c``.

    Example
    -------
    >>> targets = torch.randn(1, 800, 3)
    >>> best_permutation(targets, targets[..., [2, 0, 1]])
    tensor([[1, 2, 0]])
    """
    scores = _pairwise_si_snr(targets, estimates, lengths)
    scores = scores.masked_fill(silent(targets, lengths).unsqueeze(2), 0)
    num_sources = scores.shape[-1]
    if num_sources > MAX_ENUMERATED_SOURCES:
        rows = [linear_sum_assignment(score, maximize=True)[1] for score in scores.cpu().numpy()]
        return torch.stack([torch.from_numpy(row) for row in rows]).to(targets.device)
    orders = torch.tensor(list(permutations(range(num_sources))), device=targets.device)
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


def silent(targets: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Return which targets are silent: at most one step of 16-bit audio (-90 dBFS) once zero-mean.

    Parameters
    ----------
    targets : Tensor
        [batch, time, C].
    lengths : Tensor, optional
        [batch], relative lengths in (0, 1].

    Returns
    -------
    Tensor
        [batch, C] of bool.

    Example
    -------
    >>> silent(torch.stack([torch.zeros(1, 8), torch.randn(1, 8)], dim=2))
    tensor([[ True, False]])
    """
    (zero_mean,) = _zero_mean(targets, lengths=lengths)
    return zero_mean.square().sum(2) <= SILENCE_POWER * _num_samples(targets, lengths)


def _zero_mean(*signals: Tensor, lengths: Tensor | None) -> list[Tensor]:
    """Subtract the mean of the valid samples and put zeros behind them; at least float32, as [batch, C, time]."""
    shape = signals[0].shape
    if len(shape) != 3 or any(signal.shape != shape for signal in signals):
        shapes = " and ".join(str(list(signal.shape)) for signal in signals)
        raise ValueError(f"shapes {shapes}: expected the same [batch, time, C] for targets and estimates")
    signals = [signal if signal.dtype == torch.float64 else signal.float() for signal in signals]
    # Sums over time are fast where its samples lie side by side.
    signals = [signal.transpose(1, 2).contiguous() for signal in signals]
    if lengths is None:
        return [signal - signal.mean(2, keepdim=True) for signal in signals]
    num_samples = valid_samples(lengths, shape[1])
    padding = padding_mask(num_samples, shape[1]).transpose(1, 2)
    signals = [signal.masked_fill(padding, 0) for signal in signals]
    means = [signal.sum(2, keepdim=True) / num_samples[:, None, None] for signal in signals]
    return [(signal - mean).masked_fill(padding, 0) for signal, mean in zip(signals, means, strict=True)]


def _num_samples(targets: Tensor, lengths: Tensor | None) -> Tensor | int:
    """Count the valid samples: of each item as [batch, 1], or of all."""
    size = targets.shape[1]
    return size if lengths is None else valid_samples(lengths, size).unsqueeze(1)


def _pairwise_si_snr(targets: Tensor, estimates: Tensor, lengths: Tensor | None) -> Tensor:
    """SI-SNR of each target with each estimate, [batch, C targets, C estimates], from inner products.

    Taken in float64, because the power of the residue is a difference of nearly equal numbers.
    """
    targets, estimates = _zero_mean(targets.double(), estimates.double(), lengths=lengths)
    inner = targets @ estimates.transpose(1, 2)
    projected = inner.square() / (targets.square().sum(2).unsqueeze(2) + EPS)
    residue = (estimates.square().sum(2).unsqueeze(1) - projected).clamp(min=0)
    # A NaN estimate must reach the loss, where SpeechBrain counts it, and not stop the assignment.
    return torch.nan_to_num(10 * torch.log10(projected / (residue + EPS) + EPS))
