"""Schedules of a training, by epochs or by budget: its length, the order of items, the learning rate."""

import math
from collections.abc import Callable
from functools import partial

from torch.utils.data import DataLoader

from speechbrain_tasnet.configuration.schema import Hparams
from speechbrain_tasnet.data.endless_stream import Stream, StreamLoader
from speechbrain_tasnet.data.epoch_loader import EpochLoader
from speechbrain_tasnet.data.epoch_position import EpochPosition, describe_order
from speechbrain_tasnet.data.skipping import SkipBadItems, collate
from speechbrain_tasnet.network.costs import macs_per_second
from speechbrain_tasnet.training.budget import Annealing, Budget, learning_rate, parse
from speechbrain_tasnet.training.distributed import processes, rank
from speechbrain_tasnet.training.ledger import Ledger


class EpochPlan:
    """One pass through the training set per epoch, with the recipe's own schedulers.

    Parameters
    ----------
    hparams : Hparams
        Of the recipe.

    Attributes
    ----------
    epochs : int
        How many there are.
    opt_class : callable
        Makes the optimizer.
    changes : dict
        Hyperparameters of the Brain that are not the recipe's.
    """

    def __init__(self, hparams: Hparams):
        self.epochs = hparams.number_of_epochs
        self.opt_class = hparams.opt_class
        self.changes: dict = {}
        for scheduler in ("lr_scheduler", "step_scheduler"):
            if getattr(hparams, scheduler) is not None:
                hparams.checkpointer.add_recoverable(scheduler, getattr(hparams, scheduler))
        self._position, self._counter, self._seed = EpochPosition(), hparams.epoch_counter, hparams.item_seed
        # Checkpoints of earlier versions have none.
        hparams.checkpointer.add_recoverable("position", self._position, optional_load=True)

    def feed(self, items: SkipBadItems, options: dict) -> DataLoader:
        """Return the loader that `Brain.fit` trains on, which continues an interrupted epoch."""
        own = {"batch_size": 1} | {name: value for name, value in options.items() if name != "shuffle"}
        seed = self._seed if options.get("shuffle") else None
        return EpochLoader(
            items,
            self._position,
            epoch=lambda: self._counter.current,
            seed=seed,
            order=describe_order(getattr(items.dataset, "data_ids", None), len(items), seed),
            rank=rank(),
            processes=processes(),
            **own,
        )

    def steps(self, items: int, batch: int, step: float, audio: float) -> int:
        """Forecast the steps of an epoch.

        Parameters
        ----------
        items, batch : int
            In the training set, and in a batch of one process.
        step : float
            Seconds that a step takes.
        audio : float
            Seconds in a batch.
        """
        del step, audio
        return math.ceil(items / (batch * processes()))


class BudgetPlan:
    """An epoch is an equal part of a budget, with a validation after it; items come from one endless stream.

    Order and content of the items and the learning rate's course are the same for every network. In place of the
    recipe's schedulers the learning rate follows `budget.learning_rate`.

    Parameters
    ----------
    hparams : Hparams
        Of the recipe.
    ledger : Ledger
        Records what is used.
    macs_per_second : callable
        Counts the network's multiply-accumulates for a second of audio, if the budget wants to know.

    Attributes
    ----------
    epochs, opt_class, changes
        As those of `EpochPlan`.
    """

    def __init__(self, hparams: Hparams, ledger: Ledger, macs_per_second: Callable[[], float]):
        amount, unit = parse(hparams.budget)
        self._budget = Budget(amount, unit, macs_per_second() if unit == "macs" else None)
        self._ledger, self._counter, self._seed = ledger, hparams.epoch_counter, hparams.item_seed
        self.epochs = hparams.number_of_epochs
        self.opt_class = partial(hparams.opt_class, lr=hparams.lr * learning_rate(0))
        annealing = Annealing(hparams.lr, self._used)
        self.changes = {"lr_scheduler": None, "step_scheduler": annealing}

    def _used(self) -> float:
        return self._budget.used(self._ledger)

    def feed(self, items: SkipBadItems, options: dict) -> DataLoader:
        """Return a loader that ends with each part of the budget and continues the stream at the next."""
        options = {name: value for name, value in options.items() if name != "shuffle"}
        batch_size = options["batch_size"]
        return StreamLoader(
            Stream(items, self._seed),
            position=lambda: self._ledger.items + self._ledger.uncounted * batch_size,
            should_continue=lambda: self._used() < self._counter.current / self.epochs,
            rank=rank(),
            processes=processes(),
            **options | {"collate_fn": collate},
        )

    def steps(self, items: int, batch: int, step: float, audio: float) -> int:
        """Forecast the steps of an epoch, see `EpochPlan.steps`."""
        del items, batch
        return math.ceil(self._budget.steps(step, audio * processes()) / self.epochs)


Plan = EpochPlan | BudgetPlan


def make_plan(hparams: Hparams, ledger: Ledger) -> Plan:
    """Choose the plan that a recipe asks for.

    Parameters
    ----------
    hparams : Hparams
        Of the recipe.
    ledger : Ledger
        Of the training.
    """
    if hparams.budget is None:
        return EpochPlan(hparams)
    return BudgetPlan(hparams, ledger, lambda: macs_per_second(hparams.network, hparams.sample_rate))
