"""As people write it: arrays, tensors, bytes, open files, a callback, torch.hub."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from speechbrain_tasnet import Decoder, Encoder, MaskNet, TasNetSeparation
from speechbrain_tasnet.errors import InputError

RATE = 16000


@pytest.fixture(scope="module")
def separator():
    torch.manual_seed(0)
    modules = {"encoder": Encoder(16, 8), "masknet": MaskNet(16, 8, 16, 8, X=2, R=1), "decoder": Decoder(16, 8)}
    return TasNetSeparation(modules, hparams={"sample_rate": 8000, "num_spks": 2})


@pytest.fixture(scope="module")
def talk(tmp_path_factory):
    """A recording of 16 kHz, as a file and as samples."""
    samples = np.random.default_rng(0).normal(0, 0.1, 3 * RATE).astype(np.float32)
    soundfile.write(path := tmp_path_factory.mktemp("talk") / "talk.wav", samples, RATE, "FLOAT")
    return path, samples


def test_samples_give_what_their_file_gives(separator, talk):
    path, samples = talk
    expected = separator.separate_file(path)[0].T
    assert expected.shape == (2, len(samples))
    found = separator(samples, RATE)
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found, expected.numpy())
    as_tensor = separator(torch.from_numpy(samples), RATE)
    assert torch.equal(as_tensor, expected)
    in_windows = separator.separate_audio(samples, RATE, window=1.0, scale="peak")
    assert np.abs(in_windows).max() == pytest.approx(0.9, abs=1e-3)


@pytest.mark.parametrize("kind", ["int16", "int32", "float64"])
def test_samples_of_any_type(separator, kind, talk):
    _, samples = talk
    scale = 1 if kind == "float64" else np.iinfo(kind).max + 1
    found = separator((samples[:RATE].astype(np.float64) * scale).astype(kind), RATE)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, separator(samples[:RATE], RATE), atol=1e-3)


def test_channels_stand_where_each_package_has_them(separator, talk):
    stereo = np.stack([talk[1], -talk[1]], axis=1)
    each = separator.separate_audio(stereo, RATE, channels="each")
    assert each.shape == (2, len(stereo), 2)
    tensor = separator.separate_audio(torch.from_numpy(stereo.T), RATE, channels="each")
    assert tensor.shape == (2, 2, len(stereo))
    np.testing.assert_array_equal(tensor.numpy().transpose(0, 2, 1), each)
    assert separator(stereo, RATE).shape == (2, len(stereo))  # their mean


def test_bytes_and_open_files_are_read_and_stay_open(separator, talk):
    path, _ = talk
    expected = separator.separate_file(path)
    assert torch.equal(separator.separate_file(path.read_bytes()), expected)
    with open(path, "rb") as file:
        assert torch.equal(separator.separate_file(file), expected)
        assert not file.closed
    stream = io.BytesIO(path.read_bytes())
    assert separator.separate_voices(stream).sources.shape == expected.shape
    assert not stream.closed
    with pytest.raises(InputError, match="the bytes: cannot be read as audio"):
        separator.separate_file(b"no audio" * 100)
    with pytest.raises(InputError, match="the open file: cannot be read as audio"):
        separator.separate_file(io.BytesIO(b"no audio" * 100))


def test_voices_are_found_in_samples(separator, talk):
    path, samples = talk
    expected = separator.separate_voices(path)
    for audio in (samples, torch.from_numpy(samples)):
        found = separator.separate_voices(audio, RATE)
        torch.testing.assert_close(found.sources, expected.sources, rtol=0, atol=1e-4)
        assert (found.count, found.sample_rate) == (expected.count, RATE)
    stereo = np.stack([samples, 0.5 * samples], 1)
    each = separator.separate_voices(stereo, RATE, channels="each").sources
    assert each.shape == (2, len(samples), 2)
    assert torch.equal(separator.separate_voices(torch.from_numpy(stereo.T), RATE, channels="each").sources, each)


def test_samples_come_with_their_rate_and_files_do_not(separator, talk):
    path, samples = talk
    with pytest.raises(InputError, match="samples without their rate: expected sample_rate"):
        separator.separate_voices(samples)
    with pytest.raises(InputError, match="sample_rate=8000: a file has its own"):
        separator.separate_voices(path, 8000)
    for audio in (samples.tolist(), None):
        with pytest.raises(InputError, match="expected a path, bytes or an open binary file"):
            separator.separate_voices(audio)
    with pytest.raises(InputError, match=r"recording of type ndarray: .* separate_audio"):
        separator.separate_file(samples)


def test_a_callback_hears_of_every_piece(separator, talk):
    pieces = []
    separator.separate_file(talk[0], window=1.0, progress=pieces.append)
    assert len(pieces) > 1
    assert sum(pieces) == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("samples", "rate", "message"),
    [
        (np.zeros(0, np.float32), 8000, r"shape \[0\]: expected \[time\] or \[time, channels\]"),
        (np.zeros((1, 2, 3)), 8000, r"shape \[1, 2, 3\]"),
        (np.zeros(9, np.uint8), 8000, "samples of uint8: expected floating point, int16 or int32"),
        (np.zeros(9, np.float32), 0, "sample_rate=0: expected"),
        (np.full(900, np.nan, np.float32), 8000, "the samples: holds NaN"),
    ],
)
def test_what_is_no_recording_is_refused(separator, samples, rate, message):
    with pytest.raises(InputError, match=message):
        separator(samples, rate)


def test_torch_hub_gives_a_separator():
    root = Path(__file__).parents[1]
    separator = torch.hub.load(str(root), "convtasnet", source="local", device="cpu")
    assert separator(np.zeros(800, np.float32), 8000).shape == (2, 800)
