"""Dynamic mixing of conversations: who is silent, who is heard where, and that nothing else has changed."""

import numpy as np
import pytest
import soundfile
import torch
from mixed_speech import RATE, bank, mixing, power, utterances, white, write

from speechbrain_tasnet.audio.speech_level import active_level
from speechbrain_tasnet.data.conversations import TurnTaking
from speechbrain_tasnet.data.dynamic_mixing.recordings import Recordings
from speechbrain_tasnet.losses import silent

TALK = {"talk_share": 1.0, "min_spks": 1, "num_spks": 3, "segment": 1.0, "length": 60}


def voices(item):
    """How many are heard in an item."""
    return int((~silent(item["sources"][None])).sum())


def test_of_three_any_number_is_heard_and_the_mixture_is_their_sum(hiss):
    items = list(mixing(hiss, **TALK, talk_turns=TurnTaking(overlap_probability=(0.3, 1.0))))
    assert {voices(item) for item in items} == {1, 2, 3}  # without noise somebody always is
    for item in items:
        torch.testing.assert_close(item["sources"].sum(1), item["mixture"])
        assert item["mixture"].abs().max() == pytest.approx(0.9)


def test_nobody_may_be_heard_where_there_is_noise(hiss, tmp_path):
    write(tmp_path / "noise" / "a.wav", white(1))
    items = list(mixing(hiss, **TALK, talk_turns=TurnTaking(pause=4.0), noise=tmp_path / "noise"))
    assert {voices(item) for item in items} >= {0, 1}
    assert all(power(item["mixture"]) > 1e-4 for item in items)
    assert all(item["mixture"].isfinite().all() for item in items)


def test_somebody_breaks_the_longest_pause(hiss):
    items = list(mixing(hiss, segment=4.0, talk_share=1.0, length=20, talk_turns=TurnTaking(pause=100.0)))
    assert all(voices(item) for item in items)
    assert any((item["sources"] == 0).all(1).any() for item in items)  # before or after who speaks


@pytest.mark.parametrize("more", [{}, {"talk_share": 1.0}, {"similar_voice_share": 1.0}, {"rooms": bank()}])
@pytest.mark.parametrize("channel", [0.0, 1.0])
def test_nobody_speaks_in_a_share_of_the_items(hiss, tmp_path, more, channel):
    items = list(mixing(hiss, silent_share=0.5, length=20, channel_share=channel, **more))
    silences = [item for item in items if item["id"].endswith(": nobody")]
    assert 4 < len(silences) < 16
    assert not any(item["mixture"].any() or item["sources"].any() for item in silences)
    assert all(voices(item) for item in items if not item["id"].endswith(": nobody"))
    write(tmp_path / "noise" / "a.wav", white(1))
    more = more | {"noise": tmp_path / "noise", "noise_share": 0.0}  # a share of those in which somebody speaks
    for item in mixing(hiss, silent_share=1.0, length=6, channel_share=channel, **more):
        assert not item["sources"].any()
        assert item["mixture"].abs().max() == pytest.approx(0.9)


@pytest.mark.parametrize("talk_share", [0.0, 1.0])
def test_nobody_may_be_one_of_the_numbers_of_speakers(hiss, talk_share):
    items = list(mixing(hiss, num_spks=2, min_spks=0, length=60, segment=2.0, talk_share=talk_share))
    assert {voices(item) for item in items} == {0, 1, 2}
    assert all(item["mixture"].isfinite().all() for item in items)


def test_of_full_overlap_too_there_may_be_fewer_voices(hiss):
    items = list(mixing(hiss, num_spks=3, min_spks=2, length=40, rooms=bank()))
    assert {voices(item) for item in items} == {2, 3}
    assert all(item["sources"].isfinite().all() for item in items)


def test_what_is_heard_is_what_was_said_at_its_time(hiss):
    """Each stretch of a source is found in an utterance of its speaker, at one level."""
    recordings = [soundfile.read(path)[0] for path in hiss.rglob("*.wav")]
    found = 0
    for item in mixing(hiss, **TALK | {"num_spks": 2, "length": 4}):
        for source in item["sources"].T.double().numpy():
            for stretch in source.reshape(-1, 200):
                if np.mean(stretch == 0) < 0.01:  # within a turn
                    assert max(best_match(stretch, original) for original in recordings) > 0.999
                    found += 1
    assert found > 50


def best_match(stretch, original):
    """The largest correlation of a stretch with any part of a recording."""
    dots = np.correlate(original, stretch, "valid")
    energies = np.convolve(original**2, np.ones(len(stretch)), "valid").clip(1e-12)
    return np.abs(dots / np.sqrt(energies * np.sum(stretch**2))).max()


def long_speakers(folder, hiss):
    """Two speakers of one utterance each: a second of noise, then as much as there is of another level."""
    for number in range(2):
        samples = white(number, seconds=20.0)
        samples[RATE:] *= hiss
        write(folder / f"spk{number}" / "a.wav", samples)
    return folder


def test_the_hiss_of_a_recording_is_no_voice(tmp_path):
    items = mixing(long_speakers(tmp_path, hiss=1e-3), talk_share=1.0, length=30)
    powers = [power(source) for item in items for source in item["sources"].T]
    assert 0 in powers
    assert min(value for value in powers if value) > 1e-6


def test_an_utterance_goes_on_where_the_stretch_begins(tmp_path):
    originals = [soundfile.read(path)[0] for path in sorted(long_speakers(tmp_path, hiss=1.0).rglob("*.wav"))]
    places = []
    for item in mixing(tmp_path, talk_share=1.0, length=20):
        for source in item["sources"].T.double().numpy():
            if np.mean(source[:400] == 0) < 0.01:  # it speaks already
                found = [np.correlate(original, source[:400], "valid") for original in originals]
                places.append(max(found, key=max).argmax() / RATE)
    assert len(places) > 10
    assert np.std(places) > 3  # seconds, of twenty


def test_each_voice_has_its_level_and_speed(hiss):
    for item in mixing(hiss, **TALK | {"num_spks": 2, "min_spks": 2}, speeds=[0.9, 1.1]):
        levels = [active_level(s[s != 0].numpy(), RATE) for s in item["sources"].T if (s != 0).sum() > RATE / 2]
        if len(levels) == 2:
            assert abs(10 * np.log10(levels[0] / levels[1])) < 6.5


def test_conversations_are_a_share_and_the_others_as_before(hiss):
    plain, mixed = mixing(hiss, length=200), mixing(hiss, length=200, talk_share=0.3)

    def whole(item):
        return len(utterances(item)) == 2 and pauses(item) < 0.01

    assert 0.6 < np.mean([whole(item) for item in mixed]) < 0.95
    assert all(whole(item) for item in plain)


def pauses(item):
    """The share of a source that is nothing at all, in the one that has most of it."""
    return (item["sources"] == 0).float().mean(0).max()


def test_a_part_is_what_a_file_has_at_that_place(tmp_path):
    samples = white(3, seconds=2.0)
    paths = [write(tmp_path / "a.wav", samples), write(tmp_path / "b.flac", samples)]
    recordings = Recordings(paths, RATE, active_level)
    for number in (0, 1):
        part = recordings.part(number, 1000, 500)
        np.testing.assert_allclose(part, samples[1000:1500], atol=1e-4)
        assert len(recordings.part(number, 15900, 500)) == 100
        assert len(recordings.part(number, 17000, 500)) == 0
    faster = recordings.part(0, 500, 250, speed=2.0)
    whole = recordings.part(0, 0, 8000, speed=2.0)
    assert len(faster) == 250
    np.testing.assert_allclose(faster[50:-50], whole[550:700], atol=1e-2)
