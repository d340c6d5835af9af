"""A recording into its sources: whole or in windows, any rate and channels, every scale, whole files or none."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch

from speechbrain_tasnet import Decoder, Encoder, MaskNet, TasNetSeparation
from speechbrain_tasnet.audio import reading
from speechbrain_tasnet.audio.reading import read_audio
from speechbrain_tasnet.errors import DiskError, InputError
from speechbrain_tasnet.separation.options import SeparationOptions
from speechbrain_tasnet.separation.output_files import AudioFormat
from speechbrain_tasnet.separation.recording import separate_recording, write_sources

FLOAT = AudioFormat("wav", "FLOAT")


@pytest.fixture(scope="module")
def separator():
    torch.manual_seed(0)
    modules = {"encoder": Encoder(16, 8), "masknet": MaskNet(16, 8, 16, 8, X=2, R=1), "decoder": Decoder(16, 8)}
    return TasNetSeparation(modules, hparams={"sample_rate": 8000, "num_spks": 2})


class Copies(TasNetSeparation):
    """Gives the mixture as both sources, one half as loud and upside down."""

    MODULES_NEEDED = ()

    def separate_batch(self, mix, lengths=None):
        return torch.stack([mix, -0.5 * mix], dim=2)


@pytest.fixture(scope="module")
def copies():
    return Copies(hparams={"sample_rate": 8000, "num_spks": 2})


def noise(seconds, rate=8000, channels=1, loudness=0.1):
    samples = np.random.default_rng(0).standard_normal((round(seconds * rate), channels))
    return (loudness * np.clip(samples, -4, 4)).astype(np.float32)


def write(path, samples, rate=8000, subtype="FLOAT"):
    soundfile.write(path, samples, rate, subtype)
    return path


def read(paths):
    return np.stack([soundfile.read(path, always_2d=True)[0] for path in paths])  # [C, time, channels]


def test_a_short_file_is_separated_whole(separator, tmp_path):
    mixture = noise(3.0)
    path = write(tmp_path / "mix.wav", mixture)
    whole = separator.separate_batch(torch.from_numpy(mixture).T)
    assert torch.equal(separator.separate_file(path), whole)
    assert torch.equal(separator.separate_file(path, window=None), whole)
    assert not torch.equal(separator.separate_file(path, window=1), whole)


@pytest.mark.parametrize("rate", [8000, 11025, 48000])
def test_windows_and_blocks_leave_no_seam(copies, tmp_path, rate):
    path = write(tmp_path / "mix.wav", noise(7.03, rate), rate)
    whole = separate_recording(copies, path, SeparationOptions(window=None))
    torch.testing.assert_close(
        separate_recording(copies, path, SeparationOptions(window=1)), whole, atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("kind", [FLOAT, AudioFormat("wav", "PCM_24"), AudioFormat("flac", "PCM_16")])
@pytest.mark.parametrize("scale", ["none", "peak", "mixture", "consistent"])
def test_files_hold_what_python_gets(separator, tmp_path, scale, kind):
    path = write(tmp_path / "mix.wav", noise(2.5, 11025, 2), 11025)
    choices = SeparationOptions("each", scale, window=1)
    paths = write_sources(separator, path, tmp_path / "out", choices=choices, kind=kind)
    assert [path.name for path in paths] == [f"mix_s1.{kind.format}", f"mix_s2.{kind.format}"]
    assert soundfile.info(paths[0]).subtype == kind.subtype
    expected = separate_recording(separator, path, choices).permute(2, 1, 0)
    step = {"FLOAT": 1e-7, "PCM_24": 2**-24, "PCM_16": 2**-16}[kind.subtype]
    np.testing.assert_allclose(read(paths), expected, atol=1.01 * step)


@pytest.mark.parametrize(
    ("channels", "expected"), [("mean", [[0.3]]), ("left", [[0.1]]), ("right", [[0.5]]), ("each", [[0.1], [0.5]])]
)
def test_channels(copies, tmp_path, channels, expected):
    samples = np.tile(np.float32([0.1, 0.5]), (80, 1))
    path = write(tmp_path / "stereo.wav", samples)
    sources = copies.separate_file(path, channels=channels)
    np.testing.assert_allclose(sources[:, 40, 0:1], expected, rtol=1e-6)
    assert write_sources(copies, path, tmp_path / "out", choices=SeparationOptions(channels), kind=FLOAT)
    assert soundfile.info(tmp_path / "out/stereo_s1.wav").channels == len(expected)


@pytest.mark.parametrize("channels", ["mean", "left", "right", "each"])
def test_a_single_channel_is_on_either_side(copies, tmp_path, channels):
    path = write(tmp_path / "mono.wav", noise(0.1))
    assert torch.equal(copies.separate_file(path, channels=channels), copies.separate_file(path))


def test_scale_mixture_and_consistent_give_back_the_mixture(copies, tmp_path):
    mixture = noise(5.0)
    path = write(tmp_path / "mix.wav", mixture)
    for scale in ("mixture", "consistent"):
        total = copies.separate_file(path, scale=scale, window=1).sum(2)
        np.testing.assert_allclose(total[0], mixture[:, 0], atol=1e-6)
    first = copies.separate_file(path, scale="mixture")[0, :, 0]
    np.testing.assert_allclose(first, 2 * mixture[:, 0], atol=1e-6)  # one gain for all
    first = copies.separate_file(path, scale="consistent")[0, :, 0]
    np.testing.assert_allclose(first, 1.25 * mixture[:, 0], atol=1e-6)  # half of the missing half for each


def test_scale_peak(copies, tmp_path):
    path = write(tmp_path / "mix.wav", noise(5.0))
    for window in (1, None):
        sources = copies.separate_file(path, scale="peak", window=window)
        assert sources.abs().amax(1)[0].tolist() == pytest.approx([0.9, 0.45])


@pytest.mark.parametrize("scale", ["none", "peak", "mixture", "consistent"])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_nothing_clips_and_levels_still_compare(copies, tmp_path, scale, subtype):
    path = write(tmp_path / "loud.wav", noise(2.0, loudness=3.0))
    paths = write_sources(
        copies, path, tmp_path / "out", choices=SeparationOptions(scale=scale), kind=AudioFormat("wav", subtype)
    )
    first, second = read(paths)
    assert 0.89 < np.abs(first).max() <= 1
    ratio = -0.2 if scale == "consistent" else -0.5
    np.testing.assert_allclose(second, ratio * first, atol=2**-15)


def test_float_files_are_not_limited(copies, tmp_path):
    path = write(tmp_path / "loud.wav", noise(0.5, loudness=3.0))
    first, _ = read(write_sources(copies, path, tmp_path / "out", kind=FLOAT))
    assert np.abs(first).max() > 5


@pytest.mark.parametrize("scale", ["none", "peak", "mixture", "consistent"])
@pytest.mark.parametrize("loudness", [0, 1e-5])
def test_silence_stays_silence(copies, separator, tmp_path, scale, loudness):
    path = write(tmp_path / "silence.wav", np.clip(noise(2.5, loudness=loudness), -3e-5, 3e-5))
    for model in (copies, separator):
        sources = model.separate_file(path, scale=scale, window=1)
        assert sources.isfinite().all()
        assert sources.abs().max() <= 6e-5


def test_samples_are_rounded_not_cut(copies, tmp_path):
    path = write(tmp_path / "mix.wav", np.float32([0.6, -0.6, 1.4, 3, 2**15]) / 2**15)
    first, _ = write_sources(copies, path, tmp_path / "out")
    assert soundfile.read(first, dtype="int16")[0].tolist() == [1, -1, 1, 3, 2**15 - 1]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SeparationOptions(channels="both"), ["channels='both'", "mean"]),
        (lambda: SeparationOptions(scale="loud"), ["scale='loud'", "peak"]),
        (lambda: SeparationOptions(window=0.5), ["window=0.5", "seconds"]),
        (lambda: SeparationOptions(window=float("nan")), ["window=nan", "seconds"]),
        (lambda: AudioFormat("aac"), ["format='aac'", "wav, flac, mp3, opus"]),
        (lambda: AudioFormat("wav", "ULAW"), ["subtype='ULAW'", "PCM_16"]),
        (lambda: AudioFormat("flac", "FLOAT"), ["subtype='FLOAT'", "PCM_16 or PCM_24 in flac"]),
        (lambda: AudioFormat("mp3", "PCM_16"), ["subtype='PCM_16'", "MPEG_LAYER_III in mp3"]),
    ],
)
def test_unknown_choices_are_refused(make, words):
    with pytest.raises(InputError) as caught:
        make()
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize("kind", ["mp3", "opus"])
def test_codecs_of_players(kind, copies, tmp_path):
    """As long as the mixture, in time with it, and whole or not there."""
    time = np.arange(3 * 16000) / 16000
    tone = 0.4 * np.sin(2 * np.pi * 300 * time) * (time > 1)
    path = write(tmp_path / "mix.wav", tone[:, None].astype(np.float32), 16000)
    first, second = write_sources(copies, path, tmp_path / "out", kind=AudioFormat(kind))
    assert (first.name, second.name) == (f"mix_s1.{kind}", f"mix_s2.{kind}")
    samples = read_audio(first, 16000)
    assert len(samples) == len(tone)
    np.testing.assert_allclose(samples[17000:-2000], tone[17000:-2000], atol=0.05)
    assert np.abs(samples[:15500]).max() < 0.01


def test_a_rate_that_opus_does_not_have_is_refused_before_any_work(copies, tmp_path):
    path = write(tmp_path / "mix.wav", noise(0.1), 11025)
    with pytest.raises(InputError, match="1 channel at 11025 Hz does not fit into opus; choose wav"):
        write_sources(copies, path, tmp_path / "out", kind=AudioFormat("opus"))
    assert not (tmp_path / "out").exists()


def test_more_channels_than_flac_has(copies, tmp_path):
    path = write(tmp_path / "many.wav", noise(0.1, channels=9))
    with pytest.raises(InputError, match="9 channels"):
        write_sources(copies, path, tmp_path / "out", choices=SeparationOptions("each"), kind=AudioFormat("flac"))
    assert not (tmp_path / "out").exists()


def test_a_wav_of_more_than_4_gib_is_refused():
    with pytest.raises(InputError, match="choose flac"):
        AudioFormat("wav").check("long.wav", 8000, 1, 2**31)
    AudioFormat("flac").check("long.wav", 8000, 1, 2**31)


def test_bad_samples_late_in_a_recording_leave_nothing(separator, tmp_path):
    samples = noise(70.0)
    samples[-1] = np.nan
    path = write(tmp_path / "late.wav", samples)
    with pytest.raises(InputError, match="NaN"):
        write_sources(separator, path, tmp_path / "out", choices=SeparationOptions(window=1))
    assert [path.name for path in tmp_path.iterdir()] == ["late.wav"]


def test_a_full_disk_leaves_nothing(copies, tmp_path, monkeypatch):
    path = write(tmp_path / "mix.wav", noise(1.0))
    real = soundfile.SoundFile.write

    def fail(file, data):
        real(file, data[:10])
        raise soundfile.LibsndfileError(2)

    monkeypatch.setattr(soundfile.SoundFile, "write", fail)
    with pytest.raises(DiskError, match="cannot be written"):
        write_sources(copies, path, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_headers_are_read_once(copies, tmp_path, monkeypatch):
    path = write(tmp_path / "mix.wav", noise(1.0, 16000), 16000)
    opened = []
    real = reading.SoundFileAudio.__init__

    def count(file, name, *args, **options):
        opened.append(name)
        real(file, name, *args, **options)

    monkeypatch.setattr(reading.SoundFileAudio, "__init__", count)
    write_sources(copies, path, tmp_path / "out")
    assert opened == [str(path)]


HOUR = """
import re, sys, torch
from speechbrain_tasnet import Decoder, Encoder, MaskNet, TasNetSeparation
from speechbrain_tasnet.separation.recording import write_sources

torch.manual_seed(0)
masknet = MaskNet(256, 64, 192, 64, X=7, R=2)
modules = {"encoder": Encoder(256, 32), "masknet": masknet, "decoder": Decoder(256, 32)}
write_sources(TasNetSeparation(modules, hparams={"sample_rate": 8000, "num_spks": 2}), *sys.argv[1:])
# Not what `getrusage` knows, which may be the parent's.
print(int(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1]) / 1024)
"""


@pytest.mark.long
def test_an_hour_takes_no_more_memory_than_a_minute(tmp_path):
    """Stereo at 44.1 kHz; MiB at the peak, the libraries' 700 included."""
    peaks = []
    for minutes in (1, 60):
        path = tmp_path / f"{minutes}.flac"
        with soundfile.SoundFile(path, "w", 44100, 2) as file:
            for _ in range(minutes):
                file.write(noise(60.0, 44100, 2))
        program = [sys.executable, "-c", HOUR, path, tmp_path / "out"]
        peaks.append(float(subprocess.run(program, capture_output=True, text=True, check=True).stdout))
        assert soundfile.info(tmp_path / f"out/{minutes}_s2.wav").frames == minutes * 60 * 44100
    assert peaks[1] < peaks[0] + 300  # the sources of an hour are 1200
    assert max(peaks) < 1200
