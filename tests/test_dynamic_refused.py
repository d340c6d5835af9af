"""Dynamic mixing of what cannot be mixed, or no longer: one line says what is wrong."""

import numpy as np
import pytest
import soundfile
from mixed_speech import bank, mixing, utterances, white, write

from speechbrain_tasnet.errors import InputError


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_spks": 0}, ["num_spks=0", "at least 1"]),
        ({"num_spks": 6}, ["5 speakers", "num_spks=6 needed"]),
        (
            {"exclude": ["spk0", "spk1", "spk2", "spk3"]},
            ["4 of them excluded", "1 of the rest", "num_spks=2 needed"],
        ),
        ({"exclude": "spk0"}, ["exclude='spk0'", "[spk0]"]),
        ({"sample_rate": 8000.0}, ["sample_rate=8000.0", "whole number"]),
        ({"segment": 0}, ["segment=0", "above 0"]),
        ({"segment": None}, ["segment=None", "above 0"]),
        ({"length": 0}, ["length=0", "at least 1"]),
        ({"seed": -1}, ["seed=-1", "at least 0"]),
        ({"speeds": [1.0, 0.0]}, ["speeds=[1.0, 0.0]", "above 0"]),
        ({"speeds": []}, ["speeds=[]", "above 0"]),
        ({"target": "dry"}, ["target='dry'", "'anechoic' or 'reverb'"]),
        ({"outputs": "all"}, ["outputs='all'", "'reference' or 'sum' or 'each'"]),
        ({"source_order": "locations"}, ["source_order='locations'", "'best' or 'location'"]),
        ({"rooms": bank(rate=16000)}, ["16000 Hz", "sample_rate=8000"]),
        ({"rooms": bank(positions=1)}, ["1 positions", "num_spks=2"]),
        ({"rooms": "gone.npz"}, ["gone.npz", "no such file"]),
        ({"noise": "gone"}, ["gone", "no such folder"]),
        ({"noise_share": -0.1}, ["noise_share=-0.1", "from 0 to 1"]),
        ({"channel_share": 1.5}, ["channel_share=1.5", "from 0 to 1"]),
        ({"noise": ".", "noise_snr": [6, -3]}, ["noise_snr=[6, -3]", "two levels"]),
    ],
)
def test_options_out_of_range_are_refused(hiss, options, words):
    with pytest.raises(InputError) as caught:
        mixing(hiss, **options)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_rooms_without_a_direct_path_are_refused(hiss):
    rooms = bank()
    rooms.direct[1, 2] = 0
    with pytest.raises(InputError, match="direct path is all zero"):
        mixing(hiss, rooms=rooms)


def test_an_epoch_below_zero_is_refused(hiss):
    with pytest.raises(InputError, match="epoch=-1: expected a whole number of at least 0"):
        mixing(hiss).set_epoch(-1)


@pytest.mark.parametrize("index", [8, -1])
def test_there_is_no_item_beyond_the_last(hiss, index):
    with pytest.raises(IndexError):
        mixing(hiss)[index]


def test_folders_without_speech_or_noise_are_refused(hiss, tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        mixing(tmp_path / "gone")
    with pytest.raises(InputError, match="no audio found"):
        mixing(tmp_path)
    with pytest.raises(InputError, match="no audio found"):
        mixing(hiss, noise=tmp_path)


def test_too_short_utterances_are_left_out_and_then_missed(tmp_path):
    for number in range(2):
        for name, seconds in {"long": 1.1, "short": 0.9}.items():
            write(tmp_path / f"spk{number}" / f"{name}.wav", white(number, seconds=seconds))
    assert all(name.endswith("long") for item in mixing(tmp_path) for name in utterances(item))
    (tmp_path / "spk1" / "long.wav").unlink()
    with pytest.raises(InputError, match="1 of the rest with an utterance of 1 s or more"):
        mixing(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"), [(b"hello", "cannot be read as audio"), (None, "no samples")], ids=["text", "empty"]
)
def test_files_that_are_no_audio_are_named(hiss, tmp_path, content, words):
    for path in hiss.rglob("0.wav"):
        write(tmp_path / path.relative_to(hiss), soundfile.read(path)[0])
    bad = write(tmp_path / "spk1" / "bad.wav", np.zeros(0))
    if content:
        bad.write_bytes(content)
    with pytest.raises(InputError, match=rf"bad\.wav: .*{words}"):
        mixing(tmp_path)


def spoil_by_silence(path):
    write(path, np.zeros(16000))


def spoil_by_removal(path):
    path.unlink()


def spoil_by_cutting(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("suffix", ["wav", "flac"])
@pytest.mark.parametrize(
    ("spoil", "known", "words"),
    [
        (spoil_by_silence, False, "silent"),
        (spoil_by_removal, False, "no such file"),
        (spoil_by_removal, True, "the file is gone"),
        (spoil_by_cutting, False, "cut short|cannot be"),
        (spoil_by_cutting, True, "cut short|cannot be"),
    ],
)
def test_a_file_that_goes_bad_in_training_is_named(tmp_path, spoil, known, words, suffix):
    paths = [write(tmp_path / f"spk{number}" / f"a.{suffix}", white(number)) for number in range(2)]
    dataset = mixing(tmp_path, segment=1.9)
    if known:  # its level, which is measured at first sight
        list(dataset)
    spoil(paths[1])
    with pytest.raises(InputError, match=rf"spk1/a\.{suffix}: ({words})") as caught:
        list(dataset)
    assert "\n" not in str(caught.value)
