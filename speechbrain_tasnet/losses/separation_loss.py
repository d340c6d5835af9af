"""The loss of a training in which some voices may be silent."""

from collections.abc import Callable

import torch
from torch import Tensor

from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.losses import ratios
from speechbrain_tasnet.losses.assignment import best_order
from speechbrain_tasnet.losses.targets import Targets

RATIOS: dict[str, Callable[..., Tensor]] = {"si-snr": ratios.si_snr, "snr": ratios.snr, "sa-sdr": ratios.sa_sdr}
SILENCES = ("power", "mixture")

# An output for a silent voice has nothing more to learn when it is this many dB below the mixture (FUSS).
SILENCE_CAP = 20.0


class SeparationLoss:
    """A loss for separated voices, and for outputs for which nobody speaks.

    Targets are silent where a mixture has fewer voices than the network has outputs. The estimates are compared in
    the best of all orders, silent targets included, so that any output may be the one that is silent.

    Parameters
    ----------
    ratio : str
        ``si-snr``, the paper's; ``snr``, in which the level counts; or ``sa-sdr``, one ratio of the energies of
        all voices together (arXiv 2110.15581), which is defined with silent ones, too.
    silence : str, optional
        What a silent target adds to the mean over the sources. None: nothing, it is left out, as the paper
        has none. ``power``: the power of its estimate against that of the mixture, down to -20 dB (FUSS, arXiv
        2011.00803). ``mixture``: the mixture itself takes its place as target (A2PIT, arXiv 2003.12326), so
        that who separates can tell an unused output by its likeness to the input.
    cap : float, optional
        Ratio in dB that the loss comes near to and does not reach: what is separated that well has nothing left to
        teach. None: no cap.
    level : float, optional
        What each dB costs that an estimate is too loud or too soft, with ``si-snr``, which knows no levels: a
        network that is to be silent for nobody may otherwise whisper always. None: nothing.
    in_order : bool
        Whether estimate c belongs to target c, as in location-based training (Taherian, Tan and Wang, arXiv
        2110.04289), in place of the best of all orders.

    Raises
    ------
    InputError
        A name is unknown, or two of them do not go together.

    Examples
    --------
    >>> targets = torch.randn(4, 800, 3)
    >>> targets[..., 1] = 0  # two voices, and an output too many
    >>> loss = SeparationLoss("snr", silence="power", cap=30.0)
    >>> estimates = targets[..., [1, 2, 0]]
    >>> loss(Targets(targets), targets.sum(2), estimates).round()  # the mean of -30, -30 and -20 dB
    tensor([-27., -27., -27., -27.])
    """

    def __init__(
        self,
        ratio: str = "si-snr",
        silence: str | None = None,
        cap: float | None = None,
        level: float | None = None,
        in_order: bool = False,
    ):
        if ratio not in RATIOS:
            raise InputError(f"ratio={ratio!r}: expected one of {list(RATIOS)}")
        if silence not in (None, *SILENCES):
            raise InputError(f"silence={silence!r}: expected None or one of {list(SILENCES)}")
        if ratio == "sa-sdr" and silence == "power":
            raise InputError(
                "sa-sdr with silence by power: its one ratio already covers silent voices; leave silence out"
            )
        if level is not None and ratio != "si-snr":
            raise InputError(f"level={level} with {ratio}: it already depends on levels; leave level out")
        self.ratio, self.silence, self.cap, self.level = ratio, silence, cap, level
        self.in_order = in_order

    @property
    def is_plain(self) -> bool:
        """Whether it is `pit_si_snr_loss`."""
        options = self.ratio, self.silence, self.cap, self.level, self.in_order
        return options == ("si-snr", None, None, None, False)

    @property
    def name(self) -> str:
        """What its mean is called in logs and checkpoints: ``si-snr`` where it is nothing else, or ``loss``."""
        return "si-snr" if self.is_plain else "loss"

    def __call__(self, targets: Targets, mixture: Tensor, estimates: Tensor) -> Tensor:
        """Compare estimates with targets.

        Parameters
        ----------
        targets : Targets
            Of the batch.
        mixture : Tensor
            [batch, time], or [batch, time, M] as the microphones that the targets are at hear it.
        estimates : Tensor
            In the shape of the targets, in any order unless ``in_order``.

        Returns
        -------
        Tensor
            [batch], in dB, lower is better; 0 where there is nothing to compare with: nobody speaks and ``power``
            is not asked for, or with ``mixture`` that is silent, too.
        """
        if self.is_plain:
            return targets.loss(estimates)
        estimates = targets.zero_mean(estimates)
        mixture = targets.zero_mean(mixture.unsqueeze(2))
        wanted, silent = targets.signals, targets.silent
        if self.silence == "mixture":
            wanted = torch.where(silent.unsqueeze(2), mixture, wanted)
            silent = targets.are_silent(wanted)
        if not self.in_order:
            order = self._best_order(wanted, silent, mixture, estimates)
            estimates = estimates.gather(1, order.unsqueeze(2).expand_as(estimates))
        if self.ratio == "sa-sdr":
            return -ratios.sa_sdr(wanted, estimates, self.cap).masked_fill(silent.all(1), 0)
        scores = RATIOS[self.ratio](wanted, estimates, self.cap)
        if self.level is not None:
            scores = scores - self.level * ratios.level_error(wanted, estimates)
        if self.silence == "power":
            return -torch.where(silent, _quiet(estimates, mixture), scores).mean(1)
        return -scores.masked_fill(silent, 0).sum(1) / (~silent).sum(1).clamp(min=1)

    @torch.no_grad()
    def _best_order(self, wanted: Tensor, silent: Tensor, mixture: Tensor, estimates: Tensor) -> Tensor:
        pairs = ratios.Pairs(wanted, estimates)
        if self.ratio == "sa-sdr":
            return best_order(-pairs.errors())  # the sum of the errors is all that an order changes
        scores = pairs.si_snr(self.cap) if self.ratio == "si-snr" else pairs.snr(self.cap)
        if self.level is not None:
            scores = scores - self.level * pairs.level_errors()
        of_silence = _quiet(estimates, mixture).unsqueeze(1) if self.silence == "power" else torch.zeros(())
        return best_order(torch.where(silent.unsqueeze(2), of_silence.to(scores), scores))


def _quiet(estimates: Tensor, mixture: Tensor) -> Tensor:
    """Return how far estimates [batch, C, time] are below the mixture [batch, 1, time], up to the cap, in dB."""
    # Of a mixture in which nothing is heard at all, an estimate without anything is right, too.
    before, after = mixture.square().sum(2) + ratios.EPS, estimates.square().sum(2)
    return ratios.decibels(before, after, SILENCE_CAP)
