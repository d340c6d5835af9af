"""Audio as it comes: every format soundfile writes, any rate and channels; separated, or refused in one line."""

from io import BytesIO

import numpy as np
import pytest
import soundfile
import torch

from speechbrain_tasnet import Decoder, Encoder, MaskNet, TasNetSeparation
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.separation.options import SeparationOptions
from speechbrain_tasnet.separation.recording import write_sources

# Without a header, or for programs that play one instrument. DWVW_12 is announced and not written.
OTHERWISE = {"RAW", "SD2", "XI"}
FORMATS = [
    (format, subtype)
    for format in soundfile.available_formats()
    for subtype in soundfile.available_subtypes(format)
    if format not in OTHERWISE and subtype != "DWVW_12"
]


@pytest.fixture(scope="module")
def separator():
    torch.manual_seed(0)
    modules = {"encoder": Encoder(8, 4), "masknet": MaskNet(8, 4, 8, 4, X=2, R=1), "decoder": Decoder(8, 4)}
    return TasNetSeparation(modules, hparams={"sample_rate": 8000, "num_spks": 2})


def speechlike(frames: int, rate: int, channels: int = 1) -> np.ndarray:
    time = np.arange(frames) / rate
    signal = 0.3 * np.sin(2 * np.pi * 220 * time) * np.sin(2 * np.pi * 3 * time)
    return np.stack([signal / (1 + c) for c in range(channels)], axis=1)


def separate(separator, path, out, channels="mean"):
    """Separate, and check what came out: length, rate, within full scale, no holes."""
    info = soundfile.info(path)
    for source in write_sources(separator, path, out, overwrite=True, choices=SeparationOptions(channels)):
        samples, rate = soundfile.read(source, always_2d=True)
        assert (len(samples), rate) == (info.frames, info.samplerate)
        assert samples.shape[1] == (info.channels if channels == "each" else 1)
        assert np.isfinite(samples).all()
        assert np.abs(samples).max() <= 1
    return samples


def refused(separator, path, out) -> str:
    with pytest.raises(InputError) as caught:
        write_sources(separator, path, out)
    assert not out.exists()
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def writable(format, subtype, rate, channels) -> bool:
    try:
        soundfile.SoundFile(BytesIO(), "w", rate, channels, subtype, format=format).close()
    except soundfile.LibsndfileError:
        return False
    return True


@pytest.mark.parametrize(("format", "subtype"), FORMATS, ids=map("-".join, FORMATS))
def test_every_format(separator, tmp_path, format, subtype):
    """In mono and stereo at 8 and 44.1 kHz, as far as the format has them."""
    for rate, channels in ((8000, 1), (44100, 2)):
        if not writable(format, subtype, rate, channels):
            continue
        path = tmp_path / f"mix.{format.lower()}"
        soundfile.write(path, speechlike(rate // 4, rate, channels), rate, subtype, format=format)
        assert np.abs(separate(separator, path, tmp_path / "out")).max() > 0


@pytest.mark.parametrize("rate", [1, 4000, 7999, 11025, 12000, 16000, 22050, 32000, 44100, 48000, 96000, 192000])
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_every_rate_and_number_of_channels(separator, tmp_path, rate, channels):
    soundfile.write(tmp_path / "mix.wav", speechlike(max(3, rate // 10), rate, channels), rate, "PCM_24")
    separate(separator, tmp_path / "mix.wav", tmp_path / "out", "each")


SIGNALS = {
    "one sample": np.array([0.5]),
    "two samples": np.array([0.5, -0.5]),
    "silence": np.zeros(3000),
    "DC": np.full(3000, 0.7),
    "full-scale square": np.sign(np.sin(np.arange(3000) / 20)),
    "impulse": np.eye(1, 3000)[0],
    "far beyond full scale": 1e5 * np.sin(np.arange(3000)),
    "next to nothing": 1e-38 * np.sin(np.arange(3000)),
}


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("rate", [8000, 44100])
def test_odd_signals(separator, tmp_path, name, rate):
    soundfile.write(tmp_path / "mix.wav", SIGNALS[name], rate, "FLOAT")
    samples = separate(separator, tmp_path / "mix.wav", tmp_path / "out")
    if name in ("silence", "next to nothing"):
        assert not samples.any()


NO_SIGNALS = {
    "no samples": (np.zeros(0), "FLOAT", "no samples"),
    "NaN": (np.array([0.0, np.nan, 0.0]), "FLOAT", "NaN"),
    "infinite": (np.array([0.0, -np.inf, 0.0]), "DOUBLE", "infinite"),
    "beyond float32": (np.array([0.0, 1e300, 0.0]), "DOUBLE", "infinite"),
    "beyond all recordings": (np.full(3000, 1e30), "FLOAT", "above"),
}


@pytest.mark.parametrize("name", NO_SIGNALS)
def test_what_is_no_signal(separator, tmp_path, name):
    samples, subtype, word = NO_SIGNALS[name]
    soundfile.write(tmp_path / "mix.wav", samples, 8000, subtype)
    assert word in refused(separator, tmp_path / "mix.wav", tmp_path / "out")


def test_rates_beyond_reason(separator, tmp_path):
    soundfile.write(tmp_path / "mix.wav", np.zeros(100), 2**31 - 1)
    assert "2147483647" in refused(separator, tmp_path / "mix.wav", tmp_path / "out")


@pytest.mark.parametrize("suffix", ["wav", "raw", "mp3", "flac", "ogg", "aiff", "txt"])
def test_what_is_no_audio(separator, tmp_path, suffix):
    for content in (b"", b"RIFF\x10\x00\x00\x00WAVEfmt garbage", b"no audio\n" * 1000):
        path = tmp_path / f"mix.{suffix}"
        path.write_bytes(content)
        refused(separator, path, tmp_path / "out")


@pytest.mark.parametrize("suffix", ["wav", "mp3", "flac", "ogg", "aiff", "w64", "caf", "au"])
@pytest.mark.parametrize("part", [0.5, 0.01])
def test_files_cut_short(separator, tmp_path, suffix, part):
    """Where the format tells that something is missing it is refused; otherwise what is there is separated."""
    path = tmp_path / f"mix.{suffix}"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 32000), 16000)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    try:
        separate(separator, path, tmp_path / "out")
    except (InputError, soundfile.LibsndfileError):
        refused(separator, path, tmp_path / "out")
    else:
        assert suffix not in ("wav", "flac", "mp3")
