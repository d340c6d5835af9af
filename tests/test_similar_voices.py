"""Speakers who sound alike, together in a mixture."""

import numpy as np
import pytest
from mixed_speech import mixing, utterances, white, write

from speechbrain_tasnet.data.dynamic_mixing.similar_voices import SimilarVoices

PITCHES = [100, 105, 110, 115, 200, 210, 220, 230]


def hum(hertz, seconds=1.5, rate=8000):
    time = np.arange(round(seconds * rate)) / rate
    return sum(np.cos(2 * np.pi * hertz * k * time) for k in range(1, 8)) / 20


@pytest.fixture
def hums(tmp_path):
    """Write speakers who hum, in an order that is not that of their pitches."""
    for number, hertz in enumerate(PITCHES):
        write(tmp_path / f"spk{number * 5 % 8}-{hertz}" / "a.wav", hum(hertz))
    return tmp_path


def pitches_of(item):
    return [int(name.split("/")[0].split("-")[1]) for name in utterances(item)]


def test_every_speaker_is_drawn_and_never_twice():
    voices = SimilarVoices(np.random.default_rng(0).uniform(80, 300, 40))
    rng = np.random.default_rng(1)
    drawn = [voices.choose(3, rng).tolist() for _ in range(400)]
    assert all(len(set(chosen)) == 3 for chosen in drawn)
    firsts = np.bincount([chosen[0] for chosen in drawn], minlength=40)
    assert firsts.min() > 0


def test_as_few_speakers_as_are_needed():
    assert sorted(SimilarVoices([100, 200]).choose(2, np.random.default_rng(0)).tolist()) == [0, 1]


def test_a_share_of_the_items_has_similar_voices(hums):
    apart = [
        max(pitches_of(item)) - min(pitches_of(item)) for item in mixing(hums, length=60, similar_voice_share=1)
    ]
    assert np.mean(np.array(apart) <= 10) > 0.8
    some = mixing(hums, length=60, similar_voice_share=0.5)
    apart = [max(pitches_of(item)) - min(pitches_of(item)) for item in some]
    assert 0.3 < np.mean(np.array(apart) <= 10) < 0.9
    assert {hertz for item in some for hertz in pitches_of(item)} == set(PITCHES)


def test_whoever_has_no_pitch_or_cannot_be_read_stays(hums):
    write(hums / "spk8-0" / "a.wav", white(3))
    (hums / "spk9-1").mkdir()
    write(hums / "spk9-1" / "a.wav", white(4))
    items = mixing(hums, length=40, similar_voice_share=1)
    assert {0, 1} <= {hertz for item in items for hertz in pitches_of(item)}
