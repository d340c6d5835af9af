"""Scores of mixtures in which some voices are silent: known answers."""

import pytest
import torch

from speechbrain_tasnet.evaluation.evaluator import Evaluator
from speechbrain_tasnet.evaluation.talk import count_voices, in_right_output, penalized, score_talk

RATE = 8000


def voices(*spoken, seconds=8):
    """Noise for voices, each speaking from and to a second, or never."""
    time = torch.arange(seconds * RATE) / RATE
    generator = torch.Generator().manual_seed(0)
    signals = [
        torch.randn(len(time), generator=generator) * ((span[0] <= time) & (time < span[1]) if span else 0 * time)
        for span in spoken
    ]
    return torch.stack(signals, 1).double()


def leaky(targets, db=-30.0):
    """What a separator gives that leaves so much of every voice in the other outputs."""
    others = targets.sum(1, keepdim=True) - targets
    return targets + 10 ** (db / 20) * others


def test_all_is_found_in_any_order():
    targets = voices((0, 6), (4, 8), None)
    scores = score_talk(targets.sum(1), targets, leaky(targets)[:, [2, 0, 1]], RATE)
    assert count_voices(targets, leaky(targets)[:, [2, 0, 1]], RATE) == {"speakers": 2, "found": 2}
    assert scores["right output"] == 1
    assert scores["silence"] == pytest.approx(-30, abs=0.1)
    assert scores["p_si-snr"] == pytest.approx(30, abs=2)
    assert scores["sa-sdr"] == pytest.approx(27, abs=0.5)  # each voice leaks into two outputs


@pytest.mark.parametrize(("spoken", "heard", "found"), [((0, 4), 1, 2), ((4, 8), 1, 2)])
def test_a_voice_in_two_outputs_is_one_too_many(spoken, heard, found):
    targets = voices(spoken, None)
    torn = torch.stack([0.6 * targets[:, 0], 0.4 * targets[:, 0]], 1)
    scores = score_talk(targets[:, 0], targets, torn, RATE)
    assert count_voices(targets, torn, RATE) == {"speakers": heard, "found": found}
    assert scores["silence"] == pytest.approx(-8, abs=0.1)


def test_a_missing_voice_costs_thirty_decibels():
    assert penalized(torch.tensor([[20.0], [-10.0]])) == pytest.approx((20 - 30) / 2)
    assert penalized(torch.tensor([[20.0, 3.0]])) == pytest.approx((20 - 30) / 2)
    assert penalized(torch.tensor([[20.0, 3.0, 0.0]])) == pytest.approx((20 - 60) / 3)
    assert penalized(torch.zeros(2, 0)) == -30
    assert penalized(torch.zeros(0, 0)) is None


def test_a_change_of_outputs_shows():
    targets = voices((0, 8), (0, 8))
    estimates = leaky(targets)
    estimates[6 * RATE :] = estimates[6 * RATE :].flip(1)
    scores = score_talk(targets.sum(1), targets, estimates, RATE)
    assert scores["right output"] == pytest.approx(6 / 8)


@pytest.mark.parametrize("speakers", [1, 2])
@pytest.mark.parametrize("outputs", [2, 3])
def test_what_is_in_no_output_is_not_in_the_right_one(speakers, outputs):
    targets = torch.zeros(8 * RATE, outputs).double()
    targets[:, :speakers] = voices(*[(0, 8)] * speakers)
    mixture = targets.sum(1)
    noise = torch.randn(targets.shape, generator=torch.Generator().manual_seed(1)).double()
    for nothing in (torch.zeros_like(targets), noise, mixture.unsqueeze(1).expand_as(targets)):
        assert score_talk(mixture, targets, nothing, RATE)["right output"] == 0


@pytest.mark.parametrize(("softer", "share"), [(0.0, 0), (4.0, 0), (6.0, 1), (20.0, 1)])
def test_a_torn_voice_is_not_in_the_right_output(softer, share):
    targets = voices((0, 8), None)
    torn = targets[:, [0, 0]] * torch.tensor([1.0, 10 ** (-softer / 20)])
    assert score_talk(targets[:, 0], targets, torn, RATE)["right output"] == share


def test_two_voices_in_one_output_leave_one_of_them_without():
    targets = voices((0, 8), (0, 8))
    joined = torch.stack([targets.sum(1), torch.zeros(8 * RATE)], 1).double()
    assert score_talk(targets.sum(1), targets, joined, RATE)["right output"] == 0.5


def test_a_voice_that_is_missing_for_seconds_is_not_in_the_right_output_then():
    targets = voices((0, 8), (0, 8))
    estimates = leaky(targets)
    estimates[2 * RATE : 4 * RATE, 1] = 0
    assert score_talk(targets.sum(1), targets, estimates, RATE)["right output"] == pytest.approx(14 / 16)


@pytest.mark.parametrize("level", [-20.0, -40.0])
def test_the_targets_themselves_are_right_however_soft_one_is(level):
    # Over a second, voices agree a little by chance: of a loud one that would be more than the soft one.
    time = torch.arange(8 * RATE).double() / RATE
    loud, soft = torch.sin(200 * torch.pi * time), torch.sin(200.3 * torch.pi * time + 1)
    targets = torch.stack([loud, 10 ** (level / 20) * soft], 1)
    assert in_right_output(targets, targets, [0, 1], RATE) == 1


def test_seconds_in_which_nobody_speaks_do_not_count():
    targets = voices((0, 2), (6, 8))
    assert in_right_output(targets, leaky(targets), [0, 1], RATE) == 1
    assert in_right_output(targets, leaky(targets), [1, 0], RATE) == 0
    assert in_right_output(targets[:, :0], targets, [], RATE) is None


def test_of_nobody_there_is_only_the_silence():
    noise = voices((0, 8))[:, 0]
    estimates = 0.001 * torch.stack([noise, noise], 1)
    scores = score_talk(noise, torch.zeros(len(noise), 2).double(), estimates, RATE)
    assert count_voices(torch.zeros(len(noise), 2).double(), estimates, RATE)["speakers"] == 0
    assert scores["silence"] == pytest.approx(-60, abs=0.1)
    assert scores["right output"] is scores["sa-sdr"] is None


def test_a_test_set_with_silent_targets_says_who_was_found():
    evaluator = Evaluator(RATE, ())
    for name, targets in (("both", voices((0, 6), (4, 8))), ("one", voices((0, 6), None))):
        noise = 0.01 * torch.randn(len(targets)).double()
        evaluator.add(name, targets.sum(1) + noise, targets, leaky(targets))
        if name == "both":
            assert evaluator.summary()["talk"] is None
    torn = voices((0, 6), None)
    evaluator.add("torn", torn[:, 0], torn, torn[:, [0, 0]])
    talk = evaluator.summary()["talk"]
    assert talk["confusion"] == {"1": {"1": 1, "2": 1}, "2": {"2": 1}}
    assert (talk["right"], talk["too few"], talk["too many"]) == pytest.approx((2 / 3, 0, 1 / 3))
    assert talk["by speakers"]["2"]["si-snr_i"]["count"] == 1
    assert "silence" not in talk["by speakers"]["2"]
    assert talk["all"]["p_si-snr"]["count"] == talk["all"]["sa-sdr"]["count"] == 3
    both, one = (talk["by speakers"][speakers]["p_si-snr"] for speakers in ("2", "1"))
    assert talk["all"]["p_si-snr"]["mean"] == pytest.approx((both["mean"] + 2 * one["mean"]) / 3)
    assert talk["by speakers"]["1"]["silence"]["max"] == pytest.approx(0, abs=0.1)
    assert talk["by speakers"]["1"]["si-snr"]["count"] == 2
