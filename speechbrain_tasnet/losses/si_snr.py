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
    _check_shapes(targets, estimates)
    return Targets(targets, lengths).si_snr(estimates)


def pit_si_snr_loss(targets: Tensor, estimates: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Negative SI-SNR under the best assignment of estimates to targets (utterance-level PIT).

    Takes its arguments as SpeechBrain's `get_si_snr_with_pitwrapper` does and equals it wherever that is
    defined. Silent targets are left out of the mean over the sources, since no estimate can be right or
    wrong about them; `silent` returns which they are.

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
    _check_shapes(targets, estimates)
    return Targets(targets, lengths).loss(estimates)


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
    _check_shapes(targets, estimates)
    return Targets(targets, lengths).best_permutation(estimates)


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
    return Targets(targets, lengths).silent


class Targets:
    """The targets of a batch, made ready once for all that is compared with them.

    Parameters
    ----------
    targets : Tensor
        [batch, time, C].
    lengths : Tensor, optional
        [batch], relative lengths in (0, 1].

    Attributes
    ----------
    silent : Tensor
        [batch, C] of bool, see `silent`.

    Raises
    ------
    ValueError
        The shape is another.

    Example
    -------
    >>> targets = Targets(torch.randn(4, 800, 3))
    >>> targets.loss(torch.randn(4, 800, 3)).shape, targets.si_snr_of_mixture(torch.randn(4, 800)).shape
    (torch.Size([4]), torch.Size([4]))
    """

    def __init__(self, targets: Tensor, lengths: Tensor | None = None):
        _check_shapes(targets)
        self._num_samples = None if lengths is None else valid_samples(lengths, targets.shape[1])
        self._targets = self._zero_mean(targets)
        self._energy = self._targets.square().sum(2, keepdim=True)
        size = targets.shape[1] if lengths is None else self._num_samples.unsqueeze(1)
        self.silent = self._energy.squeeze(2) <= SILENCE_POWER * size

    def si_snr(self, estimates: Tensor) -> Tensor:
        """Compare estimates [batch, time, C] with the targets in the same places, see `si_snr`: [batch, C]."""
        return self._si_snr(self._zero_mean(estimates))

    def si_snr_of_mixture(self, mixture: Tensor) -> Tensor:
        """Take a mixture [batch, time] for the estimate of every target; the mean over those heard: [batch]."""
        return -self._loss(self._zero_mean(mixture.unsqueeze(2)))

    def loss(self, estimates: Tensor) -> Tensor:
        """Return the loss of estimates [batch, time, C] in their best order, see `pit_si_snr_loss`: [batch]."""
        zero_mean = self._zero_mean(estimates)
        order = self._best_permutation(zero_mean)
        return self._loss(zero_mean.gather(1, order.unsqueeze(2).expand_as(zero_mean)))

    @torch.no_grad()
    def best_permutation(self, estimates: Tensor) -> Tensor:
        """Find the best order of estimates [batch, time, C], see `best_permutation`: [batch, C]."""
        return self._best_permutation(self._zero_mean(estimates))

    def _loss(self, estimates: Tensor) -> Tensor:
        heard = ~self.silent
        scores = self._si_snr(estimates).masked_fill(~heard, 0)
        return -scores.sum(1) / heard.sum(1).clamp(min=1)

    def _si_snr(self, estimates: Tensor) -> Tensor:
        projected = (self._targets * estimates).sum(2, keepdim=True) / (self._energy + EPS) * self._targets
        residue = estimates - projected
        ratio = projected.square().sum(2) / (residue.square().sum(2) + EPS)
        return 10 * torch.log10(ratio + EPS)

    @torch.no_grad()
    def _best_permutation(self, estimates: Tensor) -> Tensor:
        scores = self._pairwise(estimates).masked_fill(self.silent.unsqueeze(2), 0)
        num_sources = scores.shape[-1]
        if num_sources > MAX_ENUMERATED_SOURCES:
            rows = [linear_sum_assignment(score, maximize=True)[1] for score in scores.cpu().numpy()]
            return torch.stack([torch.from_numpy(row) for row in rows]).to(scores.device)
        orders = torch.tensor(list(permutations(range(num_sources))), device=scores.device)
        totals = scores[:, torch.arange(num_sources), orders].sum(-1)  # [batch, C!]
        return orders[totals.argmax(1)]

    def _pairwise(self, estimates: Tensor) -> Tensor:
        """SI-SNR of each target with each estimate, [batch, C targets, C estimates], from inner products.

        Taken in float64, because the power of the residue is a difference of nearly equal numbers.
        """
        targets, estimates = self._targets.double(), estimates.double()
        inner = targets @ estimates.transpose(1, 2)
        projected = inner.square() / (targets.square().sum(2).unsqueeze(2) + EPS)
        residue = (estimates.square().sum(2).unsqueeze(1) - projected).clamp(min=0)
        # A NaN estimate must reach the loss, where SpeechBrain counts it, and not stop the assignment.
        return torch.nan_to_num(10 * torch.log10(projected / (residue + EPS) + EPS))

    def _zero_mean(self, signals: Tensor) -> Tensor:
        """Subtract the mean of the valid samples and put zeros behind them; at least float32, [batch, C, time]."""
        signals = signals if signals.dtype == torch.float64 else signals.float()
        # Sums over time are fast where its samples lie side by side.
        signals = signals.transpose(1, 2).contiguous()
        if self._num_samples is None:
            return signals - signals.mean(2, keepdim=True)
        padding = padding_mask(self._num_samples, signals.shape[2]).transpose(1, 2)
        signals = signals.masked_fill(padding, 0)
        mean = signals.sum(2, keepdim=True) / self._num_samples[:, None, None]
        return (signals - mean).masked_fill(padding, 0)


def _check_shapes(targets: Tensor, *others: Tensor) -> None:
    if targets.ndim != 3 or any(other.shape != targets.shape for other in others):
        shapes = " and ".join(str(list(signals.shape)) for signals in (targets, *others))
        raise ValueError(f"shapes {shapes}: expected the same [batch, time, C] for targets and estimates")
