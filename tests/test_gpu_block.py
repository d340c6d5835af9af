"""Which path a training on a GPU takes is measured once and kept with its checkpoints."""

import importlib
import logging
from types import SimpleNamespace

import pytest

from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.experiment import gpu_block
from speechbrain_tasnet.training.dry_run import Forecast

HOUR = 3600.0


@pytest.fixture
def choice(monkeypatch):
    pytest.importorskip("triton")
    module = importlib.import_module("speechbrain_tasnet.ops.gpu.choice")
    monkeypatch.setattr(module, "_trusted", {})
    monkeypatch.setattr(module, "_preferred", ["triton"])
    monkeypatch.delenv(module.VARIABLE, raising=False)
    return module


@pytest.fixture
def start(choice, monkeypatch, tmp_path):
    """Start a training: returns which path it takes, and which was measured, if any."""

    def run(compiled=1.0, whole=HOUR, device="cuda"):
        measured = []

        def time_step(brain, items, longest):
            measured.append(choice.order()[0])
            if isinstance(compiled, Exception):
                raise compiled
            return compiled

        monkeypatch.setattr(gpu_block, "time_step", time_step)
        monkeypatch.setattr(choice, "_preferred", ["triton"])
        brain = SimpleNamespace(device_type=device, device="cpu")
        forecast = Forecast(8, 4.0, 1.0, 0.1, 10**9, 100, 1000, whole)
        gpu_block.settle(tmp_path, brain, forecast)
        return choice.order()[0], measured

    return run


@pytest.mark.parametrize(("seconds", "path"), [(0.5, "compiled"), (0.89, "compiled"), (0.95, "triton")])
def test_the_faster_path_is_taken_and_kept(start, caplog, seconds, path):
    with caplog.at_level(logging.INFO):
        assert start(seconds) == (path, ["compiled"])
    assert f"A step takes 1.000 s by Triton, {seconds:.3f} s compiled: {path}" in caplog.text
    assert start(2 - seconds) == (path, [])


def test_a_short_training_does_not_measure_then_or_later(start):
    assert start(0.5, whole=60.0) == ("triton", [])
    assert start(0.5) == ("triton", [])


def test_what_needs_more_memory_is_not_taken(start):
    assert start(InputError("a batch of 8 x 4.00 s does not fit")) == ("triton", ["compiled"])


def test_kernels_that_were_left_are_not_measured(start, choice):
    choice._trusted["triton", None] = False
    assert start(0.5) == ("triton", [])


def test_on_a_processor_nothing_is_decided(start, tmp_path):
    assert start(0.5, device="cpu") == ("triton", [])
    assert list(tmp_path.iterdir()) == []


def test_the_environment_decides_alone(start, choice, monkeypatch, tmp_path):
    monkeypatch.setenv(choice.VARIABLE, "reference")
    assert start(0.5) == ("reference", [])
    assert list(tmp_path.iterdir()) == []


def test_another_decision_is_refused(start, tmp_path):
    (tmp_path / gpu_block.FILE).write_text("fastest\n")
    with pytest.raises(InputError, match=r"gpu_block\.txt: holds 'fastest'; expected one of triton, compiled"):
        start()
