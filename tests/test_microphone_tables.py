"""What the table and the picture of microphones show, on signals whose answer is known."""

from itertools import pairwise

import numpy as np
import pytest
import soundfile
import torch

from benchmarks.quality import microphones
from benchmarks.quality.measured_rooms import behind, measured_bank
from benchmarks.quality.spatial_responses import most_directed, responses
from speechbrain_tasnet.audio.diffuse_field import SPEED_OF_SOUND
from speechbrain_tasnet.generate.room_plan import Array

pytest.importorskip("pyroomacoustics")

RATE = 8000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two measured responses: 5 ms of silence, the direct sound, and a tail of noise of known energy."""
    folder = tmp_path_factory.mktemp("responses")
    for number in range(2):
        response = np.zeros(4000)
        response[40] = 0.8
        response[100:] = 0.02 * np.random.default_rng(number).normal(size=3900) * np.exp(-np.arange(3900) / 800)
        soundfile.write(folder / f"{number}.flac", response, RATE)
    return folder


def test_a_measured_tail_keeps_its_ratio_to_the_direct_sound_and_becomes_diffuse(folder):
    bank = measured_bank(folder, Array.parse(2, "linear:0.5"), rooms=4, positions=3, rate=RATE)
    assert bank.reverb.shape[:3] == (4, 3, 2)
    tail, energy = behind(soundfile.read(folder / "0.flac")[0], RATE)
    wanted = 10 * np.log10(energy / np.sum(tail**2))
    for room in (0, 2):
        direct, late = bank.direct[room], bank.reverb[room] - bank.direct[room]
        at_first = 10 * np.log10(np.sum(direct[:, 0] ** 2, axis=1) / np.sum(late[:, 0] ** 2, axis=1))
        np.testing.assert_allclose(at_first, wanted, atol=0.5)
        # Half a metre apart, and for two speakers, it is nearly another noise.
        for one, other in pairwise(late[:, 0]):
            assert abs(np.corrcoef(one, other)[0, 1]) < 0.2
        assert abs(np.corrcoef(*late[0])[0, 1]) < 0.5
        arrival = np.argmax(np.abs(direct), axis=2)
        assert (np.abs(np.diff(arrival, axis=1)) <= np.ceil(0.5 / SPEED_OF_SOUND * RATE) + 1).all()


def test_scores_are_those_of_the_direct_voices_and_of_those_in_the_room():
    generator = torch.Generator().manual_seed(0)
    direct, echo = torch.randn(2, 4000, 2, generator=generator)
    echo = 0.3 * echo
    mixture = torch.stack(2 * [(direct + echo).sum(1)], dim=1)
    scene = tuple({"mixture": mixture, "sources": sources} for sources in (direct, direct + echo))
    (dry,), (in_room,) = microphones.score(lambda mixture: direct + 0.01 * echo, [scene])
    assert dry > 40
    assert 3 < in_room < dry
    (none,), _ = microphones.score(lambda mixture: mixture, [scene])
    assert none == pytest.approx(0, abs=1e-3)


def test_a_sum_of_both_microphones_hears_what_comes_from_the_side_and_a_difference_does_not():
    spacing = 0.1
    taps = np.zeros((2, 2, 16))
    taps[:, 0, 4] = 1  # the sum
    taps[0, 1, 4], taps[1, 1, 4] = 1, -1
    angles, frequencies, answers = responses(taps, spacing, RATE)
    null = SPEED_OF_SOUND / (2 * spacing)  # Hz, at which half a wave lies between the microphones
    at = int(np.argmin(np.abs(frequencies - null)))
    total, difference = answers[:, at]
    assert angles[np.argmax(total)] == 90
    assert total[0] < -20
    assert angles[np.argmin(difference)] == 90
    late = np.zeros((2, 1, 16))
    late[0, 0, 4], late[1, 0, 6] = 1, 1  # what the second hears two samples later: from the side of the first
    angles, _, (steered,) = responses(late, 4 * SPEED_OF_SOUND / RATE, RATE)
    assert steered[:, angles == 60] == pytest.approx(0, abs=0.01)
    assert steered[:, angles == 120].min() < -20
    mute = np.zeros((2, 1, 16))
    mute[0, 0, 3] = 1  # the second microphone does not count: no direction is another
    everywhere = responses(mute, spacing, RATE)[2]
    assert np.ptp(everywhere) < 1e-6
    assert most_directed(np.concatenate([everywhere, answers]))[-1] == 0
