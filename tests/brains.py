"""Brains small enough to train in a test, on items of noise."""

import math
import tempfile

import torch
from speechbrain.utils.checkpoints import Checkpointer
from speechbrain.utils.epoch_loop import EpochCounter
from torch.utils.data import DataLoader

from speechbrain_tasnet import Decoder, Encoder, MaskNet
from speechbrain_tasnet.data.skipping import Fetched, collate
from speechbrain_tasnet.losses import SeparationLoss
from speechbrain_tasnet.training.bad_items import BadItems
from speechbrain_tasnet.training.brain import SeparationBrain
from speechbrain_tasnet.training.ledger import Ledger


def item(name, seed=None, size=800):
    """An item of noise; without a seed its mixture holds a NaN."""
    sources = torch.randn(size, 2, generator=torch.Generator().manual_seed(seed or 0))
    mixture = sources.sum(1)
    if seed is None:
        mixture[100] = math.nan
    return Fetched({"id": name, "mixture": mixture, "sources": sources})


GOOD = [item(f"good{seed}", seed) for seed in range(1, 7)]
BAD = item("spoilt")


def make_brain(tmp_path, hparams=None, kind=SeparationBrain, **options):
    torch.manual_seed(0)
    modules = {"encoder": Encoder(N=8, L=16), "masknet": MaskNet(N=8, B=4, H=8, Sc=4, X=2, R=1, C=2)}
    modules["decoder"] = Decoder(N=8, L=16)
    defaults = {
        "sample_rate": 8000,
        "loss_threshold": None,
        "step_scheduler": None,
        "metrics": [],
        "aligned_sources": True,
    }
    defaults |= {"epoch_counter": EpochCounter(limit=1), "bad_items": BadItems(tmp_path / "bad_items.csv", 0)}
    defaults |= {"ledger": Ledger(), "separation_loss": SeparationLoss(), "training_loss": SeparationLoss()}
    run_opts = {"device": "cpu", "noprogressbar": True, **options}
    checkpointer = Checkpointer(tempfile.mkdtemp(dir=tmp_path))
    return kind(
        modules, lambda p: torch.optim.Adam(p, lr=0.01), defaults | (hparams or {}), run_opts, checkpointer
    )


def load(*items, batch_size=1):
    return DataLoader(items, batch_size=batch_size, collate_fn=collate)


def fit(brain, *items, batch_size=1):
    brain.fit(brain.hparams.epoch_counter, load(*items, batch_size=batch_size), progressbar=False)
    return brain
