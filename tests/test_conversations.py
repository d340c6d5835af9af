"""Conversations: nobody talks over himself, pauses and overlaps are as long and as often as asked."""

from itertools import pairwise

import numpy as np
import pytest

from speechbrain_tasnet.data.conversations import Turn, TurnTaking, overlap_ratio
from speechbrain_tasnet.errors import InputError


def converse(talk, speakers, seconds=3600.0, seed=0):
    """A long conversation of utterances of 1 to 9 s."""
    rng = np.random.default_rng(seed)

    def utterance(speaker):
        return int(rng.integers(100)), float(rng.uniform(1, 9))

    return talk.draw(speakers, seconds, utterance, rng)


@pytest.mark.parametrize("probability", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("speakers", [1, 2, 3, 8])
def test_nobody_talks_over_himself_and_all_take_part(speakers, probability):
    turns = converse(TurnTaking(overlap=4.0, overlap_probability=(probability, probability)), speakers)
    assert {turn.speaker for turn in turns} == set(range(speakers))
    assert [turn.start for turn in turns] == sorted(turn.start for turn in turns)
    for speaker in range(speakers):
        for one, other in pairwise(turn for turn in turns if turn.speaker == speaker):
            assert other.start >= one.end
    if speakers > 1:
        assert all(one.speaker != other.speaker for one, other in pairwise(turns))


def test_pauses_have_their_mean():
    turns = converse(TurnTaking(pause=0.7, overlap_probability=(0.0, 0.0)), 2, seconds=20000.0)
    pauses = [other.start - one.end for one, other in pairwise(turns)]
    assert min(pauses) > 0
    assert np.mean(pauses) == pytest.approx(0.7, rel=0.05)


def test_so_many_turns_overlap():
    turns = converse(TurnTaking(overlap=0.5, overlap_probability=(0.3, 0.3)), 2, seconds=20000.0)
    ends = np.maximum.accumulate([turn.end for turn in turns])
    early = [turn.start < end for turn, end in zip(turns[1:], ends, strict=False)]
    assert np.mean(early) == pytest.approx(0.3, abs=0.03)
    lengths = [end - turn.start for turn, end in zip(turns[1:], ends, strict=False) if turn.start < end]
    assert np.mean(lengths) == pytest.approx(0.5, rel=0.1)


def test_overlap_goes_from_none_to_nearly_all():
    ratios = [
        overlap_ratio(
            converse(TurnTaking(overlap=overlap, overlap_probability=(probability, probability)), 2), 3600.0
        )
        for overlap, probability in ((2.0, 0.0), (2.0, 0.5), (2.0, 1.0), (60.0, 1.0))
    ]
    assert ratios == sorted(ratios)
    assert ratios[0] == 0
    assert ratios[-1] > 0.7


def test_nobody_says_nothing_and_no_turn_begins_after_the_end():
    assert converse(TurnTaking(), 0) == []
    assert all(turn.start < 30 for turn in converse(TurnTaking(), 3, seconds=30.0))


def test_the_same_seed_is_the_same_conversation():
    assert (
        converse(TurnTaking(), 3, seed=1) == converse(TurnTaking(), 3, seed=1) != converse(TurnTaking(), 3, seed=2)
    )


def test_the_ratio_of_overlap_ends_where_it_is_asked_to():
    turns = [Turn(0, 0, 0.0, 10.0), Turn(1, 0, 5.0, 10.0)]
    assert overlap_ratio(turns, 5.0) == 0
    assert overlap_ratio(turns, 10.0) == pytest.approx(0.5)
    assert overlap_ratio([], 10.0) == 0


@pytest.mark.parametrize("seconds", [1.0, 6.0])
def test_somebody_speaks_however_long_the_pauses(seconds):
    for seed in range(20):
        first = converse(TurnTaking(pause=1000.0), 2, seconds, seed)[0]
        assert first.start == 0 or 0 < first.start < first.end <= seconds  # heard whole where there is room


@pytest.mark.parametrize("speakers", [2, 3])
@pytest.mark.parametrize("ratio", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_the_overlap_is_as_much_as_asked_for(speakers, ratio):
    talk = TurnTaking(overlap_ratio=(ratio, ratio))
    minutes = [overlap_ratio(converse(talk, speakers, 60.0, seed), 60.0) for seed in range(100)]
    assert np.median(minutes) == pytest.approx(ratio, abs=0.06)
    assert np.mean(np.abs(np.array(minutes) - ratio) < 0.25) > 0.85


def test_any_overlap_is_drawn():
    talk = TurnTaking(overlap_ratio=(0.0, 1.0))
    minutes = [overlap_ratio(converse(talk, 2, 60.0, seed), 60.0) for seed in range(100)]
    assert min(np.histogram(minutes, 5, (0, 1))[0]) >= 10


def test_with_any_overlap_nobody_talks_over_himself():
    for seed in range(20):
        turns = converse(TurnTaking(overlap_ratio=(0.0, 1.0)), 3, 600.0, seed)
        assert [turn.start for turn in turns] == sorted(turn.start for turn in turns)
        for speaker in range(3):
            own = [turn for turn in turns if turn.speaker == speaker]
            assert own
            assert all(other.start >= one.end for one, other in pairwise(own))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pause": 0.0}, "pause=0.0: expected a mean"),
        ({"overlap": -1.0}, "overlap=-1.0: expected a mean"),
        ({"overlap_probability": (0.5, 1.2)}, "overlap_probability=0.5 to 1.2: expected two from 0 to 1"),
        ({"overlap_probability": (-0.1, 1.0)}, "overlap_probability=-0.1 to 1.0: expected two from 0 to 1"),
        ({"overlap_probability": (0.5, 0.2)}, "overlap_probability=0.5 to 0.2: .* the lower first"),
        ({"overlap_ratio": (0.5, 1.2)}, "overlap_ratio=0.5 to 1.2: expected two from 0 to 1"),
    ],
)
def test_what_is_no_way_to_talk(options, message):
    with pytest.raises(InputError, match=message):
        TurnTaking(**options)
