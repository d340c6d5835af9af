"""What a study says of its results: statistics, the sentence above them, charts, LaTeX."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from speechbrain_tasnet.study.figures import LINE, curves, scatter
from speechbrain_tasnet.study.headline import headline
from speechbrain_tasnet.study.outcomes import Outcome
from speechbrain_tasnet.study.statistics import Pair, compare_all, either_way, holm
from speechbrain_tasnet.study.tables import escape


def test_statistics_against_known_numbers():
    """Differences of which all is known: R's t.test and wilcox.test with paired=TRUE, and p.adjust("holm")."""
    a = {
        "u1": 1.83,
        "u2": 0.50,
        "u3": 1.62,
        "u4": 2.48,
        "u5": 1.68,
        "u6": 1.88,
        "u7": 1.55,
        "u8": 3.06,
        "u9": 1.30,
    }
    b = {"u1": 0.878, "u2": 0.647, "u3": 0.598, "u4": 2.05, "u5": 1.06, "u6": 1.29, "u7": 1.06, "u8": 3.14}
    (pair,) = compare_all({"a": a, "b": b | {"u9": 1.29}})
    assert pair.wilcoxon == pytest.approx(0.0390625)  # from R's documentation of wilcox.test
    assert pair.count == 9
    assert pair.difference == pytest.approx(0.431889, abs=1e-6)
    (shorter,) = compare_all({"a": a, "b": b})
    assert shorter.count == 8  # what only one has is left out
    back = either_way([pair])["b", "a"]
    assert (back.difference, back.ci95) == (-pair.difference, (-pair.ci95[1], -pair.ci95[0]))
    assert holm([0.01, 0.02, 0.03]) == pytest.approx([0.03, 0.04, 0.04])
    assert holm([0.9, 0.6]) == [1.0, 1.0]


def test_a_difference_is_one_that_both_tests_find():
    for t, wilcoxon in ((0.01, 0.06), (0.06, 0.01)):
        doubtful = Pair("a", "b", 9, 1.0, (0.0, 2.0), 0.01, 0.01, t, wilcoxon)
        assert (doubtful.p, doubtful.differ) == (0.06, False)


def test_chance_alone_makes_no_difference_and_a_real_one_is_found():
    torch.manual_seed(0)
    hard = 3 * torch.randn(200)
    noise = [(hard + 0.5 * torch.randn(200)).tolist() for _ in range(10)]
    scores = {f"n{k}": {str(i): value for i, value in enumerate(values)} for k, values in enumerate(noise)}
    assert sum(pair.differ for pair in compare_all(scores)) == 0
    scores["better"] = {i: value + 0.3 for i, value in scores["n0"].items()}
    assert all(pair.differ for pair in compare_all(scores) if "better" in pair[:2])
    same = compare_all({"a": scores["n0"], "b": scores["n0"]})[0]
    assert (same.t, same.wilcoxon, same.differ) == (1.0, 1.0, False)


def outcome(name, gain, half=0.2, cost=1e9):
    metrics = {"si-snr_i": {"mean": gain, "ci95": [gain - half, gain + half], "count": 9}, "sdr_i": {"mean": gain}}
    costs = {"macs_per_second": cost, "parameters": 1e6}
    spent = [{"steps": k, "seconds": 60.0 * k, "joules": None, "valid": gain * k / 9} for k in range(1, 10)]
    return Outcome(name, {}, None, costs, {"curve": spent}, metrics)


def pair(first, second, difference, p):
    return Pair(first, second, 9, difference, (difference - 1, difference + 1), p, p, p, p)


@pytest.mark.parametrize(
    ("gains", "p", "sentence"),
    [
        ([], 0, "No contestant has finished."),
        ([8], 0, "a gains +8.0 dB SI-SNR (95 % interval 7.8 to 8.2)."),
        ([8, 9], 0.01, "b is ahead with +9.0 dB SI-SNR (95 % interval 8.8 to 9.2), 1.0 dB more than a."),
        ([8, 9], 0.2, "b and a cannot be told apart: +9.0 and +8.0 dB SI-SNR."),
        ([6, 7, 8, 9], 0.2, "d has +9.0 dB SI-SNR (95 % interval 8.8 to 9.2), but 3 of 3 others cannot be told "
         "apart from it."),
    ],
)  # fmt: skip
def test_the_headline_says_no_more_than_the_tests(gains, p, sentence):
    done = [outcome(name, gain) for name, gain in zip("abcd", gains, strict=False)]
    both = either_way(
        [
            pair(a.name, b.name, gains[i] - gains[j], p)
            for i, a in enumerate(done)
            for j, b in enumerate(done)
            if i < j
        ]
    )
    assert headline(done, both) == sentence


def test_names_in_charts_lie_apart_and_within():
    done = [outcome(f"contestant {k}", 9 + 0.02 * k, cost=1e9 + 1e6 * k) for k in range(12)]
    chart = scatter(done, "gmacs_per_second")
    assert len(chart["labels"]) == len(chart["points"]) == 12
    assert scatter(done[:1], "gmacs_per_second") is None
    by_time = curves(done)[1]
    assert by_time["unit"] == "minutes"
    ys = sorted(label.y for label in by_time["labels"])
    assert all(b - a >= LINE for a, b in pairwise(ys))
    assert 0 < ys[0] < ys[-1] <= 190
    assert [chart["unit"] for chart in curves(done)] == ["steps", "minutes"]  # energy is not known


@pytest.mark.parametrize("step", [60, 100, 600])
def test_the_first_of_ten_validations_does_not_flatten_the_rest(step):
    a = outcome("a", 9)
    a.ledger["curve"] = [
        {"steps": step * k, "seconds": 60.0 * (k + 1), "joules": None, "valid": [1, 8, 9][min(k, 3) - 1]}
        for k in range(1, 11)
    ]
    for chart in curves([a]):
        assert chart["y"].ticks[0] == 8


def test_names_lie_on_no_line():
    quick, slow = outcome("quick", 6.2), outcome("slow", 9)
    for point in slow.ledger["curve"]:
        point["seconds"] *= 1.5
    by_time = curves([quick, slow])[1]
    label = next(label for label in by_time["labels"] if label.name == "quick")
    line = [pair.split() for pair in by_time["lines"]["slow"].strip("Mh0").split("L")]
    xs, ys = np.array(line, dtype=float).T
    left = label.x if label.anchor == "start" else label.x - 27
    below = np.interp(np.arange(left, left + 27), xs, ys)
    assert (below > label.y).all() or (below < label.y - 8).all()


def test_latex_prints_a_name_as_it_is():
    assert (
        escape(r"50% & a_b\~^#$ {}") == r"50\% \& a\_b\textbackslash{}\textasciitilde{}\textasciicircum{}\#\$ \{\}"
    )
