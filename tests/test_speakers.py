"""Turns are put together by what voices sound like, and people who share an output get one each."""

from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

from speechbrain_tasnet.separation.options import SeparationOptions
from speechbrain_tasnet.separation.recording import separate_recording, separate_voices
from speechbrain_tasnet.speakers.embedding import SIZE, embed
from speechbrain_tasnet.speakers.grouping import group_turns
from speechbrain_tasnet.speakers.same_speaker import log_likelihood_ratios
from speechbrain_tasnet.speakers.shared_outputs import part_speakers
from speechbrain_tasnet.speakers.tracking import track_speakers
from speechbrain_tasnet.speakers.turns import Turn, find_turns

RATE = 8000
PEOPLE = "train-001", "test-002", "valid-002"


@pytest.fixture(scope="module")
def speech(speech_folder) -> list[list[torch.Tensor]]:
    """Three utterances of each of three people, at the same level."""
    people = [
        [soundfile.read(file)[0] for file in sorted((speech_folder / name).glob("*.wav"))] for name in PEOPLE
    ]
    return [[torch.from_numpy(0.05 * said / said.std()).float() for said in person] for person in people]


def in_turns(speech, plan, seconds, outputs=3):
    """Place 2 s of utterances, (person, utterance, output, start in seconds) each, in outputs [time, outputs]."""
    sources = torch.zeros(round(seconds * RATE), outputs)
    for person, utterance, output, start in plan:
        begin = round(start * RATE)
        sources[begin : begin + 2 * RATE, output] += speech[person][utterance][: 2 * RATE]
    return sources


# Person 1 and person 2 share output 1.
SHARED = [(0, 0, 0, 0.5), (1, 0, 1, 3), (0, 1, 0, 6), (2, 0, 1, 9), (0, 2, 0, 12), (1, 1, 1, 15), (2, 1, 1, 18)]
PARTED = [(person, utterance, person, start) for person, utterance, _, start in SHARED]


def test_turns_of_one_person_are_more_alike_than_those_of_two(speech):
    embeddings = embed([said for person in speech for said in person], RATE)
    likeness = embeddings @ embeddings.T
    same = torch.block_diag(*3 * [torch.ones(3, 3)]) > 0
    assert likeness[same].min() > likeness[~same].max() + 0.15


def test_an_embedding_depends_neither_on_level_nor_on_rate(speech):
    said = speech[0][0]
    expected = embed([said], RATE)[0]
    torch.testing.assert_close(embed([100 * said], RATE)[0], expected, rtol=0, atol=1e-4)
    for rate in (11025, 16000, 44100):
        positions = np.arange(len(said) * rate // RATE) * RATE / rate
        finer = np.fft.irfft(np.fft.rfft(said.numpy()), len(positions)) * len(positions) / len(said)
        assert embed([torch.from_numpy(finer).float()], rate)[0] @ expected > 0.98


def test_turns_may_be_short_silent_or_none(speech):
    turns = [torch.zeros(0), torch.zeros(5), speech[0][0][:800], torch.zeros(RATE)]
    embeddings = embed(turns, RATE)
    assert embeddings.shape == (4, SIZE)
    assert embeddings.isfinite().all()
    assert embed([], RATE).shape == (0, SIZE)


def test_turns_are_where_somebody_is_heard(speech):
    turns, hop = find_turns(in_turns(speech, [(0, 0, 2, 1), (1, 0, 0, 4)], seconds=8), RATE)
    assert hop == 80
    assert {turn.output for turn in turns} == {0, 2}
    for turn in turns:
        start = {2: 100, 0: 400}[turn.output]
        assert start - 10 < turn.start < turn.end < start + 210


def test_who_speaks_at_once_is_not_one_person():
    turns = [Turn(0, 0, 200), Turn(1, 180, 400), Turn(1, 500, 600), Turn(0, 590, 800)]
    ratios = log_likelihood_ratios(turns, torch.ones(4, SIZE) / SIZE**0.5)
    assert np.array_equal(ratios, ratios.T)
    assert np.isneginf(ratios[0, 1])
    assert np.isfinite(ratios[2, 3])  # a tenth of a second: an output that is not quiet yet
    assert (np.isinf(ratios).sum(), ratios[0, 3] > ratios[0, 2] > 0) == (2, True)


def test_short_turns_show_less_than_long_ones():
    voices = torch.eye(SIZE)[[0, 0, 1]]
    long, short = (
        log_likelihood_ratios([Turn(0, 0, size), Turn(1, 1000, 1000 + size), Turn(2, 2000, 2000 + size)], voices)
        for size in (400, 40)
    )
    assert long[0, 1] > 2
    assert short[0, 2] > long[0, 2]
    mixed = log_likelihood_ratios([Turn(0, 0, 400), Turn(1, 1000, 1040), Turn(2, 2000, 2400)], voices)
    assert (mixed[0, 1], mixed[0, 2]) == pytest.approx((short[0, 1], long[0, 2]))


def naive_groups(ratios, most, bias):
    """Join the two groups that are most alike, until none are and there are few enough."""
    groups = [[turn] for turn in range(len(ratios))]
    while len(groups) > 1:
        likeness, first, second = max(
            (ratios[np.ix_(groups[first], groups[second])].mean() + bias, first, second)
            for first in range(len(groups))
            for second in range(first + 1, len(groups))
        )
        if np.isneginf(likeness) or (likeness < 0 and len(groups) <= most):
            break
        groups[first] += groups.pop(second)
    return {frozenset(group) for group in groups}


@given(st.integers(1, 9), st.integers(1, 4), st.floats(-3, 3), st.floats(0, 0.5), st.integers(0, 2**32 - 1))
def test_groups_are_those_of_the_readable_twin(turns, most, bias, apart, seed):
    draw = np.random.default_rng(seed)
    ratios = draw.normal(0, 5, (turns, turns))
    ratios[draw.random((turns, turns)) < apart] = -np.inf
    ratios = np.minimum(ratios, ratios.T)
    people = group_turns(ratios, most, bias)
    assert sorted(set(people)) == list(range(people.max() + 1))
    groups = {frozenset(np.flatnonzero(people == person).tolist()) for person in people}
    assert groups == naive_groups(ratios, most, bias)


def test_people_who_share_an_output_get_one_each(speech):
    sources = in_turns(speech, SHARED, 21)
    parted = part_speakers(sources[None], RATE)[0]
    torch.testing.assert_close(parted.sum(1), sources.sum(1))
    expected = in_turns(speech, PARTED, 21)
    # Whoever has spoken longest in the shared output keeps it.
    order = (
        [0, 1, 2] if torch.equal(parted[3 * RATE : 5 * RATE, 1], expected[3 * RATE : 5 * RATE, 1]) else [0, 2, 1]
    )
    torch.testing.assert_close(parted, expected[:, order])


def test_outputs_change_places_without_a_click(speech):
    """In what they hold of others."""
    hum = 0.0002 * torch.arange(1, 4).expand(21 * RATE, 3)
    parted = part_speakers((in_turns(speech, SHARED, 21) + hum)[None], RATE)[0]
    leftovers = parted - in_turns(speech, PARTED, 21)
    assert 0 < leftovers.diff(dim=0).abs().max() < 0.0002 / 20


@pytest.mark.parametrize(
    "plan",
    [
        PARTED,  # everybody has one
        [(0, 0, 1, 0.5), (0, 1, 1, 4), (0, 2, 1, 8)],  # one person
        [(0, 0, 2, 0.5), (1, 0, 0, 3), (0, 1, 2, 6), (1, 1, 0, 9)],  # two
        [(0, 0, 0, 0.5), (1, 0, 1, 1), (0, 1, 0, 4), (1, 1, 1, 4.5)],  # two, at once
        [(0, 0, 0, 0.5)],
        [],
    ],
)
def test_whoever_has_an_output_keeps_it(speech, plan):
    sources = in_turns(speech, plan, 21)[None]
    assert torch.equal(part_speakers(sources, RATE), sources)


@pytest.mark.parametrize("samples", [1, 79, 81, 2399])
def test_of_next_to_nothing_nothing_changes(samples):
    sources = torch.randn(1, samples, 3)
    assert torch.equal(part_speakers(sources, RATE), sources)


def test_below_8_khz_nothing_changes(speech):
    sources = in_turns(speech, SHARED, 21)[None]
    assert torch.equal(part_speakers(sources, 4000), sources)


def test_channels_are_parted_together_or_one_by_one(speech):
    first = in_turns(speech, SHARED, 21)
    silent = torch.zeros_like(first)
    other = torch.rand_like(first)
    alone, together = part_speakers(first[None], RATE)[0], part_speakers(torch.stack([first, other]), RATE, True)
    assert torch.equal(together[0], alone)
    swapped = together[1, 18 * RATE : 20 * RATE]
    expected = other[18 * RATE : 20 * RATE]
    assert not torch.equal(swapped, expected)
    assert torch.equal(swapped.sort(dim=1).values, expected.sort(dim=1).values)
    each = part_speakers(torch.stack([silent, first]), RATE)
    assert torch.equal(each, torch.stack([silent, alone]))


class Fixed:
    """A separator that always has the same sources."""

    def __init__(self, sources: torch.Tensor, counts_voices: bool):
        self.hparams = SimpleNamespace(sample_rate=RATE, num_spks=3)
        self.sources, self.counts_voices = sources, counts_voices

    def separate_batch(self, mixture):
        return self.sources[None, : mixture.shape[1]]


@pytest.mark.parametrize(("counts", "window"), [(True, 120.0), (True, None), (False, 120.0)])
def test_recordings_are_parted_if_the_separator_counts_voices(tmp_path, speech, counts, window):
    sources = in_turns(speech, SHARED, 21)
    soundfile.write(tmp_path / "three.wav", sources.sum(1).numpy(), RATE, subtype="FLOAT")
    choices = SeparationOptions(window=window, workers=1)
    found = separate_voices(Fixed(sources, counts), tmp_path / "three.wav", choices)
    assert len({segment.speaker for segment in found.segments}) == (3 if counts else 2)


def tracked(pieces, rate=RATE):
    """Track the speakers of pieces [time, outputs]; the mixtures must come as they went in."""
    mixtures = [piece.sum(1)[None] for piece in pieces]
    found = list(track_speakers(zip(mixtures, (piece[None] for piece in pieces), strict=True), rate))
    assert all(mixture is there for mixture, (there, _) in zip(mixtures, found, strict=True))
    return [sources[0] for _, sources in found]


# What two people say in turn, and the same with the last turn in the other's output.
IN_TURN = [(0, 0, 0, 0.5), (1, 0, 2, 3), (0, 1, 0, 6), (1, 1, 2, 9), (0, 2, 0, 12)]
MISPLACED = [*IN_TURN[:-1], (0, 2, 2, 12)]


def test_a_turn_in_the_wrong_output_goes_to_its_speakers(speech):
    torch.testing.assert_close(tracked([in_turns(speech, MISPLACED, 15)])[0], in_turns(speech, IN_TURN, 15))


def test_a_turn_is_compared_with_all_others_but_not_with_itself(speech):
    plan = [(0, 0, 0, 0.5), (1, 0, 2, 3), (0, 1, 2, 6)]
    expected = [*plan[:-1], (0, 1, 0, 6)]
    torch.testing.assert_close(tracked([in_turns(speech, plan, 9)])[0], in_turns(speech, expected, 9))


def test_where_everybody_is_in_place_nothing_changes(speech):
    """And nothing is copied."""
    for plan in (IN_TURN, SHARED, PARTED, SHARED[:1], []):
        sources = in_turns(speech, plan, 21)[None]
        assert next(track_speakers([(sources.sum(2), sources)], RATE))[1].data_ptr() == sources.data_ptr()


def test_speakers_are_known_from_piece_to_piece(speech):
    """Although a piece with all outputs exchanged is as good as any if nothing else is known."""
    expected = in_turns(speech, IN_TURN, 15)
    pieces = [expected, torch.zeros(5 * RATE, 3), expected.flip(1), expected]
    found = tracked(pieces)
    for piece, source in zip(pieces, found, strict=True):
        torch.testing.assert_close(source, expected if piece.any() else piece)


def test_what_is_said_at_the_same_time_stays_in_two_outputs(speech):
    """Both turns would be the first person's: one of them has to be elsewhere."""
    plan = [*IN_TURN, (0, 0, 0, 15), (0, 1, 2, 15)]
    sources = in_turns(speech, plan, 18)
    found = tracked([sources])[0]
    torch.testing.assert_close(found.sort(dim=1).values, sources.sort(dim=1).values)
    assert (found[15 * RATE : 17 * RATE].abs().amax(0) > 0.01).sum() == 2


def test_a_word_stays_where_it_is(speech):
    """Too little to be known by, even of what was said before."""
    sources = in_turns(speech, [(0, 0, 0, 0.5), (1, 0, 2, 3), (0, 0, 0, 6), (1, 1, 2, 9), (0, 0, 2, 12)], 15)
    sources[round(12.35 * RATE) :] = 0
    torch.testing.assert_close(tracked([sources])[0], sources)


@pytest.mark.parametrize("cut", [13, 13.01])
def test_a_piece_goes_on_where_the_one_before_ended(speech, cut):
    """In the middle of a turn that has been moved, and with what the outputs hold of others."""
    hum = 0.0002 * torch.arange(1, 4).expand(15 * RATE, 3)
    sources = in_turns(speech, MISPLACED, 15) + hum
    found = torch.cat(tracked(sources.split([round(cut * RATE), round((15 - cut) * RATE)])))
    leftovers = found - in_turns(speech, IN_TURN, 15)
    assert leftovers.abs().max() < 0.0007
    assert leftovers.diff(dim=0).abs().max() < 0.0002 / 20


def test_all_channels_change_places_with_the_first(speech):
    first = in_turns(speech, MISPLACED, 15)
    other = torch.rand_like(first)
    sources = torch.stack([first, other])
    _, found = next(track_speakers([(sources.sum(2), sources)], RATE))
    assert torch.equal(found[0], tracked([first])[0])
    middle = slice(12 * RATE + RATE // 2, 13 * RATE)
    assert not torch.equal(found[1, middle], other[middle])
    assert torch.equal(found[1, middle].sort(dim=1).values, other[middle].sort(dim=1).values)


def test_below_8_khz_speakers_are_not_tracked(speech):
    sources = in_turns(speech, MISPLACED, 15)
    assert torch.equal(tracked([sources], 4000)[0], sources)


@pytest.mark.parametrize("counts", [True, False])
def test_speakers_of_recordings_are_tracked_if_voices_are_counted(tmp_path, speech, counts):
    sources, expected = (in_turns(speech, plan, 15) for plan in (MISPLACED, IN_TURN))
    soundfile.write(tmp_path / "two.wav", sources.sum(1).numpy(), RATE, subtype="FLOAT")
    found = separate_recording(Fixed(sources, counts), tmp_path / "two.wav", SeparationOptions(workers=1))
    torch.testing.assert_close(found[0], expected if counts else sources)


@pytest.mark.parametrize(
    ("window", "counts", "longest"), [(120.0, True, 60), (20.0, True, 20), (None, True, 70), (120.0, False, 70)]
)
def test_who_counts_voices_gets_a_minute_at_most(tmp_path, window, counts, longest):
    soundfile.write(tmp_path / "long.wav", np.zeros(70 * RATE), RATE)
    separator, sizes = Fixed(torch.zeros(70 * RATE, 3), counts), []
    separate = separator.separate_batch
    separator.separate_batch = lambda mixture: (sizes.append(mixture.shape[1]), separate(mixture))[1]
    separate_recording(separator, tmp_path / "long.wav", SeparationOptions(window=window, workers=1))
    assert max(sizes) == longest * RATE
