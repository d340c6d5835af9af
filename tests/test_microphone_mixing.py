"""Dynamic mixing for several microphones, in rooms whose responses are known."""

import re

import numpy as np
import pytest
import torch
from mixed_speech import RATE, mixing

from speechbrain_tasnet.data.dynamic_mixing.room_bank import RoomBank
from speechbrain_tasnet.errors import InputError


def delays(samples=3):
    """Rooms whose walls are mute: the second microphone hears everything so many samples later, half as loud."""
    direct = np.zeros((4, 3, 2, 100), np.float32)
    direct[:, :, 0, 40] = 0.7
    direct[:, :, 1, 40 + samples] = 0.35
    places = np.tile(np.array([[0, 0, 0], [0.1, 0, 0]], np.float32), (4, 1, 1))
    return RoomBank(RATE, direct, direct.copy(), np.full(4, 0.1, np.float32), places)


@pytest.mark.parametrize("room_share", [0.0, 1.0])
@pytest.mark.parametrize("reference", [0, 1])
def test_items_are_heard_by_both(hiss, reference, room_share):
    for item in mixing(hiss, rooms=delays(), mics=2, reference=reference, room_share=room_share):
        first, second = item["mixture"].T
        torch.testing.assert_close(second[3:], first[:-3] / 2, rtol=1e-4, atol=1e-5)
        heard = (first, second)[reference]
        torch.testing.assert_close(item["sources"].sum(1), heard, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_sources_are_heard_at_each_microphone(hiss, share):
    options = {"rooms": delays(), "mics": 2, "channel_share": share}
    each = mixing(hiss, **options, outputs="each")
    for item, at_second in zip(each, mixing(hiss, **options, reference=1), strict=True):
        assert item["sources"].shape == (*item["mixture"].shape[:1], 2, 2)
        if not share:
            torch.testing.assert_close(item["sources"].sum(1), item["mixture"], rtol=1e-4, atol=1e-5)
            first, second = item["sources"].unbind(2)
            torch.testing.assert_close(second[3:], first[:-3] / 2, rtol=1e-4, atol=1e-5)
            ratio = item["sources"][..., 1].norm() / at_second["sources"].norm()
            expected = ratio * at_second["sources"]
            torch.testing.assert_close(item["sources"][..., 1], expected, rtol=1e-3, atol=1e-4)


def test_noise_comes_from_everywhere(hiss, noise_folder):
    items = [*mixing(hiss, rooms=delays(), mics=2, noise=noise_folder, length=20)]
    heard = [item["sources"].sum(1).numpy() for item in items]
    first = np.concatenate([item["mixture"][3:, 0].numpy() - h[3:] for item, h in zip(items, heard, strict=True)])
    second = np.concatenate(
        [item["mixture"][3:, 1].numpy() - h[:-3] / 2 for item, h in zip(items, heard, strict=True)]
    )
    assert np.std(second) == pytest.approx(np.std(first), rel=0.1)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.5


def test_a_codec_spoils_both_channels(hiss):
    items = mixing(hiss, rooms=delays(), mics=2, channel_share=1.0, length=20)
    spoilt = [(item["mixture"][3:, 1] - item["mixture"][:-3, 0] / 2).abs().max() > 1e-3 for item in items]
    assert any(spoilt)


def test_mixing_needs_rooms_with_as_many_microphones(hiss):
    with pytest.raises(InputError, match="mics=2: mixing needs rooms with as many microphones"):
        mixing(hiss, mics=2)
    with pytest.raises(InputError, match=re.escape("2 microphones in a room, expected mics=1")):
        mixing(hiss, rooms=delays())


def around():
    """Rooms with mute walls; what comes from position p arrives p - 1.5 samples later at the second microphone."""
    taps = np.arange(100)
    direct = np.zeros((4, 3, 2, 100), np.float32)
    for position in range(3):
        late = position - 1.5
        for mic, arrival in enumerate((50 - late / 2, 50 + late / 2)):
            direct[:, position, mic] = np.sinc(taps - arrival) * np.hanning(100)
    return RoomBank(RATE, direct, direct.copy(), np.full(4, 0.1, np.float32), np.zeros((4, 2, 3), np.float32))


def test_sides_are_delays_to_a_fraction_of_a_sample():
    np.testing.assert_allclose(around().sides(0), np.tile([-1.5, -0.5, 0.5], (4, 1)), atol=0.05)
    np.testing.assert_allclose(around().sides(1), np.tile([1.5, 0.5, -0.5], (4, 1)), atol=0.05)


def lateness(sources):
    """How many quarters of a sample later the second microphone hears each source [time, C, 2]."""
    spectra = torch.fft.rfft(sources, 2 * len(sources), dim=0)
    both = torch.nn.functional.pad((spectra[..., 1] * spectra[..., 0].conj()).T, (0, 3 * len(sources)))
    alike = torch.fft.irfft(both, 8 * len(sources))
    lags = torch.arange(-12, 13)
    return lags[alike[:, lags].argmax(1)]


@pytest.mark.parametrize("reference", [0, 1])
@pytest.mark.parametrize("target", ["anechoic", "reverb"])
def test_sources_are_sorted_by_location(hiss, reference, target):
    options = {"rooms": around(), "mics": 2, "reference": reference, "outputs": "each", "target": target}
    sorted_items = mixing(hiss, **options, length=30, source_order="location")
    moved = 0
    for item, drawn in zip(sorted_items, mixing(hiss, **options, length=30), strict=True):
        late = lateness(item["sources"])
        assert late[0] > late[1] if reference == 0 else late[0] < late[1]
        assert torch.equal(item["mixture"], drawn["mixture"])
        same, swapped = (torch.equal(item["sources"], drawn["sources"][:, order]) for order in ([0, 1], [1, 0]))
        assert same != swapped
        moved += swapped
    assert 5 < moved < 25


def test_silent_sources_come_last(hiss):
    options = {"rooms": around(), "mics": 2, "num_spks": 3, "min_spks": 1, "source_order": "location"}
    heard = [item["sources"].any(dim=0).tolist() for item in mixing(hiss, **options, length=30)]
    assert {tuple(voices) for voices in heard} == {(True, False, False), (True, True, False), (True, True, True)}


def test_one_microphone_has_no_sides(hiss):
    with pytest.raises(InputError, match="source_order='location' with mics=1"):
        mixing(hiss, source_order="location")
