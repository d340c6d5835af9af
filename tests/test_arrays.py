"""Arrays of microphones: where they stand, and what they hear of a room and of sound from everywhere."""

import numpy as np
import pytest
from scipy.signal import correlate, csd, welch

from speechbrain_tasnet.audio.diffuse_field import SPEED_OF_SOUND, diffuse_field, independent_of
from speechbrain_tasnet.data.dynamic_mixing.room_bank import RoomBank
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.generate.room_plan import MOST_MICS, Array, Room, draw_room
from speechbrain_tasnet.generate.room_simulation import LEAD, make_room_bank, simulate

RATE = 16000


@pytest.mark.parametrize(
    ("mics", "text", "neighbours"),
    [(2, "linear:0.05", 0.05), (4, "linear:0.1", 0.1), (6, "circular:0.1", 0.1), (2, "ears", 0.175)],
)
def test_neighbours_are_as_far_apart_as_is_asked_for(mics, text, neighbours):
    for seed in range(5):
        room = draw_room(np.random.default_rng(seed), 2)
        placed = Array.parse(mics, text).put_into(room, np.random.default_rng(seed))
        assert placed.microphone == room.microphone
        assert placed.speakers == room.speakers
        steps = np.diff([*placed.microphones], axis=0)
        np.testing.assert_allclose(np.linalg.norm(steps, axis=1), neighbours, atol=2e-3)


def test_ranges_turns_and_places_are_drawn_anew_in_each_room():
    room = draw_room(np.random.default_rng(0), 2)
    pairs = [Array.parse(2, "linear:0.05-0.15").put_into(room, np.random.default_rng(seed)) for seed in range(50)]
    offsets = np.array([np.subtract(pair.further[0], pair.microphone) for pair in pairs])
    lengths = np.linalg.norm(offsets, axis=1)
    assert 0.049 <= lengths.min() < 0.07
    assert 0.13 < lengths.max() <= 0.151
    assert np.ptp(np.arctan2(offsets[:, 1], offsets[:, 0])) > 5
    laid = Array.parse(3, "random").put_into(room, np.random.default_rng(0))
    assert np.linalg.norm(np.subtract(laid.further, laid.microphone), axis=1).max() <= 0.501


@pytest.mark.parametrize(
    ("mics", "text", "message"),
    [
        (2, "line:0.1", "array='line:0.1': expected linear:METRES, circular:METRES, ears or random"),
        (2, "linear", "array='linear': expected"),
        (2, "linear:wide", "array='linear:wide': expected linear:METRES"),
        (2, "linear:0.2-0.1", "array='linear:0.2-0.1'"),
        (2, "linear:0", "expected more than 0 and at most 0.6 m"),
        (8, "linear:0.1", "8 microphones would span 0.7 m"),
        (4, "circular:0.4", "4 microphones would span 0.8 m"),
        (3, "ears", "array='ears': expected 2 microphones, not 3"),
        (2, "ears:0.2", "array='ears:0.2': expected"),
        (17, "random", "mics=17"),
        (1, "ears", "array='ears' with mics=1: a single microphone is no array; set mics"),
    ],
)
def test_arrays_that_nobody_could_build_are_refused(mics, text, message):
    with pytest.raises(InputError, match=message):
        Array.parse(mics, text)


def test_any_number_of_microphones_has_a_place_by_default():
    assert Array.parse(2) == Array.parse(2, "linear:0.05-0.15") == Array.parse(2, "linear:5e-2-1.5e-1")
    assert Array.parse(6) == (6, "linear", 0.05, 0.12)
    room = draw_room(np.random.default_rng(0), 2)
    for mics in range(2, MOST_MICS + 1):
        assert len(Array.parse(mics).put_into(room, np.random.default_rng(0)).microphones) == mics


def test_coherence_is_that_of_a_diffuse_field():
    places = np.array([[0, 0, 0], [0.05, 0, 0], [0.05, 0.2, 0]])
    noise = np.random.default_rng(0).normal(size=(3, 60 * RATE))
    heard = diffuse_field(noise, places, RATE)
    np.testing.assert_array_equal(heard[0], noise[0])
    for first, second in ((0, 1), (0, 2), (1, 2)):
        frequency, cross = csd(heard[first], heard[second], RATE, nperseg=512)
        powers = [welch(heard[mic], RATE, nperseg=512)[1] for mic in (first, second)]
        distance = np.linalg.norm(places[first] - places[second])
        expected = np.sinc(2 * frequency * distance / SPEED_OF_SOUND)
        np.testing.assert_allclose((cross / np.sqrt(powers[0] * powers[1]))[2:-2], expected[2:-2], atol=0.06)
        assert powers[1].mean() == pytest.approx(powers[0].mean(), rel=0.02)


def test_signals_of_one_spectrum_have_nothing_else_in_common():
    rng = np.random.default_rng(0)
    low = np.convolve(rng.normal(size=10 * RATE), np.ones(8) / 8, "same")
    made = independent_of(low, 2, RATE, rng)
    assert made.shape == (2, len(low))
    np.testing.assert_allclose(np.mean(made**2, axis=1), np.mean(low**2))
    assert np.abs(np.corrcoef([low, *made]) - np.eye(3)).max() < 0.25
    spectra = [welch(signal, RATE, nperseg=256)[1] for signal in (low, *made)]
    np.testing.assert_allclose(np.log10(spectra[1][2:20]), np.log10(spectra[0][2:20]), atol=0.6)
    assert independent_of(low, 0, RATE, rng).shape == (0, len(low))


def test_direct_sound_is_late_and_faint_by_the_distance_at_each_microphone():
    speakers = ((2.0, 3.0, 1.5), (4.5, 3.2, 1.2))
    room = Room((6.0, 5.0, 3.0), 0.3, (3.0, 2.5, 1.4), speakers, ((3.1, 2.5, 1.4), (3.0, 2.8, 1.4)))
    reverb, direct = simulate(room, RATE, np.random.default_rng(0))
    assert reverb.shape == direct.shape == (3, 2, LEAD + round(0.3 * RATE))
    for microphone, place in enumerate(room.microphones):
        for speaker, response in zip(speakers, direct[microphone], strict=True):
            metres = np.linalg.norm(np.subtract(speaker, place))
            exact = LEAD + metres / SPEED_OF_SOUND * RATE
            phase = np.unwrap(np.angle(np.fft.rfft(response)))[: response.size // 4]
            slope = np.polyfit(np.arange(phase.size), phase, 1)[0]
            assert -slope * response.size / (2 * np.pi) == pytest.approx(exact, abs=0.05)
            assert response.sum() == pytest.approx(1 / metres, rel=0.02)


def test_the_first_microphone_hears_what_it_would_alone():
    drawn = draw_room(np.random.default_rng(3), 2)
    room = Array.parse(3, "circular:0.05").put_into(drawn, np.random.default_rng(0))
    alone, several = (simulate(each, 8000, np.random.default_rng(1)) for each in (drawn, room))
    for one, all_of_them in zip(alone, several, strict=True):
        np.testing.assert_array_equal(one[0], all_of_them[0])
    tails = several[0][:, 0, -800:]
    low = [np.convolve(tail, np.ones(16) / 16, "valid") for tail in tails]
    assert np.corrcoef(low)[0, 1] > 0.8  # what has long waves is the same at nine centimetres
    assert np.corrcoef(tails)[0, 1] < 0.6


def test_a_bank_of_several_microphones_is_kept_and_one_of_before_is_read(tmp_path):
    options = {"rooms": 2, "positions": 2, "workers": 1}
    make_room_bank(tmp_path / "one.npz", **options)
    make_room_bank(tmp_path / "two.npz", array=Array.parse(2, "linear:0.1"), **options)
    one, two = RoomBank.load(tmp_path / "one.npz"), RoomBank.load(tmp_path / "two.npz")
    assert (one.mics, two.mics, two.microphones.shape) == (1, 2, (2, 2, 3))
    np.testing.assert_allclose(np.linalg.norm(np.diff(two.microphones, axis=1), axis=2), 0.1, atol=2e-3)
    np.testing.assert_array_equal(two.reverb[:, :, 0], one.reverb[:, :, 0])
    late = correlate(two.direct[0, 0, 1], two.direct[0, 0, 0]).argmax() - (two.direct.shape[-1] - 1)
    assert abs(late) <= 0.1 / SPEED_OF_SOUND * 8000 + 1
    # As an earlier version wrote it.
    flat = {"reverb": one.reverb[:, :, 0], "direct": one.direct[:, :, 0], "t60": one.t60, "rate": one.rate}
    np.savez_compressed(tmp_path / "old.npz", **flat)
    old = RoomBank.load(tmp_path / "old.npz")
    np.testing.assert_array_equal(old.reverb, one.reverb)
    assert old.mics == 1
