"""Who speaks when, and its error rate: known answers, and how they reach results and report."""

import csv
import json

import pytest
import torch

from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.evaluation.diarization import diarization_errors, error_shares, turns_heard, turns_spoken
from speechbrain_tasnet.evaluation.evaluator import Evaluator
from speechbrain_tasnet.evaluation.metrics import check_metrics
from speechbrain_tasnet.report.timeline import lay_out_timeline

RATE = 8000


def voices(*spoken, seconds=10):
    """Noise for voices, each speaking from and to a second."""
    time = torch.arange(seconds * RATE) / RATE
    generator = torch.Generator().manual_seed(0)
    signals = [
        torch.randn(len(time), generator=generator) * ((start <= time) & (time < end)) for start, end in spoken
    ]
    return torch.stack(signals, 1).double()


def test_a_soft_voice_speaks_but_is_not_heard_beside_a_loud_one():
    targets = voices((0, 10), (2, 5)) * torch.tensor([1.0, 0.05])
    assert [turn[0] for turn in turns_spoken(targets, RATE)] == [0, 1]
    assert [turn[0] for turn in turns_heard(targets, RATE)] == [0]
    assert turns_spoken(targets, RATE)[1][1:] == pytest.approx((2, 5), abs=0.1)


def test_rounding_is_no_voice():
    targets = torch.stack([voices((0, 1), seconds=2)[:, 0], torch.zeros(2 * RATE).double()], 1)
    targets[::2, 1] = 2.0**-15
    assert [turn[0] for turn in turns_spoken(targets, RATE)] == [0]


def test_times_are_right_where_frames_are_not_ten_milliseconds():
    rate = 22050
    targets = torch.zeros(100 * rate, 1)
    targets[90 * rate : 95 * rate] = torch.randn(5 * rate, 1)
    [(_, start, end)] = turns_spoken(targets, rate)
    assert (start, end) == pytest.approx((90, 95), abs=0.1)


def test_nobody_speaks_after_the_end():
    targets = voices((0, 2.875), seconds=3)[: round(2.875 * RATE)]
    assert turns_spoken(targets, RATE) == turns_heard(targets, RATE) == [(0, 0.0, 2.875)]


@pytest.mark.parametrize(
    ("hypothesis", "errors"),
    [
        ([(0, 0.0, 6.0), (1, 4.0, 10.0)], (0, 0, 0)),
        ([(5, 0.0, 6.0), (3, 4.0, 10.0)], (0, 0, 0)),  # whatever they are called
        ([(0, 0.0, 6.0)], (6, 0, 0)),
        ([(0, 0.0, 6.0), (1, 4.0, 10.0), (2, 3.0, 5.0)], (0, 2, 0)),
        ([(0, 0.0, 10.0)], (2, 0, 4)),
        ([], (12, 0, 0)),
    ],
)
def test_errors_of_overlapped_speech(hypothesis, errors):
    reference = [(0, 0.0, 6.0), (1, 4.0, 10.0)]
    found = diarization_errors(reference, hypothesis, 12.0)
    missed, false_alarm, confusion = errors
    expected = {"speech": 12.0, "missed": missed, "false alarm": false_alarm, "confusion": confusion}
    assert found == pytest.approx(expected)


def test_recordings_count_by_the_time_in_which_voices_speak():
    short = diarization_errors([(0, 0.0, 1.0)], [], 1.0)
    long = diarization_errors([(0, 0.0, 9.0)], [(0, 0.0, 9.0)], 10.0)
    assert error_shares([short, long])["rate"] == pytest.approx(0.1)
    assert error_shares([diarization_errors([], [(0, 0.0, 1.0)], 1.0)]) is None


def test_an_evaluation_that_asks_for_it_writes_it(tmp_path):
    evaluator = Evaluator(RATE, ["der"])
    targets = voices((0, 6), (4, 10))
    evaluator.add("right", targets.sum(1), targets, targets + 0.01 * targets.flip(1))
    lost = targets.clone()
    lost[:, 1] *= 0.001
    evaluator.add("lost", targets.sum(1), targets, lost)
    evaluator.write(tmp_path)
    talk = json.loads((tmp_path / "test_results.json").read_text())["talk"]
    assert talk["der"] == pytest.approx({"rate": 0.25, "missed": 0.25, "false alarm": 0, "confusion": 0}, abs=0.01)
    rows = {row["snt_id"]: row for row in csv.DictReader((tmp_path / "test_results.csv").open())}
    assert float(rows["lost"]["missed"]) == pytest.approx(6, abs=0.2)
    assert rows["lost"]["found"] == "1"
    evaluator.add("nobody", targets.sum(1), targets, 0 * targets)
    evaluator.write(tmp_path)
    rows = {row["snt_id"]: row for row in csv.DictReader((tmp_path / "test_results.csv").open())}
    assert rows["nobody"]["found"] == "0"
    assert float(rows["right"]["missed"]) == pytest.approx(0, abs=0.2)


def test_it_asks_for_its_package(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyannote.metrics", None)
    with pytest.raises(InputError, match=r"'der' needs the package pyannote.metrics: pip install .*quality"):
        check_metrics(["der"], RATE)


def test_timeline_has_a_bar_for_each_turn():
    targets = voices((0, 3), (4, 10))
    estimates = targets.clone()
    estimates[:, 1] *= 0.001
    layout = lay_out_timeline(targets, estimates, RATE)
    x = layout["x"]
    turns = {(line["voice"], line["role"]): line["turns"] for line in layout["lines"]}
    (start, width) = turns[2, "reference"][0]
    assert (start, start + width) == pytest.approx((x(4), x(10)), abs=0.1 * (x(1) - x(0)))
    assert len(turns[1, "reference"]) == len(turns[1, "estimate"]) == 1
    assert turns[2, "estimate"] == []
    heights = [line["y"] for line in layout["lines"]]
    assert heights == sorted(set(heights))
    assert layout["height"] > heights[-1]
