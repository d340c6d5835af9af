"""Train for a certain cost, whatever the network: a number of steps, minutes or multiply-accumulates."""

import math
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import torch

from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.training.distributed import highest
from speechbrain_tasnet.training.ledger import Ledger

UNITS = ("steps", "minutes", "macs")
EXPECTED = f"a number above 0 and one of {', '.join(UNITS)}, such as '30 minutes'"

# A training step costs about three times the way forward: back, the same products are done twice.
STEP_MACS = 3

WARM_UP, DECAY = 0.02, 0.5  # shares of the budget


def parse(text: str) -> tuple[float, str]:
    """Read a budget: how many of which unit.

    Parameters
    ----------
    text : str
        A number above 0 and a unit.

    Raises
    ------
    InputError
        It is something else.

    Examples
    --------
    >>> parse("30 minutes"), parse("1e18 macs")
    ((30.0, 'minutes'), (1e+18, 'macs'))
    """
    found = re.fullmatch(r"([0-9.]+(?:e\+?[0-9]+)?) +(\w+)", str(text))
    with suppress(ValueError):
        if found and found[2] in UNITS and 0 < float(found[1]) < math.inf:
            return float(found[1]), found[2]
    raise InputError(f"budget={text!r}: expected {EXPECTED}")


@dataclass(frozen=True)
class Budget:
    """An amount of one unit.

    Parameters
    ----------
    amount : float
        How many.
    unit : str
        ``steps`` of the optimizer; ``minutes`` of wall clock within the steps; or ``macs``,
        multiply-accumulates, three times those of the way forward, in all processes.
    macs_per_second : float, optional
        Multiply-accumulates of the way forward for a second of audio; needed for the unit ``macs``.

    Examples
    --------
    >>> ledger = Ledger()
    >>> ledger.seconds = 900.0
    >>> Budget(30, "minutes").used(ledger)
    0.5
    """

    amount: float
    unit: str
    macs_per_second: float | None = None

    def used(self, ledger: Ledger) -> float:
        """Return which share of it a training has used; above 1 when its last step went beyond it.

        The processes of a distributed run, which must all ask at the same time, get the same answer.
        """
        return self._spent(ledger) / self.amount

    def _spent(self, ledger: Ledger) -> float:
        if self.unit == "steps":
            return ledger.steps
        if self.unit == "minutes":
            return highest(ledger.seconds) / 60
        return STEP_MACS * self.macs_per_second * ledger.audio_of_all()

    def steps(self, seconds: float, audio: float) -> float:
        """Return how many steps it allows.

        Parameters
        ----------
        seconds : float
            That a step takes.
        audio : float
            Seconds of it that a step takes, in all processes.
        """
        one = {"steps": 1, "minutes": seconds / 60, "macs": STEP_MACS * (self.macs_per_second or 0) * audio}
        return self.amount / one[self.unit]


def learning_rate(used: float) -> float:
    """Return the share of the full learning rate at a share of the budget.

    It grows in the first 2 %, which networks with attention need, is constant up to one half, and falls in a line
    to zero at the end. It depends on the budget alone and not on validations, so that every network gets the same
    and is annealed when its budget is used up, however many steps that was.

    Examples
    --------
    >>> [round(learning_rate(used), 2) for used in (0, 0.01, 0.02, 0.5, 0.75, 1, 1.01)]
    [0.1, 0.55, 1.0, 1.0, 0.5, 0.0, 0.0]
    """
    if used < WARM_UP:
        return 0.1 + 0.9 * used / WARM_UP
    return max(0.0, min(1.0, (1 - used) / DECAY))


class Annealing:
    """A step scheduler: sets the learning rate by the share of the budget that is used.

    Parameters
    ----------
    lr : float
        The full learning rate.
    used : callable
        Returns that share.
    """

    def __init__(self, lr: float, used: Callable[[], float]):
        self.lr, self._used = lr, used

    def __call__(self, optimizer: torch.optim.Optimizer) -> None:
        """Set the learning rate of the next step."""
        for group in optimizer.param_groups:
            group["lr"] = self.lr * learning_rate(self._used())
