"""Dynamic mixing in noise and in rooms."""

import numpy as np
import pytest
import torch
from mixed_speech import RATE, bank, decibels, mixing, power, white, write
from scipy.signal import correlate

from speechbrain_tasnet.data.dynamic_mixing.noise import Noise
from speechbrain_tasnet.data.dynamic_mixing.room_bank import RoomBank


def noise_of(item):
    return item["mixture"] - item["sources"].sum(1)


def test_noise_lies_as_far_below_the_first_speaker_as_in_wham(hiss, tmp_path):
    write(tmp_path / "deep" / "a.flac", white(1, seconds=0.3, power=0.1), 16000)
    write(tmp_path / "b.wav", white(2, power=1e-5))
    write(tmp_path / ".hidden.wav", np.zeros(10))
    ratios = []
    for item in mixing(hiss, length=80, noise=tmp_path):
        assert power(noise_of(item)[-400:]) > 0
        ratios.append(decibels(power(item["sources"][:, 0]) / power(noise_of(item))))
    # P.56 does not hear all of white noise, and a stretch is not quite as loud as the whole.
    assert -3.2 < min(ratios) < -1.5
    assert 4.5 < max(ratios) < 6.8
    assert np.mean(ratios) == pytest.approx(1.5, abs=1)


def test_noise_is_drawn_where_there_is_some(tmp_path):
    samples = white(1, seconds=10)
    samples[:32000] = samples[40000:] = 0
    write(tmp_path / "a.wav", samples)
    noise = Noise(tmp_path, RATE)
    for seed in range(10):
        rng = np.random.default_rng(seed)
        drawn = noise.draw(4000, 0.5, rng)
        assert drawn.dtype == np.float32
        assert -3 <= decibels(0.5 / power(drawn)) <= 6


def test_short_noise_begins_again(tmp_path):
    write(tmp_path / "a.wav", white(1, seconds=0.1))
    drawn = Noise(tmp_path, RATE).draw(2000, 0.5, np.random.default_rng(0))
    np.testing.assert_array_equal(drawn[:800], drawn[800:1600])
    np.testing.assert_array_equal(drawn[:400], drawn[1600:])


def lag(first, second):
    """Tell by how many samples the second comes after the first."""
    return int(np.argmax(np.abs(correlate(second.double().numpy(), first.double().numpy())))) - (len(first) - 1)


def test_the_target_is_the_direct_sound_and_in_step(hiss):
    dry, direct, reverb = (
        mixing(hiss, segment=1.0, **options)
        for options in ({}, {"rooms": bank()}, {"rooms": bank(), "target": "reverb"})
    )
    for item, anechoic, wet in zip(dry, direct, reverb, strict=True):
        assert item["id"] == anechoic["id"] == wet["id"]
        torch.testing.assert_close(wet["sources"].sum(1), wet["mixture"], atol=1e-5, rtol=0)
        ratios = []
        for clean, near, all_of_it in zip(item["sources"].T, anechoic["sources"].T, wet["sources"].T, strict=True):
            assert lag(near, all_of_it) == 0
            assert lag(clean, near) == 40
            gain = clean[:-40] @ near[40:] / (clean[:-40] @ clean[:-40])
            torch.testing.assert_close(near[40:], gain * clean[:-40], atol=1e-5, rtol=1e-4)
            ratios.append(power(near) / power(clean))
        # Levels are those of the dry utterances, however far the speakers stand.
        assert ratios[0] == pytest.approx(ratios[1], rel=0.02)
        scale = float(wet["mixture"] @ anechoic["mixture"] / (wet["mixture"] @ wet["mixture"]))
        torch.testing.assert_close(anechoic["mixture"], scale * wet["mixture"], atol=1e-5, rtol=0)
        assert max(anechoic["mixture"].abs().max(), anechoic["sources"].abs().max()) == pytest.approx(0.9)


def test_reverberation_dies_away_and_does_not_come_round(hiss):
    rooms = bank(positions=2, rooms=1)
    rooms.reverb[0, 1], rooms.direct[0, 1] = rooms.reverb[0, 0], rooms.direct[0, 0]
    for item, wet in zip(mixing(hiss), mixing(hiss, rooms=rooms, target="reverb"), strict=True):
        for clean, heard in zip(item["sources"].T.numpy(), wet["sources"].T.numpy(), strict=True):
            expected = np.convolve(clean, rooms.reverb[0, 0, 0])[: len(clean)]
            np.testing.assert_allclose(
                heard, expected * np.linalg.norm(heard) / np.linalg.norm(expected), atol=1e-4
            )


def test_speakers_stand_at_different_places_of_one_room(tmp_path):
    # The response of position p in room r is a lone pulse, late by 10 r + p.
    pulses = np.zeros((5, 3, 100), np.float32)
    for room in range(5):
        for position in range(3):
            pulses[room, position, 10 * room + position] = 1
    for number in range(4):
        write(tmp_path / "speech" / f"spk{number}" / "a.wav", white(number))
    RoomBank(RATE, pulses, pulses, np.ones(5, np.float32)).save(tmp_path / "rooms.npz")
    rooms, places = set(), set()
    dry = mixing(tmp_path / "speech", num_spks=3, length=30)
    for item, moved in zip(
        dry, mixing(tmp_path / "speech", num_spks=3, length=30, rooms=tmp_path / "rooms.npz"), strict=True
    ):
        lags = [lag(a, b) for a, b in zip(item["sources"].T, moved["sources"].T, strict=True)]
        assert sorted(value % 10 for value in lags) == [0, 1, 2]
        assert len({value // 10 for value in lags}) == 1
        rooms.add(lags[0] // 10)
        places.add(lags[0] % 10)
    assert rooms == set(range(5))
    assert places == {0, 1, 2}


def test_a_share_of_the_items_gets_noise(hiss, tmp_path):
    write(tmp_path / "a.wav", white(1))
    items = list(mixing(hiss, length=60, noise=tmp_path, noise_share=0.3, noise_snr=[20, 20]))
    noisy = [item for item in items if noise_of(item).abs().max() > 1e-5]
    assert 0.1 < len(noisy) / len(items) < 0.5
    for item in noisy:
        assert decibels(power(item["sources"][:, 0]) / power(noise_of(item))) == pytest.approx(20, abs=2)


def test_a_share_of_the_items_is_heard_in_rooms(hiss):
    """What has neither room nor noise is what it would be without any."""
    dry = mixing(hiss, length=60)
    for share in (0, 0.4):
        items = mixing(hiss, length=60, rooms=bank(), room_share=share)
        wet = [(item["sources"].sum(1) - item["mixture"]).abs().max() > 1e-3 for item in items]
        assert share / 2 <= np.mean(wet) <= 1.5 * share
    none = mixing(hiss, length=60, rooms=bank(), room_share=0)
    assert all(torch.equal(item["mixture"], other["mixture"]) for item, other in zip(none, dry, strict=True))


def test_a_share_of_the_items_has_wide_levels(hiss):
    differences = [
        decibels(power(item["sources"][:, 0]) / power(item["sources"][:, 1]))
        for item in mixing(hiss, length=60, wide_level_share=0.5)
    ]
    assert max(differences) > 12
    assert 0.15 < np.mean(np.array(differences) > 6) < 0.6
