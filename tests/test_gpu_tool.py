"""The script for a GPU at hand: steps end at their limits, and leave what they printed."""

import pytest

from tools.gpu import Step, main, plan, run


def test_a_step_leaves_its_output(tmp_path, capsys):
    assert run(Step(1.0, ["pytest", "--version"]), tmp_path / "tests.log") == 0
    assert (tmp_path / "tests.log").read_text().startswith("pytest ")
    assert run(Step(1.0, ["no.such.module"]), tmp_path / "speed.log") == 1
    assert "No module named" in (tmp_path / "speed.log").read_text()
    assert "status 1" in capsys.readouterr().out


def test_a_step_is_ended_at_its_limit(tmp_path, capsys):
    assert run(Step(0.0, ["http.server", "0"]), tmp_path / "training.log") is None
    assert "ended at its limit" in capsys.readouterr().out


def test_all_steps_fit_into_what_is_lent(tmp_path):
    steps = plan(tmp_path, 4.0)
    assert sum(step.minutes for step in steps.values()) <= 15
    assert all(step.minutes <= 10 for step in steps.values())


def test_a_failed_step_fails_the_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("tools.gpu.plan", lambda *_: {"a": Step(0.0, ["http.server", "0"])})
    monkeypatch.setattr("sys.argv", ["gpu", "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match="1"):
        main()
