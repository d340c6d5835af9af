"""Simulated rooms obey the laws of sound; banks of them survive disk, and nothing else passes for one."""

import sys

import numpy as np
import pyroomacoustics
import pytest

from speechbrain_tasnet.data.dynamic_mixing.room_bank import RoomBank
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.generate.room_plan import Room, draw_room
from speechbrain_tasnet.generate.room_simulation import LEAD, absorption, make_room_bank, simulate

RATE = 8000


def room(number, speakers=2):
    return draw_room(np.random.default_rng(number), speakers)


def simulated(room, rate=RATE):
    return [responses[0] for responses in simulate(room, rate, np.random.default_rng(0))]


def decay(response):
    """Schroeder's backward integration, in dB."""
    energy = np.cumsum(response[::-1] ** 2)[::-1]
    return 10 * np.log10(energy[energy > 0] / energy[0])


def measured_t60(response, rate=RATE):
    """Twice the time from -5 to -35 dB, as a line is fitted there."""
    decibels = decay(response)
    fitted = np.flatnonzero((decibels <= -5) & (decibels >= -35))
    return -60 / np.polyfit(fitted / rate, decibels[fitted], 1)[0]


@pytest.fixture(scope="module")
def rooms():
    """Rooms of many kinds with their responses."""
    drawn = [room(number) for number in range(12)]
    return [(room, *simulated(room)) for room in drawn]


def test_measured_t60_is_the_one_asked_for(rooms):
    ratios = [
        measured_t60(response) / room.t60
        for room, reverb, direct in rooms
        for response in reverb - direct
        if room.t60 > 0.2
    ]
    assert len(ratios) > 12
    assert np.mean(ratios) == pytest.approx(1, abs=0.07)
    assert np.max(np.abs(np.subtract(ratios, 1))) < 0.2


def test_walls_absorb_less_than_all_in_any_room():
    for size in ((5, 5, 3), (10, 10, 4)):
        absorbed = [absorption(Room(size, t60, (2, 2, 1), ((3, 3, 1),))) for t60 in (0.1, 0.5, 1.0)]
        assert 1 > absorbed[0] > absorbed[1] > absorbed[2] > 0


def test_direct_path_has_the_delay_and_the_gain_of_its_distance(rooms):
    for room, _, direct in rooms:
        for distance, response in zip(room.distances, direct, strict=True):
            gain = response.sum()
            delay = (np.arange(len(response)) - LEAD) @ response / gain
            assert gain == pytest.approx(1 / distance, rel=0.01)
            assert delay / RATE == pytest.approx(distance / 343, abs=0.05 / RATE)


def test_nothing_but_the_direct_path_comes_before_the_first_reflection(rooms):
    for room, reverb, direct in rooms:
        for speaker, response, straight in zip(room.speakers, reverb, direct, strict=True):
            # Mirror the speaker in each wall: the nearest image is heard first.
            images = [
                [*speaker[:axis], 2 * wall - speaker[axis], *speaker[axis + 1 :]]
                for axis in range(3)
                for wall in (0, room.size[axis])
            ]
            first = min(np.linalg.norm(np.subtract(image, room.microphone)) for image in images)
            arrival = LEAD + round(first / 343 * RATE)
            reflections = np.abs(response - straight)
            assert reflections[: arrival - LEAD].max(initial=0) < 1e-3 * reflections.max()
            assert reflections[arrival - 1 : arrival + 2].max() > 0.1 / first * (1 - absorption(room)) ** 0.5


def test_noise_carries_on_where_the_image_sources_end():
    # The image sources of the whole T60, which are simulated here, are as loud as the noise in their place.
    ratios = []
    for number in (2, 4, 5, 13):
        drawn = room(number)
        drawn = Room(drawn.size, 0.3, drawn.microphone, drawn.speakers)
        box = pyroomacoustics.ShoeBox(
            drawn.size, RATE, materials=pyroomacoustics.Material(absorption(drawn)), max_order=60
        )
        box.add_microphone(drawn.microphone)
        box.add_source(drawn.speakers[0])
        box.compute_rir()
        reverb, _ = simulated(drawn)
        for start in (0.16, 0.2, 0.24):
            window = slice(LEAD + round(start * RATE), LEAD + round((start + 0.04) * RATE))
            spectra = np.abs(np.fft.rfft([reverb[0][window], box.rir[0][0][window]]))
            ratios.append(10 * np.log10(np.divide(*np.mean(spectra[:, 10:] ** 2, axis=1))))  # above 250 Hz
    assert abs(np.mean(ratios)) < 1
    assert np.max(np.abs(ratios)) < 4


def test_tail_is_gone_after_the_t60(rooms):
    for room, reverb, _ in rooms:
        assert reverb.shape == (2, LEAD + np.ceil(room.t60 * RATE))
        tail = reverb[:, -round(0.05 * RATE) :]
        assert np.mean(tail**2) < 1e-3 * np.mean(reverb**2)


def test_rate_does_not_change_the_room():
    drawn = room(2)
    low, high = simulated(drawn)[0], simulated(drawn, 16000)[0]
    assert measured_t60(high[0], 16000) == pytest.approx(measured_t60(low[0]), rel=0.15)


def test_drawn_rooms_are_those_of_whamr():
    drawn = [room(number, 4) for number in range(200)]
    length, width, height = np.transpose([room.size for room in drawn])
    for side in (length, width):
        assert 5 <= side.min() < 5.3
        assert 9.7 < side.max() <= 10
    assert 3 <= height.min() < height.max() <= 4
    t60 = [room.t60 for room in drawn]
    assert 0.1 <= min(t60) < 0.15
    assert 0.95 < max(t60) <= 1
    for room_ in drawn:
        assert np.abs(np.subtract(room_.microphone, np.divide(room_.size, 2)))[:2].max() <= 0.201
        for number, (x, y, z) in enumerate(room_.speakers):
            assert 0 < x < room_.size[0]
            assert 0 < y < room_.size[1]
            assert 0.9 <= z <= 1.8
            assert 0.659 <= np.hypot(x - room_.microphone[0], y - room_.microphone[1]) <= 2.001
            for other in room_.speakers[:number]:
                assert np.linalg.norm(np.subtract((x, y, z), other)) > 0.49


def test_settings_of_the_library_are_left_as_they_were():
    names = ("c", "frac_delay_length", "num_threads", "rir_hpf_enable")
    pyroomacoustics.constants.set("num_threads", 3)
    before = [pyroomacoustics.constants.get(name) for name in names]
    simulated(room(0))
    assert [pyroomacoustics.constants.get(name) for name in names] == before
    assert pyroomacoustics.constants.get("num_threads") != 1


def test_bank(tmp_path):
    make_room_bank(tmp_path / "one.npz", rooms=4, positions=3, workers=1)
    make_room_bank(tmp_path / "two.npz", rooms=4, positions=3, workers=2)
    make_room_bank(tmp_path / "other.npz", rooms=2, positions=3, seed=1, workers=1)
    make_room_bank(tmp_path / "less.npz", rooms=2, positions=3, workers=1)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    bank, other, less = (RoomBank.load(tmp_path / f"{name}.npz") for name in ("one", "other", "less"))
    assert (bank.rate, len(bank), bank.reverb.dtype) == (8000, 4, np.float32)
    assert bank.reverb.shape == bank.direct.shape == (4, 3, 1, LEAD + np.ceil(max(bank.t60) * RATE))
    assert len(set(bank.t60) | set(other.t60)) == 4 + 2
    taps = less.reverb.shape[-1]
    assert np.array_equal(less.reverb, bank.reverb[:2, ..., :taps])
    assert np.array_equal(less.direct, bank.direct[:2, ..., :taps])
    for room_, t60 in enumerate(bank.t60):
        reflections = (bank.reverb[room_] - bank.direct[room_])[:, 0]
        assert not reflections[:, LEAD + int(np.ceil(t60 * RATE)) :].any()
        assert len(np.unique(np.argmax(np.abs(bank.direct[room_]), axis=-1))) > 1
        assert [measured_t60(response) for response in reflections] == pytest.approx([t60] * 3, rel=0.3)


def save_arrays(path, **arrays):
    good = {"rate": 8000, "reverb": np.ones((2, 2, 9)), "direct": np.ones((2, 2, 9)), "t60": np.ones(2)}
    np.savez(path, **{name: value for name, value in (good | arrays).items() if value is not None})


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "no such file"),
        (lambda path: path.write_text("hello"), "not a bank"),
        (lambda path: path.write_bytes(b""), "not a bank"),
        (lambda path: save_arrays(path, t60=None), "not a bank"),
        (lambda path: save_arrays(path, reverb=np.array([None])), "not a bank"),
        (lambda path: save_arrays(path, rate=np.ones(2)), "not a bank"),
        (lambda path: save_arrays(path, direct=np.ones((2, 2, 8))), "[rooms, positions, mics, taps]"),
        (lambda path: save_arrays(path, t60=np.ones(3)), "[rooms, positions, mics, taps]"),
        (lambda path: save_arrays(path, reverb=np.full((2, 2, 9), np.nan)), "NaN or infinite"),
        (lambda path: save_arrays(path, t60=np.array([1, np.inf])), "NaN or infinite"),
    ],
)
def test_what_is_no_bank_is_refused(tmp_path, write, words):
    path = tmp_path / "rooms.npz"
    write(path)
    with pytest.raises(InputError) as caught:
        RoomBank.load(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert "tasnet generate rooms" in str(caught.value)


def test_damaged_bank_is_refused(tmp_path):
    path = tmp_path / "rooms.npz"
    RoomBank(8000, *np.random.default_rng(0).normal(size=(2, 2, 2, 99)), np.ones(2)).save(path)
    damaged = bytearray(path.read_bytes())
    damaged[400:420] = bytes(20)
    path.write_bytes(damaged)
    with pytest.raises(InputError, match="damaged"):
        RoomBank.load(path)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rooms": 0}, "rooms=0"),
        ({"positions": 1}, "1 positions: expected 2 to 8"),
        ({"positions": 9}, "9 positions"),
        ({"rate": 11025}, "rate 11025"),
        ({"rate": 0}, "rate 0"),
        ({"seed": -1}, "seed=-1"),
        ({"workers": 0}, "workers=0"),
    ],
)
def test_options_out_of_range_are_refused(tmp_path, options, words):
    with pytest.raises(InputError) as caught:
        make_room_bank(tmp_path / "there" / "rooms.npz", **options)
    assert words in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_there_is_kept(tmp_path):
    (tmp_path / "rooms.npz").write_text("precious")
    with pytest.raises(InputError, match="already exists"):
        make_room_bank(tmp_path / "rooms.npz", rooms=1)
    assert (tmp_path / "rooms.npz").read_text() == "precious"


def test_missing_library_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyroomacoustics", None)
    with pytest.raises(InputError, match=r"pip install 'speechbrain-tasnet\[rooms\]'"):
        make_room_bank(tmp_path / "rooms.npz", rooms=1)
    assert not list(tmp_path.iterdir())
