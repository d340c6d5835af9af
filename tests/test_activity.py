"""Activity of separated voices: leaks and hiss are silence, pauses are bridged, blocks do not matter."""

import numpy as np
import pytest

from speechbrain_tasnet.audio.activity import FrameEnergies, Thresholds, active_frames, to_segments

RATE = 8000


def voices(*spoken, seconds=10.0, count=2, leak=-25.0, hiss=-60.0):
    """Noise for voices where they speak, ``(voice, start, end)``, each leaking into the other outputs."""
    rng = np.random.default_rng(0)
    size = round(seconds * RATE)
    clean = np.zeros((count, size))
    for voice, start, end in spoken:
        clean[voice, round(start * RATE) : round(end * RATE)] = rng.normal(
            0, 0.1, round(end * RATE) - round(start * RATE)
        )
    leaked = 10 ** (leak / 20) * (clean.sum(0) - clean)
    return clean + leaked + 0.1 * 10 ** (hiss / 20) * rng.normal(size=clean.shape)


def segments(signals, **thresholds):
    energies = FrameEnergies(RATE)
    energies.add(signals)
    return to_segments(active_frames(energies.array(), Thresholds(**thresholds)), energies.seconds)


def test_voices_are_heard_where_they_speak_and_not_where_they_leak():
    found = segments(voices((0, 1.0, 4.0), (1, 3.0, 6.0), (0, 8.0, 9.0)), margin=0.0)
    assert [voice for voice, *_ in found] == [0, 1, 0]
    edges = [edge for _, *times in found for edge in times]
    assert edges == pytest.approx([1.0, 4.0, 3.0, 6.0, 8.0, 9.0], abs=0.03)


def test_short_pauses_are_bridged_and_long_ones_are_not():
    spoken = [(0, 1.0, 2.0), (0, 2.3, 3.0), (0, 4.0, 5.0)]
    assert len(segments(voices(*spoken))) == 2
    assert len(segments(voices(*spoken), longest_gap=0.1)) == 3
    assert len(segments(voices(*spoken), longest_gap=2.0)) == 1


def test_a_click_is_no_voice():
    assert segments(voices((0, 1.0, 4.0), (1, 6.0, 6.1))) == segments(voices((0, 1.0, 4.0)))


@pytest.mark.parametrize("seconds", [1 / RATE, 0.01, 0.05, 0.1, 0.19, 0.3])
def test_a_recording_shorter_than_a_voice_may_be_all_voice(seconds):
    found = segments(voices((0, 0.0, seconds), seconds=seconds, leak=-30.0))
    assert [voice for voice, *_ in found] == [0]
    assert found[0][1] == 0.0
    assert found[0][2] >= seconds


def test_a_click_is_no_voice_in_a_short_recording_either():
    signals = voices((0, 0.1, 0.11), seconds=0.3, leak=-100.0, hiss=-300.0)
    assert segments(signals) == []


def test_a_soft_voice_is_heard_when_the_loud_one_pauses():
    signals = voices((0, 0.0, 4.0)) + 10 ** (-24 / 20) * voices((1, 0.0, 8.0), leak=-100.0)
    found = segments(signals, margin=0.0)
    assert found[0][:2] == (0, 0.0)
    assert found[1][0] == 1
    assert found[1][1:] == pytest.approx((4.0, 8.0), abs=0.1)


def test_what_is_always_a_little_of_all_voices_is_none():
    two = voices((0, 0.0, 8.0), (1, 0.0, 8.0), count=3, leak=-100.0)
    two[2] = 0.3 * (two[0] + two[1])  # 10 dB below them: an output for a third voice, of whom nothing is sure
    assert {voice for voice, *_ in segments(two)} == {0, 1}
    assert {voice for voice, *_ in segments(two, below_all=12.0)} == {0, 1, 2}


def test_a_segment_begins_a_little_earlier_and_not_before_the_recording():
    plain, wide = (segments(voices((0, 0.0, 2.0), (1, 5.0, 6.0)), margin=margin) for margin in (0.0, 0.2))
    assert wide[0][1:] == pytest.approx((0.0, plain[0][2] + 0.2))
    assert wide[1][1:] == pytest.approx((plain[1][1] - 0.2, plain[1][2] + 0.2))


@pytest.mark.parametrize("block", [700, 10**6])
def test_no_segment_ends_after_the_recording(block):
    signals = voices((0, 0.0, 2.875), seconds=2.875)  # 287.5 frames
    energies = FrameEnergies(RATE)
    for start in range(0, signals.shape[1], block):
        energies.add(signals[:, start : start + block])
    assert energies.length == pytest.approx(2.875)
    assert to_segments(active_frames(energies.array()), energies.seconds, energies.length) == [(0, 0.0, 2.875)]


@pytest.mark.parametrize("gain", [1e-3, 1.0, 30.0])
def test_the_level_of_a_recording_does_not_matter(gain):
    signals = voices((0, 1.0, 4.0), (1, 3.0, 6.0))
    assert segments(gain * signals) == segments(signals)


def test_of_silence_nothing_is_heard():
    assert segments(np.zeros((3, RATE))) == []
    assert segments(np.zeros((2, 1))) == []


@pytest.mark.parametrize("block", [1, 79, 80, 81, 1000, 10**6])
def test_blocks_do_not_matter(block):
    signals = np.random.default_rng(1).normal(size=(2, 1234))
    energies, whole = FrameEnergies(RATE), FrameEnergies(RATE)
    for start in range(0, signals.shape[1], block):
        energies.add(signals[:, start : start + block])
    whole.add(signals)
    np.testing.assert_allclose(energies.array(), whole.array())
    assert energies.array().shape == (2, 16)


def test_without_samples_there_is_no_activity():
    with pytest.raises(ValueError, match="expected a block or more"):
        FrameEnergies(RATE).array()
