"""Training in which voices may be silent: what is minimised, what is logged, which checkpoint is the best."""

import json
import re

import pytest
import torch
from brains import fit, item, load, make_brain

from speechbrain_tasnet.configuration import loading
from speechbrain_tasnet.data.skipping import Fetched
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.experiment import workflow
from speechbrain_tasnet.losses import SeparationLoss, Targets
from speechbrain_tasnet.training.brain import SeparationBrain


def lone(name, seed):
    """One voice with nothing beside it, and a source for nobody."""
    voice = torch.randn(800, generator=torch.Generator().manual_seed(seed))
    return Fetched({"id": name, "mixture": voice, "sources": torch.stack([voice, 0 * voice], dim=1)})


def test_a_recipe_trains_on_conversations_and_keeps_the_checkpoint_of_the_lowest_loss(
    corpus, speech_folder, tiny, tmp_path
):
    words = ["wsj0mix", "--data_folder", str(corpus), *tiny, "--number_of_epochs", "2", "--epoch_items", "8"]
    words += ["--speech_folder", str(speech_folder), "--output_folder", str(tmp_path / "run")]
    words += [
        "--talk_share",
        "0.5",
        "--min_spks",
        "1",
        "--silent_share",
        "0.3",
        "--talk_overlap_ratio",
        "[0.0, 1.0]",
    ]
    folder = workflow.run([*words, "--loss", "snr", "--loss_silence", "power", "--loss_cap", "30"])
    epochs = (folder / "train_log.txt").read_text().splitlines()[:2]
    valid = [re.search(r"valid si-snr: (\S+), valid loss: (\S+), valid si-snr_i: (\S+)$", line) for line in epochs]
    losses = [float(found[2]) for found in valid]
    checkpoints = loading.read(words).build().checkpointer
    best = checkpoints.find_checkpoint(min_key="loss")
    assert best.meta["loss"] == pytest.approx(min(losses), abs=0.01)
    assert "train silent targets" in epochs[0]
    curve = json.loads((folder / "ledger.json").read_text())["curve"]
    assert [point["valid"] for point in curve] == pytest.approx([-loss for loss in losses], abs=0.01)
    assert json.loads((folder / "test_results.json").read_text())["metrics"]["si-snr_i"]["count"]


class Noted(SeparationBrain):
    """A Brain that keeps what it has observed of its last stage."""

    def on_stage_end(self, *args):
        self.observed = self.losses, self.improvements


def test_an_improvement_is_of_those_who_are_heard_with_something_else(tmp_path):
    loss = SeparationLoss("snr", "power", 30.0)
    brain = make_brain(tmp_path, {"separation_loss": loss, "training_loss": loss}, kind=Noted)
    fit(brain, item("mixed", 1), lone("lone", 2))
    losses, improvements = brain.observed
    assert (len(losses), len(improvements)) == (2, 1)


def test_only_training_has_sources_in_order(tmp_path):
    """Of a mixture whose sources change places, the loss in order is another, the best one is not."""
    first, second = item("as they are", 1), item("swapped", 1)
    second.item["sources"] = second.item["sources"].flip(1)
    brain = make_brain(tmp_path, {"training_loss": SeparationLoss(in_order=True)}, kind=Noted)
    train, improvements = fit(brain, first, second, batch_size=2).observed
    assert abs(train[0] - train[1]) > 0.1
    assert improvements[0] == pytest.approx(improvements[1])
    brain.evaluate(load(first, second), progressbar=False)
    test, _ = brain.observed
    assert test[0] == pytest.approx(test[1])


def test_what_is_mixed_is_known():
    voices, noise = torch.randn(4, 800, 2), 0.1 * torch.randn(4, 800)
    voices[1, :, 1] = voices[2, :, 1] = 0  # one voice, alone and with noise
    voices[3] = 0  # nobody
    mixture = voices.sum(2)
    mixture[2:] += noise[2:]
    assert Targets(voices).are_mixed(mixture).tolist() == [True, False, True, False]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--loss sdr", "loss='sdr': expected one of si-snr, snr, sa-sdr"),
        ("--loss_silence zero", "loss_silence='zero': expected power, mixture or null"),
        ("--loss sa-sdr --loss_silence power", "sa-sdr with silence by power"),
        ("--loss_cap -3", "loss_cap=-3: expected dB above 0"),
        ("--min_spks 3", "min_spks=3: expected at most num_spks=2"),
        ("--min_spks -1", "min_spks=-1: expected a whole number of at least 0"),
        ("--talk_share 2", "talk_share=2: expected a share"),
        ("--silent_share 2", "silent_share=2: expected a share"),
        ("--talk_overlap_ratio [1,0]", "expected two shares from 0 to 1, or null"),
        ("--source_order angle", "source_order='angle': expected best or location"),
        ("--source_order location", "source_order='location': expected mics above 1 and a speech_folder"),
        ("--talk_overlap_probability [1,0]", "expected two shares from 0 to 1"),
    ],
)
def test_what_a_recipe_must_not_say(corpus, option, message):
    with pytest.raises(InputError, match=re.escape(message)):
        loading.read(["wsj0mix", "--data_folder", str(corpus), *option.split()])
