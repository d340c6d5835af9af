"""Before the first step: a recipe checked as a whole, one batch run, and nothing left of it."""

import math
import random

import numpy as np
import pytest
import torch

from speechbrain_tasnet import cli
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.experiment import workflow


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
