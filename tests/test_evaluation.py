import csv
import json
import math
import subprocess
import sys
from errno import ENOSPC
from pathlib import Path

import mir_eval
import numpy as np
import pytest
import scipy.stats
import torch

from speechbrain_tasnet.errors import DiskError, InputError
from speechbrain_tasnet.evaluation.by_condition import by_condition
from speechbrain_tasnet.evaluation.evaluator import Evaluator
from speechbrain_tasnet.system.files import write_text

RATE = 8000


def tones(*cycles, samples=4000):
    """Zero-mean orthogonal signals of power one half, [time, number of tones]."""
    phase = 2 * math.pi * torch.arange(samples, dtype=torch.float64) / samples
    return torch.stack([torch.sin(count * phase) for count in cycles], 1)


def murmur(samples=6000, sources=2, seed=0):
    """Noise with a spectrum and loudness that move like speech, [time, sources]."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(samples + 15, sources, generator=generator)
    smooth = noise.unfold(0, 16, 1).mean(2)
    loudness = torch.sin(torch.arange(samples)[:, None] / 900 + torch.arange(sources)).abs()
    return smooth * loudness + 0.02 * noise[:samples]


def score(mixture, targets, estimates, metrics=()):
    evaluator = Evaluator(RATE, metrics)
    evaluator.add("a", mixture, targets, estimates)
    return evaluator.rows[0]


def reference_sdr(targets, estimates):
    sdr, _, _, order = mir_eval.separation.bss_eval_sources(targets.T.numpy(), estimates.T.numpy())
    return sdr, order


@pytest.fixture
def three():
    """Three utterances of known improvement: about 40, 20 and 6 dB."""
    evaluator = Evaluator(RATE)
    for name, leak in (("b", 0.1), ("c", 0.01), ("a", 0.5)):
        targets = murmur(seed=ord(name))
        evaluator.add(name, targets.sum(1), targets, targets + leak * targets.flip(1))
    return evaluator


def test_si_snr_of_orthogonal_signals_is_known_whatever_order_scale_and_offset():
    first, second, noise = tones(20, 31, 47).T
    targets = torch.stack([first, 2 * second], 1)
    estimates = torch.stack([-7 * (2 * second + 0.2 * noise) + 3, 0.1 * (first + 0.1 * noise) - 5], 1)
    row = score(targets.sum(1), targets, estimates)
    assert row["si-snr_s1"] == pytest.approx(20, abs=1e-4)
    assert row["si-snr_s2"] == pytest.approx(20, abs=1e-4)
    # In the mixture, one voice is 6.02 dB under the other: the inputs are -6.02 and 6.02 dB.
    assert row["si-snr_i_s1"] == pytest.approx(20 + 20 * math.log10(2), abs=1e-4)
    assert row["si-snr_i_s2"] == pytest.approx(20 - 20 * math.log10(2), abs=1e-4)
    assert row["si-snr"] == pytest.approx(20, abs=1e-4)
    assert row["input_si-snr"] == pytest.approx(0, abs=1e-4)
    assert row["duration"] == 0.5
    assert row["level_difference"] == pytest.approx(20 * math.log10(2), abs=1e-4)


@pytest.mark.filterwarnings("ignore:mir_eval.separation:FutureWarning")
@pytest.mark.parametrize("samples", [100, 6000])
@pytest.mark.parametrize("sources", [2, 3])
def test_sdr_agrees_with_mir_eval(samples, sources):
    targets = murmur(samples, sources, seed=samples + sources).double()
    estimates = (targets + 0.3 * targets.roll(1, 1)).flip(1) + 0.01 * torch.rand_like(targets)
    mixture = targets.sum(1)
    row = score(mixture, targets, estimates, ["sdr"])
    expected, order = reference_sdr(targets, estimates)
    before, _ = reference_sdr(targets, mixture[:, None].expand_as(targets) + 1e-9 * torch.rand_like(targets))
    assert list(order) == list(range(sources))[::-1]
    assert row["sdr"] == pytest.approx(expected.mean(), abs=0.01)
    assert row["sdr_i"] == pytest.approx(expected.mean() - before.mean(), abs=0.01)


def test_sdr_stays_right_after_torch_was_told_its_threads():
    """From then on torch solves several systems at once wrongly, or not at all, on some processors."""
    code = (
        "import torch\n"
        "from test_evaluation import murmur, score\n"
        "torch.set_num_threads(2)\n"
        "targets = murmur().double()\n"
        "print(score(targets.sum(1), targets, targets + 0.1 * targets.roll(1, 1), ['sdr'])['sdr'])\n"
    )
    here = Path(__file__).parent
    done = subprocess.run([sys.executable, "-c", code], cwd=here, capture_output=True, text=True, check=True)
    assert float(done.stdout) == pytest.approx(20, abs=0.5)


@pytest.mark.parametrize("samples", [1, 2, 511, 512])
def test_short_utterances_have_finite_scores_or_none(samples):
    targets = murmur(samples, seed=samples)
    row = score(targets.sum(1), targets, targets + 0.1, ["sdr", "pesq", "stoi"])
    values = [value for name, value in row.items() if name != "snt_id" and value is not None]
    assert np.isfinite(values).all()
    assert row["pesq"] is None
    assert row["stoi"] is None


def test_extreme_estimates_have_finite_scores():
    targets = tones(20, 31)
    perfect = score(targets.sum(1), targets, targets, ["sdr"])
    nothing = score(targets.sum(1), targets, torch.zeros_like(targets), ["sdr", "pesq", "stoi"])
    assert perfect["sdr"] == pytest.approx(100, abs=0.5)
    assert nothing["sdr"] == -80
    assert nothing["si-snr"] == pytest.approx(-80)
    assert nothing["pesq"] is None


def test_silent_target_stays_out_of_the_mean():
    targets = murmur(sources=3)
    targets[:, 1] = 0
    evaluator = Evaluator(RATE)
    evaluator.add("a", targets.sum(1), targets, (targets + 0.1 * targets.flip(1)).roll(1, 1))
    (row,) = evaluator.rows
    assert row["si-snr"] == pytest.approx((row["si-snr_s1"] + row["si-snr_s3"]) / 2)
    assert row["si-snr"] > 10
    assert row["sdr"] > 10
    assert "si-snr_s2" not in row
    assert evaluator.summary()["silent_targets"] == 1


def test_target_alone_in_the_mixture_has_no_improvement_to_measure():
    targets = murmur()
    targets[:, 0] = 0
    evaluator = Evaluator(RATE)
    evaluator.add("alone", targets.sum(1), targets, targets + 0.1 * murmur(seed=1))
    evaluator.add("silence", torch.zeros(800), torch.zeros(800, 2), 0.1 * murmur(800))
    summary = evaluator.summary()
    assert summary["without_score"] == ["alone", "silence"]
    assert (summary["silent_targets"], summary["lone_targets"]) == (3, 1)
    assert summary["metrics"]["si-snr"]["count"] == 0
    assert summary["metrics"]["si-snr"]["mean"] is None
    assert evaluator.examples(lambda _: pytest.fail("there is nothing to show")) == []


def test_quality_metrics_are_those_of_their_packages_on_ordered_estimates():
    from pesq import pesq
    from pystoi import stoi

    targets = murmur(16000).double()
    estimates = targets + 0.3 * targets.flip(1)
    row = score(targets.sum(1), targets, estimates.flip(1), ["stoi", "pesq"])
    pairs = list(zip(targets.T.numpy(), estimates.T.numpy(), strict=True))
    assert row["pesq"] == pytest.approx(np.mean([pesq(RATE, *pair, "nb") for pair in pairs]))
    assert row["stoi"] == pytest.approx(np.mean([stoi(*pair, RATE) for pair in pairs]))


def test_unusable_metrics_are_refused_before_any_work(monkeypatch):
    with pytest.raises(InputError, match=r"'sisdr' is unknown: choose from sdr, pesq, stoi"):
        Evaluator(RATE, ["sdr", "sisdr"])
    with pytest.raises(InputError, match="pesq at 44100 Hz"):
        Evaluator(44100, ["pesq"])
    monkeypatch.setitem(sys.modules, "pystoi", None)
    with pytest.raises(InputError, match=r"pip install 'speechbrain-tasnet\[quality\]'"):
        Evaluator(RATE, ["stoi"])


def test_unusable_utterances_are_refused(three):
    targets = murmur()
    with pytest.raises(InputError, match="'a' appears twice"):
        three.add("a", targets.sum(1), targets, targets)
    with pytest.raises(InputError, match="'d' has estimates with NaN"):
        three.add("d", targets.sum(1), targets, targets / 0)
    with pytest.raises(ValueError, match=r"\[6000\], \[6000, 2\], \[6000, 1\]"):
        three.add("d", targets.sum(1), targets, targets[:, :1])


def test_summary_has_the_student_t_interval(three):
    gains = [row["si-snr_i"] for row in three.rows]
    gain = three.summary()["metrics"]["si-snr_i"]
    error = scipy.stats.sem(gains)
    assert gain["ci95"] == pytest.approx(scipy.stats.t.interval(0.95, 2, np.mean(gains), error))
    assert gain["mean"] == pytest.approx(np.mean(gains))
    assert gain["std"] == pytest.approx(np.std(gains, ddof=1))
    assert (gain["median"], gain["min"], gain["max"]) == (sorted(gains)[1], min(gains), max(gains))
    assert gain["count"] == 3


def test_utterances_that_got_worse_are_listed_worst_first(three):
    for name, share in (("d", 1.5), ("e", 3)):
        targets = murmur(seed=ord(name))
        noise = murmur(sources=1, seed=99) * share
        three.add(name, targets.sum(1), targets, targets + targets.flip(1) + noise)
    assert three.summary()["not_improved"] == ["e", "d"]


def test_improvement_is_told_by_level_difference_and_length():
    evaluator, (first, second, noise) = Evaluator(RATE, ()), tones(20, 31, 47, samples=20000).T
    for name, amplitude, seconds, leak in (("a", 1.05, 2.5, 0.1), ("b", 1.1, 1.0, 0.01), ("c", 1.6, 1.5, 0.1)):
        targets = torch.stack([first, amplitude * second], 1)[: int(seconds * RATE)]
        estimates = targets + leak * noise[: len(targets), None] * torch.tensor([1, amplitude])
        evaluator.add(name, targets.sum(1), targets, estimates)
    evaluator.add("silent", first, torch.stack([first, 0 * first], 1), torch.stack([first, second], 1))
    conditions = evaluator.summary()["conditions"]
    assert {name: list(groups) for name, groups in conditions.items()} == {
        "level difference": ["below 1 dB", "2.5 to 5 dB"],
        "length": ["below 2 s", "2 to 3 s"],
        "voices": ["high"],
    }
    levels, lengths = conditions["level difference"], conditions["length"]
    assert levels["below 1 dB"]["mean"] == pytest.approx(30, abs=0.5)
    assert levels["2.5 to 5 dB"]["mean"] == pytest.approx(20, abs=0.5)
    assert (lengths["below 2 s"]["count"], lengths["2 to 3 s"]["mean"]) == (2, pytest.approx(20, abs=0.5))


def test_groups_begin_with_their_lower_edge_and_the_last_has_no_end():
    rows = [{"si-snr_i": gain, "level_difference": None, "duration": 2.0 * gain} for gain in (1.0, 5.0, 50.0)]
    lengths = by_condition(rows)["length"]
    assert {name: group["count"] for name, group in lengths.items()} == {"2 to 3 s": 1, "10 s and more": 2}


def test_one_utterance_has_no_interval():
    targets = murmur()
    evaluator = Evaluator(RATE, [])
    evaluator.add("a", targets.sum(1), targets, targets + 0.1 * targets.flip(1))
    gain = evaluator.summary()["metrics"]["si-snr_i"]
    assert (gain["ci95"], gain["std"], gain["count"]) == (None, None, 1)
    assert list(evaluator.summary()["metrics"]) == ["si-snr", "si-snr_i"]


@pytest.mark.parametrize(
    ("scored", "expected"),
    [
        (1, [("best", "0")]),
        (2, [("best", "1"), ("worst", "0")]),
        (5, [("best", "4"), ("median", "2"), ("worst", "0")]),
    ],
)
def test_examples_are_the_best_median_and_worst_in_target_order(scored, expected):
    def separate(name):
        targets = murmur(seed=int(name))
        return targets.sum(1), targets, (targets + targets.flip(1) / (2 + int(name))).flip(1)

    evaluator = Evaluator(RATE, [])
    for name in map(str, range(scored)):
        evaluator.add(name, *separate(name))
    examples = evaluator.examples(separate)
    assert [(example.rank, example.row["snt_id"]) for example in examples] == expected
    for example in examples:
        torch.testing.assert_close(example.estimates, separate(example.row["snt_id"])[2].flip(1))


def test_utterances_are_ranked_by_what_was_gained():
    targets, noise = murmur(), murmur(seed=99)
    evaluator = Evaluator(RATE, [])
    evaluator.add("easy", targets.sum(1), targets, targets + 0.5 * noise)
    evaluator.add("hard", targets.sum(1) + 10 * noise[:, 0], targets, targets + noise)
    easy, hard = evaluator.rows
    assert easy["si-snr"] > hard["si-snr"]
    assert easy["si-snr_i"] < hard["si-snr_i"]
    examples = evaluator.examples(lambda name: (targets.sum(1), targets, targets))
    assert [(example.rank, example.row["snt_id"]) for example in examples] == [("best", "hard"), ("worst", "easy")]


def test_what_several_processes_have_scored_is_one_account(three):
    targets = murmur(seed=7)
    other = Evaluator(RATE)
    other.add("z", targets.sum(1), targets * torch.tensor([1.0, 0.0]), targets)
    other.leave_out("gone")
    before = three.summary()
    three.merge(other)
    after = three.summary()
    assert after["utterances"] == before["utterances"] + 1
    assert after["bad_items"] == ["gone"]
    assert after["silent_targets"] == before["silent_targets"] + 1
    assert [row["snt_id"] for row in three.rows][-1] == "z"


def test_results_are_written_as_the_toolkit_names_them(three, tmp_path):
    three.add("0", torch.zeros(800), torch.zeros(800, 2), murmur(800))
    three.write(tmp_path / "new")
    with open(tmp_path / "new/test_results.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert header[:5] == ["snt_id", "sdr", "sdr_i", "si-snr", "si-snr_i"]
    assert [row[0] for row in rows] == ["0", "a", "b", "c"]
    assert rows[0][1:7] == ["", "", "", "", "0.1000", ""]
    for row, expected in zip(rows[1:], three.rows[1:], strict=True):
        assert float(row[3]) == pytest.approx(expected["si-snr"], abs=1e-4)
        assert float(row[header.index("si-snr_i_s2")]) == pytest.approx(expected["si-snr_i_s2"], abs=1e-4)
    text = (tmp_path / "new/test_results.json").read_text()
    summary = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert summary == three.summary()
    assert (summary["sample_rate"], summary["utterances"]) == (RATE, 4)
    assert summary["without_score"] == ["0"]


def test_no_utterance_is_written_as_such(tmp_path):
    Evaluator(RATE).write(tmp_path)
    assert (tmp_path / "test_results.csv").read_text().startswith("snt_id,sdr,sdr_i,si-snr,si-snr_i,")
    assert json.loads((tmp_path / "test_results.json").read_text())["utterances"] == 0


def test_reader_keeps_the_file_it_opened(tmp_path):
    path = tmp_path / "results.csv"
    write_text(path, "old")
    with open(path) as reader:
        write_text(path, "new")
        assert reader.read() == "old"
    assert path.read_text() == "new"


def test_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "results.csv"
    write_text(path, "old")

    def full_disk(self, text, **_):
        with open(self, "w") as file:
            file.write(text[:2])
        raise OSError(ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full_disk)
    with pytest.raises(DiskError, match="No space"):
        write_text(path, "new content")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_ids_that_a_spreadsheet_would_run_are_made_harmless(tmp_path):
    sources, noise = torch.randn(2, 8000, 2)
    evaluator = Evaluator(8000, metrics=())
    evaluator.add("=1+1", sources.sum(1), sources, sources + noise)
    evaluator.write(tmp_path)
    _, row = csv.reader((tmp_path / "test_results.csv").read_text().splitlines())
    assert row[0] == "'=1+1"
    assert float(row[1]) < 10  # a number stays one, with its sign
