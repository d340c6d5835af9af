"""Skip steps that would spoil the weights."""

import logging
import math

import speechbrain as sb
import torch
from torch import Tensor

from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.ops.threads import alone

logger = logging.getLogger(__name__)

SHOWN = 8  # utterances that a message names


class GuardedBrain(sb.Brain):
    """A Brain that never steps along a gradient which is not finite.

    Such a step is left out: weights, optimizer and learning rate stay as they are, and so it is with all batches
    that were accumulated for it. The log names the utterances. SpeechBrain's ``nonfinite_patience`` is how many
    such steps an epoch may have; the next one ends the training. With float16 SpeechBrain's scaler finds its
    scale by trying, so a step counts only once the scale is down at 1 and the gradient still not finite.

    The decision rests on the gradient alone, which is the same in all processes that train together.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.nonfinite_count = 0
        self.gradient_norm = None
        self._accumulated: list[str] = []
        self._suspects: list[str] = []

    def on_fit_batch_start(self, batch, should_step: bool) -> None:
        """Record whose gradient comes next."""
        super().on_fit_batch_start(batch, should_step)
        self._batch_ids = list(batch.id)
        self._accumulated += batch.id

    def check_loss_isfinite(self, loss: Tensor) -> None:
        """Make sure that a loss which is not finite shows in the gradient, even one that happens to be finite."""
        if not torch.isfinite(loss):
            self._suspects += self._batch_ids
            loss.register_hook(lambda gradient: gradient * math.nan)

    def optimizers_step(self) -> None:
        """Clip the gradient and take a step, if the gradient is finite; ``gradient_norm`` is that before clipping.

        Raises
        ------
        InputError
            The patience with gradients that are not finite is at its end.
        """
        with alone():  # weights are many, but most of them small
            self._clip_and_step()

    def _clip_and_step(self) -> None:
        self.scaler.unscale_(self.optimizer)
        parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        self.gradient_norm = float(torch.nn.utils.clip_grad_norm_(parameters, self.max_grad_norm))
        if math.isfinite(self.gradient_norm):
            self.scaler.step(self.optimizer)
            self.optimizer_step += 1
        else:
            self._skip_step()
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self._accumulated, self._suspects = [], []

    def _skip_step(self) -> None:
        """Return which step is left out, and end the training if it is one too many."""
        counts = not self.scaler.is_enabled() or self.scaler.get_scale() <= 1
        self.nonfinite_count += counts
        if not counts and not self._suspects:
            logger.debug("Step %d skipped: its gradient is too large for float16, whose scale falls", self.step)
            return
        culprit, ids = ("loss", self._suspects) if self._suspects else ("gradient", self._accumulated)
        names = ", ".join(ids[:SHOWN]) + (f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else "")
        if self.nonfinite_count > self.nonfinite_patience:
            raise InputError(
                f"{self.nonfinite_count} steps of this epoch had a loss or gradient that is not finite, more than "
                f"nonfinite_patience={self.nonfinite_patience}; the last, step {self.step}, was on {names}; "
                "check these utterances, lower lr, or use a higher precision"
            )
        logger.warning(
            "Step %d skipped: its %s is not finite (%d of at most %d in an epoch); utterances: %s",
            *(self.step, culprit, self.nonfinite_count, self.nonfinite_patience, names),
        )
