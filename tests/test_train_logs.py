"""What is written after each epoch, and about where a run came from."""

import json
import math
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest

from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.experiment import workflow
from speechbrain_tasnet.report.learning_curve import draw_learning_curve, learning_curve
from speechbrain_tasnet.system.provenance import git_state
from speechbrain_tasnet.training.loggers import TensorBoard

FIGURES = ("gradient norm", "largest gradient norm", "skipped steps", "audio per second", "waiting for data")


def test_each_epoch_tells_what_it_cost(trained):
    for line in (trained / "train_log.txt").read_text().splitlines()[:2]:
        values = {name: float(re.search(rf"train {name}: ([^,\s]+)", line)[1]) for name in FIGURES}
        assert 0 < values["gradient norm"] <= values["largest gradient norm"] < math.inf
        assert values["skipped steps"] == 0
        assert values["audio per second"] > 0
        assert 0 < values["waiting for data"] < 1
        assert 50 < float(re.search(r"train peak memory MB: ([^,\s]+)", line)[1]) < 50_000


def test_the_picture_shows_all_epochs(trained, tmp_path):
    picture = ElementTree.parse(trained / "learning_curve.svg").getroot()
    lines = [path.get("d") for path in picture.iter("{http://www.w3.org/2000/svg}path")]
    assert [line.count("L") for line in lines] == [1, 1]  # from epoch 1 to epoch 2, training and validation
    draw_learning_curve(learning_curve(tmp_path / "none_yet.json"), tmp_path / "none.svg", "a run")
    assert not (tmp_path / "none.svg").exists()


def test_a_curve_with_a_value_that_is_not_finite_is_drawn(tmp_path):
    (tmp_path / "ledger.json").write_text('{"curve": [{"epoch": 1, "train": NaN, "valid": 2.0}]}')
    draw_learning_curve(learning_curve(tmp_path / "ledger.json"), tmp_path / "curve.svg", "a & b")
    assert "a &amp; b" in (tmp_path / "curve.svg").read_text()


def test_the_run_knows_where_it_came_from(trained):
    starts = json.loads((trained / "runs.json").read_text())
    assert starts[0]["command"][:3] == ["tasnet", "train", "wsj0mix"]
    assert {"torch", "speechbrain", "speechbrain_tasnet"} <= set(starts[0]["versions"])
    assert "batch_size: 2" in (trained / "hyperparams.yaml").read_text()


def test_the_state_of_a_checkout(tmp_path):
    assert git_state(tmp_path) is None
    commands = "git init -q; echo 1 > a; git add a; git -c user.name=a -c user.email=a@b commit -qm a; echo 2 > a"
    subprocess.run(commands, shell=True, cwd=tmp_path, check=True)
    state = git_state(tmp_path)
    assert len(state["revision"]) == 40
    assert state["changed"] == ["a"]


def test_tensorboard_goes_on_counting_after_a_resume(corpus, tmp_path, tiny):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    arguments = ["wsj0mix", "--data_folder", str(corpus), "--output_folder", str(tmp_path), *tiny]
    for epochs in ("1", "2"):
        workflow.run([*arguments, "--tensorboard", "True", "--number_of_epochs", epochs])
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    valid = events.Scalars("si-snr/valid")
    assert [event.step for event in valid] == [1, 2]
    curve = learning_curve(tmp_path / "ledger.json")
    assert [-event.value for event in valid] == pytest.approx([point["valid"] for point in curve], abs=0.01)
    assert {"gradient norm/train", "learning rate", "si-snr/test"} <= set(events.Tags()["scalars"])
    assert len(json.loads((tmp_path / "runs.json").read_text())) == 2


def test_tensorboard_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(InputError, match=r"needs the package tensorboard: pip install .*\[tensorboard\]"):
        TensorBoard(tmp_path)
