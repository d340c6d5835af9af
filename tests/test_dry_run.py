"""Before the first step: a recipe checked as a whole, one batch run, and nothing left of it."""

import math
import random
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from speechbrain_tasnet import cli
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.experiment import workflow
from speechbrain_tasnet.training import dry_run


def snapshot(folder):
    """What is in a folder, with times of change."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def weights(folder):
    return {
        name: torch.load(next((folder / "save").glob("CKPT*")) / f"{name}.ckpt", weights_only=True)
        for name in ("encoder", "masknet", "decoder")
    }


@pytest.mark.parametrize("mixing", [False, True], ids=["corpus", "dynamic"])
def test_weights_are_the_same_with_and_without_it(corpus, speech_folder, tmp_path, tiny, monkeypatch, mixing):
    """And so they are the same twice from one seed."""
    arguments = ["wsj0mix", "--data_folder", str(corpus), *tiny, "--number_of_epochs", "1"]
    arguments += (
        ["--speech_folder", str(speech_folder), "--epoch_items", "8"] if mixing else ["--speeds", "[0.9,1.1]"]
    )
    with_it = weights(workflow.run([*arguments, "--output_folder", str(tmp_path / "with")]))
    monkeypatch.setattr(workflow, "rehearse", lambda *args, **kwargs: "no dry run")
    without = weights(workflow.run([*arguments, "--output_folder", str(tmp_path / "without")]))
    for module, values in with_it.items():
        for name, value in values.items():
            assert torch.equal(value, without[module][name]), name


def test_it_leaves_no_trace(corpus, tmp_path, tiny, trained):
    arguments = ["wsj0mix", "--data_folder", str(corpus), *tiny]
    before = snapshot(tmp_path), snapshot(trained)
    forecast = workflow.check([*arguments, "--output_folder", str(tmp_path / "a/new/one")])
    again = workflow.check([str(trained), "--noprogressbar", "--device", "cpu"])
    assert before == (snapshot(tmp_path), snapshot(trained))
    assert forecast[:2] == again[:2] == (2, 0.5)
    assert forecast.steps == math.ceil(len(list((corpus / "wav8k/min/tr/mix").iterdir())) / 2)


def test_random_states_and_modules_are_as_before(corpus, tmp_path, tiny):
    arguments = ["wsj0mix", "--data_folder", str(corpus), "--output_folder", str(tmp_path / "run"), *tiny]
    seen = []
    real = workflow.rehearse

    def watched(brain, *args, **kwargs):
        def state():
            drawn = torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()
            values = {name: value.clone() for name, value in brain.modules.state_dict().items()}
            return drawn, values, [p.grad for p in brain.modules.parameters()]

        before = state()
        forecast = real(brain, *args, **kwargs)
        seen.extend([before, state()])
        return forecast

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workflow, "rehearse", watched)
        workflow.check(arguments)
    (drawn, values, gradients), after = seen
    assert drawn == after[0]
    assert all(torch.equal(value, after[1][name]) for name, value in values.items())
    assert gradients == after[2] == [None] * len(gradients)


def test_the_command_line_has_it(corpus, tmp_path, tiny, capsys):
    arguments = ["--data_folder", str(corpus), "--output_folder", str(tmp_path / "run"), *tiny]
    cli.main(["train", "wsj0mix", "--check", *arguments])
    assert "Dry run: the largest batch, 2 x 0.50 s, takes" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        cli.main(["train", "wsj0mix", "--check", *arguments, "--presicion", "bf16"])
    assert "--presicion: neither a key" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_network_that_begins_with_nan_is_refused(corpus, tmp_path, tiny, monkeypatch):
    class Brain(workflow.SeparationBrain):
        def compute_forward(self, batch, stage):
            return super().compute_forward(batch, stage) * math.nan

    monkeypatch.setattr(workflow, "SeparationBrain", Brain)
    arguments = ["wsj0mix", "--data_folder", str(corpus), "--output_folder", str(tmp_path / "run"), *tiny]
    with pytest.raises(InputError, match="precision=fp32: loss or gradient of the first batch is not finite"):
        workflow.check(arguments)


@pytest.mark.parametrize("processes", [1, 2])
def test_several_processes_share_the_steps_and_the_validation(corpus, tmp_path, tiny, monkeypatch, processes):
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    arguments = ["wsj0mix", "--data_folder", str(corpus), "--output_folder", str(tmp_path / "run"), *tiny]
    forecast = workflow.check(arguments)
    mixtures = len(list((corpus / "wav8k/min/tr/mix").iterdir()))
    assert forecast.steps == math.ceil(mixtures / (2 * processes))


def test_several_processes_validate_in_a_part_of_the_time(monkeypatch):
    """Where no step is to be taken, all that is left is validation."""

    class Plan:
        epochs = 1

        def steps(self, *_):
            return 0

    hparams = SimpleNamespace(batch_size=2, num_workers=0)
    brain = SimpleNamespace(hparams=hparams, device="cpu")
    monkeypatch.setattr(dry_run, "_untouched", lambda brain: nullcontext())
    monkeypatch.setattr(dry_run, "_time_loading", lambda *_: 0.0)
    monkeypatch.setattr(dry_run, "_step", lambda *_, **__: (3.0, 9.0))
    whole = []
    for processes in (1, 3):
        monkeypatch.setenv("WORLD_SIZE", str(processes))
        whole.append(dry_run.rehearse(brain, [0, 0], 100.0, 1.0, Plan()).whole)
    assert whole == pytest.approx([150, 50])
