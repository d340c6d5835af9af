"""The targets of a batch, and what is compared with them."""

import torch
from torch import Tensor

from speechbrain_tasnet.losses import ratios
from speechbrain_tasnet.losses.assignment import best_order
from speechbrain_tasnet.padding import padding_mask, valid_samples

# Mean power of one step of 16-bit audio (-90 dBFS): a signal at or below it holds nothing but rounding.
SILENCE_POWER = 2.0**-30


class Targets:
    """The targets of a batch, made ready once for all that is compared with them.

    Parameters
    ----------
    targets : Tensor
        [batch, time, C], or [batch, time, C, M] at each of M microphones: what they hear of a source then counts
        as one signal, so that one scale and one order are those of all, and the levels between them matter.
    lengths : Tensor, optional
        [batch], relative lengths in (0, 1].

    Attributes
    ----------
    signals : Tensor
        [batch, C, time], or [batch, C, M * time], see `zero_mean`.
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
        check_shapes(targets)
        self._num_samples = None if lengths is None else valid_samples(lengths, targets.shape[1])
        self.signals = self.zero_mean(targets)
        size = (targets.shape[1] if lengths is None else self._num_samples) * targets[0, 0, 0].numel()
        self._silence = SILENCE_POWER * torch.as_tensor(size, device=targets.device).expand(len(targets))
        self.silent = self.are_silent(self.signals)

    def are_silent(self, signals: Tensor) -> Tensor:
        """Return which of ``signals`` in the shape of `signals` are silent, see `silent`: [batch, C] of bool."""
        return signals.square().sum(2) <= self._silence.unsqueeze(1)

    def si_snr(self, estimates: Tensor) -> Tensor:
        """Compare estimates [batch, time, C] with the targets in the same places, see `si_snr`: [batch, C]."""
        return ratios.si_snr(self.signals, self.zero_mean(estimates))

    def si_snr_of_mixture(self, mixture: Tensor) -> Tensor:
        """Take a mixture [batch, time] for the estimate of every target; the mean over those heard: [batch].

        Of targets at each microphone the mixture is [batch, time, M], too.
        """
        return -self._loss(self.zero_mean(mixture.unsqueeze(2)))

    def are_mixed(self, mixture: Tensor) -> Tensor:
        """Return of which mixtures an improvement can be said: [batch] of bool.

        Somebody is heard in them, and something else besides.
        """
        voices = (~self.silent).sum(1)
        if not (voices == 1).any():  # as in most trainings, for each step of which this is asked
            return voices > 1
        rest = self.zero_mean(mixture.unsqueeze(2)).squeeze(1) - self.signals.sum(1)
        noisy = rest.square().sum(1) > self._silence
        return (voices > 1) | ((voices == 1) & noisy)

    def loss(self, estimates: Tensor) -> Tensor:
        """Return the loss of estimates [batch, time, C] in their best order, see `pit_si_snr_loss`: [batch]."""
        zero_mean = self.zero_mean(estimates)
        order = self._best_permutation(zero_mean)
        return self._loss(zero_mean.gather(1, order.unsqueeze(2).expand_as(zero_mean)))

    @torch.no_grad()
    def best_permutation(self, estimates: Tensor) -> Tensor:
        """Find the best order of estimates [batch, time, C], see `best_permutation`: [batch, C]."""
        return self._best_permutation(self.zero_mean(estimates))

    def zero_mean(self, signals: Tensor) -> Tensor:
        """Subtract the mean of the valid samples of [batch, time, C] and put zeros after them.

        Returns
        -------
        Tensor
            [batch, C, time], at least float32; of [batch, time, C, M] [batch, C, M * time], each microphone with a
            mean of its own.
        """
        signals = signals if signals.dtype == torch.float64 else signals.float()
        if signals.ndim == 4:
            by_microphone = self.zero_mean(signals.flatten(2))  # [batch, C * M, time]
            return by_microphone.unflatten(1, signals.shape[2:]).flatten(2)
        # Sums over time are fast where its samples lie side by side.
        signals = signals.transpose(1, 2).contiguous()
        if self._num_samples is None:
            return signals - signals.mean(2, keepdim=True)
        padding = padding_mask(self._num_samples, signals.shape[2]).transpose(1, 2)
        signals = signals.masked_fill(padding, 0)
        mean = signals.sum(2, keepdim=True) / self._num_samples[:, None, None]
        return (signals - mean).masked_fill(padding, 0)

    def _loss(self, estimates: Tensor) -> Tensor:
        heard = ~self.silent
        scores = ratios.si_snr(self.signals, estimates).masked_fill(~heard, 0)
        return -scores.sum(1) / heard.sum(1).clamp(min=1)

    @torch.no_grad()
    def _best_permutation(self, estimates: Tensor) -> Tensor:
        scores = ratios.Pairs(self.signals, estimates).si_snr()
        return best_order(scores.masked_fill(self.silent.unsqueeze(2), 0))


def check_shapes(targets: Tensor, *others: Tensor) -> None:
    """Raise `ValueError` where shapes are not the same [batch, time, C], or [batch, time, C, M]."""
    if targets.ndim not in (3, 4) or any(other.shape != targets.shape for other in others):
        shapes = " and ".join(str(list(signals.shape)) for signals in (targets, *others))
        raise ValueError(f"shapes {shapes}: expected the same [batch, time, C] for targets and estimates")
