"""Names of any bytes, standard streams that are closed or full, pipes as mixtures: done, or one line."""

import os
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from forked import tasnet

from speechbrain_tasnet.configuration import loading
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.separation import many_files
from speechbrain_tasnet.separation.many_files import separate_files
from speechbrain_tasnet.separation.options import SeparationOptions
from speechbrain_tasnet.separation.output_files import Destination
from speechbrain_tasnet.separation.pretrained import TasNetSeparation

posix = pytest.mark.skipif(os.name == "nt", reason="names are letters on Windows")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a short mixture, also in formats that `tasnet stream` must not take for samples."""
    path = tmp_path_factory.mktemp("mixtures")
    samples = 0.1 * np.random.default_rng(0).standard_normal(4000)
    for suffix in ("wav", "flac", "ogg", "aiff", "caf", "au", "w64"):
        soundfile.write(path / f"base.{suffix}", samples, 8000)
    soundfile.write(path / "untagged.mp3", samples, 8000)
    (path / "base.mp3").write_bytes(b"ID3\x04" + bytes(6) + (path / "untagged.mp3").read_bytes())
    return path


def one_line(said: str) -> str:
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    lines = [line for line in said.splitlines() if "rror" in line]
    assert len(lines) == 1, said
    assert lines[0].startswith("tasnet: error: ")
    return lines[0]


@posix
def test_any_bytes_are_a_name(folder, tmp_path):
    os.link(folder / "base.wav", os.path.join(os.fsencode(tmp_path), b"caf\xe9.wav"))
    words = ["separate", b"caf\xe9.wav", "missing.wav", b"gone\xe9.wav", "--out", b"aus\xe4"]
    status, out, said = tasnet(*words, cwd=tmp_path)
    assert status == 2
    assert "2 of 3 files were left out" in said
    assert "left out: gone\\udce9.wav: no such file" in said
    assert out.splitlines() == [b"aus\xe4/caf\xe9_s1.wav", b"aus\xe4/caf\xe9_s2.wav"]
    assert sorted(os.listdir(os.fsencode(tmp_path) + b"/aus\xe4")) == [b"caf\xe9_s1.wav", b"caf\xe9_s2.wav"]


@posix
@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff", "caf", "au", "w64"])
def test_a_file_is_no_stream(folder, suffix):
    status, out, said = tasnet("stream", cwd=folder, stdin=folder / f"base.{suffix}")
    assert (status, out) == (2, b"")
    assert "sox FILE -t s16 -r 8000 -c 1 - | tasnet stream" in one_line(said)


@posix
@pytest.mark.parametrize(
    ("words", "options", "message"),
    [
        ("stream", {"closed": [0]}, "standard input: closed"),
        ("stream", {"closed": [1]}, "standard output: closed"),
        ("stream", {"stdin": "zeros", "stdout": "/dev/full"}, "the sources cannot be written (No space left"),
        ("separate base.wav --overwrite --out out", {"stdout": "/dev/full"}, "standard output cannot be written"),
        ("separate circle.wav", {}, "circle.wav: a link that leads nowhere"),
        ("separate base.wav --out circle.wav/deeper", {}, "circle.wav"),
        ("separate https://example.org/x.wav", {}, "download it first"),
        ("mix --speech circle.wav --out corpus", {}, "circle.wav: no such folder"),
    ],
)
def test_odd_streams_and_links_are_one_line(folder, words, options, message):
    if "/dev/full" in options.values() and not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    if not os.path.islink(folder / "circle.wav"):
        os.symlink("circle.wav", folder / "circle.wav")
    (folder / "zeros").write_bytes(bytes(4000))
    status, _, said = tasnet(*words.split(), cwd=folder, **options)
    assert message in one_line(said)
    assert status == 2


@posix
def test_without_standard_error_all_else_is_done(folder, tmp_path):
    status, out, _ = tasnet("separate", folder / "base.wav", "gone.wav", "--out", "out", cwd=tmp_path, closed=[2])
    assert status == 2
    assert len(out.splitlines()) == 2
    assert sorted(os.listdir(tmp_path / "out")) == ["base_s1.wav", "base_s2.wav"]


@posix
@pytest.mark.parametrize("suffix", ["ogg", "flac", "mp3"])
def test_a_pipe_is_a_mixture(folder, tmp_path, suffix):
    """As of `cat x.ogg | tasnet separate /dev/stdin`, and of a file that standard input is."""
    path = folder / f"base.{suffix}"
    drain, feed = os.pipe()
    os.write(feed, path.read_bytes())
    os.close(feed)
    for source in (drain, path):
        words = ["separate", "/dev/stdin", "--out", "out", "--overwrite"]
        status, out, said = tasnet(*words, cwd=tmp_path, stdin=source)
        assert status == 0, said
        assert out.decode().split() == ["out/stdin_s1.wav", "out/stdin_s2.wav"]
        assert soundfile.info(tmp_path / "out/stdin_s1.wav").frames >= 4000
    os.close(drain)


class Halves:
    """A model without a network."""

    hparams = SimpleNamespace(sample_rate=8000, num_spks=2)

    def separate_batch(self, mix):
        return torch.stack([mix / 2, mix / 2], dim=2)


@posix
@pytest.mark.parametrize("size", [200, 240])
def test_long_names(folder, tmp_path, size):
    """Up to the 255 bytes that a file system allows; what is longer is refused before the work."""
    mixture = tmp_path / ("x" * size + ".wav")
    os.link(folder / "base.wav", mixture)
    separate_files(Halves(), [mixture], Destination(tmp_path / "out"), SeparationOptions())
    assert len(list((tmp_path / "out").iterdir())) == 2


@posix
def test_a_name_that_gets_too_long_is_refused_before_the_work(folder, tmp_path, monkeypatch):
    mixture = tmp_path / ("x" * 251 + ".wav")
    os.link(folder / "base.wav", mixture)
    monkeypatch.setattr(many_files, "write_recordings", lambda *_: pytest.fail("has begun"))
    with pytest.raises(InputError, match="258 bytes"):
        separate_files(Halves(), [mixture], Destination(tmp_path / "out"), SeparationOptions())


def test_an_estimate_of_space_refuses_nothing(folder, tmp_path, monkeypatch):
    flac = bytearray((folder / "base.flac").read_bytes())
    flac[21:26] = bytes([flac[21] & 0xF0, 0, 0, 0, 0])
    (tmp_path / "piped.flac").write_bytes(flac)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=1))
    separate_files(Halves(), [tmp_path / "piped.flac"], Destination(tmp_path / "out"), SeparationOptions())
    assert soundfile.info(tmp_path / "out/piped_s1.wav").frames == 4000


@pytest.mark.parametrize("device", ["cuda:99", "gpu", "", "cuda:x"])
def test_an_unknown_device_is_refused(device):
    with pytest.raises(InputError, match="no such device here"):
        TasNetSeparation.from_bundle("convtasnet-8k-2spk", device=device or "nothing")


def test_spreading_over_gpus_needs_some(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["wsj0mix", "--data_folder", ".", "--device", "cpu", "--data_parallel_backend"]
    with pytest.raises(InputError, match="spreads a batch over GPUs"):
        loading.read(words)
