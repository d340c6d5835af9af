"""What the Brain tells SpeechBrain, the evaluator and the schedulers, and when."""

import logging

import pytest
import torch
from brains import BAD, GOOD, fit, item, load, make_brain
from speechbrain.utils.epoch_loop import EpochCounter
from speechbrain.utils.train_logger import FileTrainLogger

from speechbrain_tasnet.data.epoch_dataset import EpochDataset
from speechbrain_tasnet.data.skipping import SkipBadItems, collate


@pytest.fixture
def logged(tmp_path):
    """Hyperparameters of a Brain that goes through whole epochs, and a test."""
    return {"train_logger": FileTrainLogger(tmp_path / "train_log.txt"), "lr_scheduler": None}


def test_a_loss_that_is_not_finite_is_not_taken_for_well_separated(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        fit(make_brain(tmp_path, {"loss_threshold": -30.0}), GOOD[0], BAD, batch_size=2)
    assert "Step 1 skipped: its loss is not finite" in caplog.text


def test_an_utterance_scores_the_same_beside_a_longer_one(tmp_path, logged):
    items = [item("short", 1, size=600), item("long", 2)]
    rows = []
    for batch_size in (1, 2):
        brain = make_brain(tmp_path, logged)
        brain.evaluate(load(*items, batch_size=batch_size), progressbar=False)
        rows.append({row.pop("snt_id"): row for row in brain.evaluator.rows})
    alone, together = rows
    assert alone["short"]["duration"] == 600 / 8000
    for name, row in alone.items():
        assert together[name] == pytest.approx(row, abs=1e-3)


def test_the_improvement_is_over_the_mixture(tmp_path, logged):
    brain = make_brain(tmp_path, logged)
    with torch.no_grad():
        brain.modules.masknet.mask.weight.zero_()  # each source is a part of the mixture
    brain.evaluate(load(item("one", 1)), progressbar=False)
    (row,) = brain.evaluator.rows
    assert sum(brain.losses) == pytest.approx(-row["si-snr"], abs=1e-3)
    assert sum(brain.improvements) == pytest.approx(row["si-snr_i"], abs=1e-3)
    assert row["si-snr_i"] < -1  # what an untrained basis loses


def test_the_learning_rate_follows_the_validation(tmp_path, logged):
    seen = []

    def schedule(optimizers, epoch, loss):
        seen.append(loss)
        return 0.01, 0.01

    brain = make_brain(tmp_path, logged | {"lr_scheduler": schedule})
    brain.fit(brain.hparams.epoch_counter, load(GOOD[0]), load(GOOD[1]), progressbar=False)
    kept = brain.checkpointer.find_checkpoint(min_key="si-snr")
    assert seen == [kept.meta["si-snr"]]
    assert seen != [pytest.approx(brain.train_stats["si-snr"])]


def test_a_dataset_is_told_every_epoch(tmp_path, logged):
    class Epochs(EpochDataset):
        told = ()

        def __len__(self):
            return 2

        def at(self, epoch, index):
            self.told += (epoch,)
            return GOOD[index].item

    items = Epochs()
    brain = make_brain(tmp_path, logged | {"epoch_counter": EpochCounter(limit=3)})
    options = {"batch_size": 2, "collate_fn": collate}
    brain.fit(
        brain.hparams.epoch_counter, SkipBadItems(items, True), progressbar=False, train_loader_kwargs=options
    )
    assert items.told == (1, 1, 2, 2, 3, 3)
