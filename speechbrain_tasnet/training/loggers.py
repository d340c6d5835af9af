"""Write after each epoch: SpeechBrain's train log, the ledger and its picture, TensorBoard's events."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

from speechbrain.utils.distributed import if_main_process, main_process_only
from speechbrain.utils.train_logger import TrainLogger

from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.report.learning_curve import draw_learning_curve
from speechbrain_tasnet.system.files import write_text
from speechbrain_tasnet.training.ledger import Ledger

Stats = Mapping[str, float]

LEDGER = "ledger.json"


class TrainLogs(TrainLogger):
    """Several of SpeechBrain's train loggers as one.

    Parameters
    ----------
    *loggers : TrainLogger
        Called one after the other.
    """

    def __init__(self, *loggers: TrainLogger):
        self.loggers = loggers

    @main_process_only
    def log_stats(
        self,
        stats_meta: Stats,
        train_stats: Stats | None = None,
        valid_stats: Stats | None = None,
        test_stats: Stats | None = None,
    ) -> None:
        """Log an epoch, or the test; see SpeechBrain's `TrainLogger.log_stats`."""
        for logger in self.loggers:
            logger.log_stats(stats_meta, train_stats, valid_stats, test_stats)


class LedgerFile(TrainLogger):
    """The account of a training after each epoch: ``ledger.json`` and the picture of its learning curve.

    Parameters
    ----------
    folder : Path
        Where they go.
    ledger : Ledger
        The account.
    title : str
        Name of the run.
    """

    def __init__(self, folder: Path, ledger: Ledger, title: str):
        self._folder, self._ledger, self._title = folder, ledger, title

    def log_stats(
        self,
        stats_meta: Stats,
        train_stats: Stats | None = None,
        valid_stats: Stats | None = None,
        test_stats: Stats | None = None,
    ) -> None:
        """Write the account; not after the test, when it is that of the best checkpoint."""
        if valid_stats is not None:
            write_text(self._folder / LEDGER, json.dumps(self._ledger.as_dict(), indent=1) + "\n")
            draw_learning_curve(self._ledger.curve, self._folder / "learning_curve.svg", self._title)


class TensorBoard(TrainLogger):
    """Events for TensorBoard, counted in epochs: unlike SpeechBrain's logger it keeps counting after a resume.

    Parameters
    ----------
    folder : path-like
        Where the event files go.

    Raises
    ------
    InputError
        The package is not installed.
    """

    def __init__(self, folder: Path | str):
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise InputError(
                "tensorboard=True needs the package tensorboard: pip install 'speechbrain-tasnet[tensorboard]'"
            ) from None
        self._make_writer = lambda: SummaryWriter(str(folder))
        self._writer = None

    def log_stats(
        self,
        stats_meta: Stats,
        train_stats: Stats | None = None,
        valid_stats: Stats | None = None,
        test_stats: Stats | None = None,
    ) -> None:
        """Write an epoch's figures, or the test's; see SpeechBrain's `TrainLogger.log_stats`."""
        if not if_main_process():
            return
        self._writer = self._writer or self._make_writer()
        epoch = int(stats_meta.get("epoch", stats_meta.get("epoch loaded", 0)))
        if "lr" in stats_meta:
            self._writer.add_scalar("learning rate", stats_meta["lr"], epoch)
        for split, stats in (("train", train_stats), ("valid", valid_stats), ("test", test_stats)):
            for name, value in (stats or {}).items():
                if math.isfinite(value):
                    self._writer.add_scalar(f"{name}/{split}", value, epoch)
        self._writer.flush()
