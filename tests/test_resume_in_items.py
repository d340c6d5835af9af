"""A training that is killed goes on with another batch size or number of processes, and hears each item once."""

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter

import pytest
import torch
from brains import make_brain
from speechbrain.utils.checkpoints import Checkpointer
from speechbrain.utils.epoch_loop import EpochCounter

from speechbrain_tasnet.data.epoch_dataset import EpochDataset
from speechbrain_tasnet.data.epoch_loader import EpochLoader, epoch_order
from speechbrain_tasnet.data.epoch_position import EpochPosition, describe_order
from speechbrain_tasnet.data.skipping import Fetched, collate
from speechbrain_tasnet.errors import InputError


class Numbers(EpochDataset):
    """Items that are their index."""

    def __init__(self, size):
        super().__init__()
        self.size = size

    def __len__(self):
        return self.size

    def at(self, epoch, index):
        return index


def load(position, size, batch_size=2, processes=1, rank=0, seed=7, **options):
    options |= {"batch_size": batch_size, "processes": processes, "rank": rank, "collate_fn": list}
    return EpochLoader(Numbers(size), position, lambda: 1, seed=seed, order="", **options)


@pytest.mark.parametrize("size", [1, 2, 7, 24, 25])
@pytest.mark.parametrize("workers", [0, 1])
def test_all_items_come_once_however_often_the_sizes_change(size, workers):
    """In a draw of batch sizes and numbers of processes, each of which takes some steps."""
    drawn = random.Random(size)
    position, heard = EpochPosition(), []
    position.start(1, "")
    while position.items < size:
        processes, batch_size = drawn.randint(1, 3), drawn.randint(1, 4)
        loaders = [
            load(position, size, batch_size, processes, rank, num_workers=workers) for rank in range(processes)
        ]
        lengths, iterators = {len(loader) for loader in loaders}, [iter(loader) for loader in loaders]
        assert lengths == {-(-(size - position.items) // (processes * batch_size))}
        for _ in range(min(drawn.randint(1, 2), *lengths)):
            batches = [next(iterator) for iterator in iterators]
            assert max(map(len, batches)) - min(map(len, batches)) <= 1
            heard += [item for batch in batches for item in batch]
            position.items = loaders[0].next_position
    assert sorted(heard) == list(range(size))
    assert sorted(epoch_order(size, 7, 1)) == list(range(size))


def test_an_order_is_that_of_seed_and_epoch():
    orders = [tuple(epoch_order(50, seed, epoch)) for seed in (1, 5) for epoch in (1, 2)]
    assert len(set(orders)) == 4
    assert epoch_order(50, 5, 2) == list(orders[3])


def test_whole_steps_only_where_the_recipe_says_so():
    position = EpochPosition()
    loader = load(position, 11, batch_size=2, processes=2, rank=1, drop_last=True)
    assert [len(batch) for batch in loader] == [2, 2]
    assert (len(loader), loader.end) == (2, 8)


def test_other_items_in_mid_epoch_are_refused(tmp_path):
    position = EpochPosition()
    checkpointer = Checkpointer(tmp_path, {"position": position})
    position.start(3, describe_order(["a", "b", "c"], 3, seed=1))
    position.items = 2
    checkpointer.save_checkpoint(end_of_epoch=False)
    for names, seed in (
        (["a", "b", "x"], 1),
        (["a", "b", "c", "d"], 1),
        (["a", "b", "c"], 2),
        (["a", "b", "c"], None),
    ):
        position.__init__()
        checkpointer.recover_if_possible()
        with pytest.raises(InputError, match=r"after 2 items of 3 items .*delete the last checkpoint") as caught:
            position.start(3, describe_order(names, len(names), seed))
        assert "\n" not in str(caught.value)
        position.start(4, describe_order(names, len(names), seed))  # the next epoch may differ
    assert describe_order(None, 8, None) == describe_order(None, 80, None)


class Items(EpochDataset):
    """Six items of noise."""

    def __len__(self):
        return 6

    def at(self, epoch, index):
        sources = torch.randn(800, 2, generator=torch.Generator().manual_seed(index))
        return Fetched({"id": str(index), "mixture": sources.sum(1), "sources": sources})


def brain_with(tmp_path, batch_size, factor, **hparams):
    """A brain and the loader of six items in their order."""
    brain = make_brain(tmp_path, {"num_spks": 2} | hparams, grad_accumulation_factor=factor)
    counter, position = brain.hparams.epoch_counter, EpochPosition()
    brain.checkpointer.add_recoverable("counter", counter)
    brain.checkpointer.add_recoverable("position", position, optional_load=True)
    options = {"batch_size": batch_size, "seed": None, "order": "", "collate_fn": collate}
    return brain, EpochLoader(Items(), position, lambda: counter.current, **options)


@pytest.mark.parametrize(("batch_size", "factor"), [(1, 6), (6, 1), (2, 3), (1, 10), (4, 2), (5, 2), (3, 5)])
def test_the_gradient_is_the_mean_of_all_items_however_they_are_divided(tmp_path, batch_size, factor):
    """In batches that are added up, of which the last has fewer items, or which the epoch has fewer of."""
    gradients = []

    def fit(batch_size, factor):
        brain, loader = brain_with(tmp_path, batch_size, factor)
        step = brain.optimizers_step
        brain.optimizers_step = lambda: (gradients.append(gradient_of(brain)), step())
        brain.fit(brain.hparams.epoch_counter, loader, progressbar=False)
        return brain

    fit(6, 1)
    brain = fit(batch_size, factor)
    assert len(gradients) == 2  # one step each
    assert brain.hparams.ledger.items == 6
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)


def gradient_of(brain):
    return torch.cat([parameter.grad.flatten() for parameter in brain.modules.parameters()])


def test_checkpoints_are_made_where_no_gradient_waits(tmp_path):
    """What is added up is in no checkpoint: a kill would lose its items."""
    brain, loader = brain_with(tmp_path, 1, 4)
    brain.ckpt_interval_steps, brain.ckpt_interval_minutes, saved = 1, 0, []
    brain.checkpointer.save_and_keep_only = lambda **_: saved.append((brain.step, loader.position.items))
    brain.fit(brain.hparams.epoch_counter, loader, progressbar=False)
    assert saved == [(4, 4), (6, 6)]


def test_a_checkpoint_of_an_earlier_version_goes_on_by_batches_and_says_so(tmp_path, caplog):
    brain, loader = brain_with(tmp_path, 2, 1)
    del brain.checkpointer.recoverables["position"]
    brain.on_fit_start()
    brain.hparams.epoch_counter.current, brain.step = 1, 2
    brain.checkpointer.save_checkpoint(end_of_epoch=False)
    again, loader = brain_with(tmp_path, 2, 1, epoch_counter=EpochCounter(1))
    again.checkpointer.checkpoints_dir = brain.checkpointer.checkpoints_dir
    with caplog.at_level("WARNING"):
        again.fit(again.hparams.epoch_counter, loader, progressbar=False)
    assert "2 batches are taken for 4 items" in caplog.text
    assert again.hparams.ledger.items == 2


# Trains with a checkpoint after every second batch; each process kills itself in a certain one. What was heard is
# kept in the checkpoints, so that it goes back with the weights.
TRAIN = """
import json, os, signal, sys
import torch.distributed as dist
from speechbrain.utils.checkpoints import register_checkpoint_hooks, mark_as_saver, mark_as_loader
from speechbrain_tasnet.experiment import workflow
from speechbrain_tasnet.training.distributed import gather
out, kill = sys.argv[1], int(sys.argv[2])
@register_checkpoint_hooks
class Heard:
    all, own = [], []
    @mark_as_saver
    def save(self, path):
        open(path, "w").write(json.dumps(self.all))
    @mark_as_loader
    def load(self, path, end_of_epoch):
        self.all = json.load(open(path))
heard = Heard()
class Brain(workflow.SeparationBrain):
    batches = 0
    def on_fit_start(self):
        self.checkpointer.add_recoverable("heard", heard)
        super().on_fit_start()
    def compute_objectives(self, predictions, batch, stage):
        if stage.name == "TRAIN":
            self.batches += 1
            if self.batches == kill:
                os.kill(os.getpid(), signal.SIGKILL)
            heard.own += [[self.hparams.epoch_counter.current, name] for name in batch.id]
        return super().compute_objectives(predictions, batch, stage)
    def _save_intra_epoch_ckpt(self):
        heard.all, heard.own = heard.all + gather(heard.own), []
        super()._save_intra_epoch_ckpt()
    def on_stage_end(self, stage, *rest):
        super().on_stage_end(stage, *rest)
        if stage.name == "VALID":
            json.dump(heard.all, open(f"{out}/heard.json", "w"))
workflow.SeparationBrain = Brain
workflow.run(sys.argv[3:])
"""
TORCHRUN = ["-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone", "--local_addr=127.0.0.1"]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}


def train(folder, words, kill, processes, batch_size, accumulation=1):
    """Train until the kill, or to the end."""
    (folder / "train.py").write_text(TRAIN)
    command = [sys.executable, *(TORCHRUN if processes == 2 else []), str(folder / "train.py"), str(folder)]
    words = [str(kill), *words, "--output_folder", str(folder / "run"), "--batch_size", str(batch_size)]
    words += ["--grad_accumulation_factor", str(accumulation), "--ckpt_interval_steps", "2"]
    done = subprocess.run([*command, *words], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert "InputError" not in done.stderr, done.stderr
    if kill:
        assert done.returncode == (-signal.SIGKILL if processes == 1 else 1), done.stderr
    else:
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def two_epochs(corpus, tiny):
    """A recipe of two epochs of the corpus's five items, which two processes cannot share equally."""
    words = [*tiny]
    del words[words.index("--batch_size") : words.index("--batch_size") + 2]
    words += ["--number_of_epochs", "2", "--distributed_backend", "gloo", "--ckpt_interval_minutes", "0"]
    return ["wsj0mix", "--data_folder", str(corpus), *words]


def check_heard(folder, corpus, epochs):
    """Check that each item was heard once in each epoch, and that the ledger knows it."""
    names = [path.stem for path in (corpus / "wav8k/min/tr/mix").glob("*.wav")]
    heard = Counter(map(tuple, json.loads((folder / "heard.json").read_text())))
    assert heard == Counter((epoch, name) for epoch in range(1, epochs + 1) for name in names)
    ledger = json.loads((folder / "run/ledger.json").read_text())
    assert ledger["items"] == epochs * len(names)
    assert ledger["audio"] == pytest.approx(0.5 * ledger["items"])  # segments of half a second
    return ledger


@pytest.mark.long
def test_kills_and_other_sizes_lose_nothing(corpus, two_epochs, tmp_path):
    train(tmp_path, two_epochs, kill=4, processes=1, batch_size=1)
    train(tmp_path, two_epochs, kill=3, processes=2, batch_size=1)
    train(tmp_path, two_epochs, kill=0, processes=1, batch_size=2)
    ledger = check_heard(tmp_path, corpus, epochs=2)
    log = (tmp_path / "run/log.txt").read_text()
    # Two items of the first process's three; then two of the second epoch's by two; batches of two from there.
    assert "Resuming after 0 complete epochs and 1 steps of the next" in log
    assert max(len(digits.split()) for digits in ledger["checksums"].values()) == 2  # of two processes
    assert (tmp_path / "run/report.html").exists()


@pytest.mark.long
def test_twenty_kills(corpus, two_epochs, tmp_path):
    words = [*two_epochs]
    epochs = 81  # a kill comes in the fifth batch at the latest, and an epoch may have just one
    words[words.index("--number_of_epochs") + 1] = str(epochs)
    drawn = random.Random(0)
    for _ in range(20):
        processes, batch_size, accumulation = (
            drawn.choice((1, 2)),
            drawn.choice((1, 2, 3)),
            drawn.choice((1, 1, 2)),
        )
        train(tmp_path, words, drawn.randint(3, 5), processes, batch_size, accumulation)
    train(tmp_path, words, 0, 2, 2)
    check_heard(tmp_path, corpus, epochs)
