"""Names of any bytes, standard streams that are closed or full, pipes as mixtures: done, or one line."""

import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from speechbrain_tasnet.configuration import loading
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.separation import many_files
from speechbrain_tasnet.separation.many_files import separate_files
from speechbrain_tasnet.separation.output_files import WAV
from speechbrain_tasnet.separation.pretrained import TasNetSeparation
from speechbrain_tasnet.separation.recording import SeparationOptions

posix = pytest.mark.skipif(os.name == "nt", reason="names are letters on Windows")
TASNET = f"{sys.executable} -m speechbrain_tasnet.cli"


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


def shell(line, cwd) -> tuple[int, bytes, str]:
    """Run a line of a shell, in which {tasnet} is the program; returns exit status and what it wrote."""
    done = subprocess.run(
        ["bash", "-c", line.replace("tasnet ", TASNET + " ", 1)], cwd=cwd, capture_output=True, check=False
    )
    return done.returncode, done.stdout, done.stderr.decode(errors="surrogateescape")


def one_line(said: str) -> str:
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    lines = [line for line in said.splitlines() if "rror" in line]
    assert len(lines) == 1, said
    assert lines[0].startswith("tasnet: error: ")
    return lines[0]


@posix
def test_any_bytes_are_a_name(folder, tmp_path):
    name = b"caf\xe9.wav"
    os.link(folder / "base.wav", os.path.join(os.fsencode(tmp_path), name))
    status, out, said = shell("tasnet separate $'caf\\xe9.wav' missing.wav --out $'aus\\xe4'", tmp_path)
    assert status == 2
    assert "1 of 2 files were left out" in said
    assert out.splitlines() == [b"aus\xe4/caf\xe9_s1.wav", b"aus\xe4/caf\xe9_s2.wav"]
    assert sorted(os.listdir(os.fsencode(tmp_path) + b"/aus\xe4")) == [b"caf\xe9_s1.wav", b"caf\xe9_s2.wav"]


@posix
@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff", "caf", "au", "w64"])
def test_a_file_is_no_stream(folder, suffix):
    status, out, said = shell(f"tasnet stream < base.{suffix}", folder)
    assert (status, out) == (2, b"")
    assert "sox FILE -t s16 -r 8000 -c 1 - | tasnet stream" in one_line(said)


@posix
@pytest.mark.parametrize(
    ("line", "status", "words"),
    [
        ("tasnet stream <&-", 2, "standard input: closed"),
        ("tasnet stream < base.wav >&-", 2, "standard output: closed"),
        ("tasnet stream < .", 2, "standard input: cannot be read (Is a directory)"),
        (
            "head -c 4000 /dev/zero | (tasnet stream > /dev/full)",
            2,
            "the sources cannot be written (No space left",
        ),
        ("tasnet separate base.wav --overwrite --out out > /dev/full", 2, "standard output cannot be written"),
        ("tasnet separate circle.wav", 2, "circle.wav: a link that leads nowhere"),
        ("tasnet separate base.wav --out circle.wav/deeper", 2, "circle.wav"),
        ("tasnet separate https://example.org/x.wav", 2, "download it first"),
        ("tasnet mix --speech circle.wav --out corpus", 2, "circle.wav: no such folder"),
        ("tasnet mix --speech . --out circle.wav", 2, "circle.wav"),
    ],
)
def test_odd_streams_and_links_are_one_line(folder, line, status, words):
    if not os.path.islink(folder / "circle.wav"):
        os.symlink("circle.wav", folder / "circle.wav")
    found, _, said = shell(line, folder)
    assert words in one_line(said)
    assert found == status


@posix
def test_without_standard_error_all_else_is_done(folder, tmp_path):
    status, out, _ = shell(f"tasnet separate {folder}/base.wav gone.wav --out {tmp_path}/out 2>&-", tmp_path)
    assert status == 2
    assert len(out.splitlines()) == 2
    assert sorted(os.listdir(tmp_path / "out")) == ["base_s1.wav", "base_s2.wav"]


@posix
@pytest.mark.parametrize(
    ("line", "stem"),
    [
        ("cat base.ogg | (tasnet separate /dev/stdin --out OUT)", "stdin"),
        ("tasnet separate /dev/stdin --out OUT < base.flac", "stdin"),
        ("tasnet separate <(cat base.mp3) --out OUT", None),
    ],
)
def test_a_pipe_is_a_mixture(folder, tmp_path, line, stem):
    status, out, said = shell(line.replace("OUT", str(tmp_path)), folder)
    assert status == 0, said
    paths = out.decode().split()
    assert len(paths) == 2
    assert stem is None or paths[0] == f"{tmp_path}/{stem}_s1.wav"
    assert soundfile.info(paths[0]).frames >= 4000


class Halves:
    """A model without a network."""

    hparams = SimpleNamespace(sample_rate=8000, num_spks=2)

    def separate_batch(self, mix):
        return torch.stack([mix / 2, mix / 2], dim=2)


@posix
@pytest.mark.parametrize("size", [200, pytest.param(240, marks=pytest.mark.xfail(
    reason="the temporary name of system.files.new_file is longer than its file's"))])  # fmt: skip
def test_long_names(folder, tmp_path, size):
    """Up to the 255 bytes that a file system allows; what is longer is refused before the work."""
    mixture = tmp_path / ("x" * size + ".wav")
    os.link(folder / "base.wav", mixture)
    separate_files(Halves(), [mixture], tmp_path / "out", False, SeparationOptions(), WAV)
    assert len(list((tmp_path / "out").iterdir())) == 2


@posix
def test_a_name_that_gets_too_long_is_refused_before_the_work(folder, tmp_path, monkeypatch):
    mixture = tmp_path / ("x" * 251 + ".wav")
    os.link(folder / "base.wav", mixture)
    monkeypatch.setattr(many_files, "write_sources", lambda *_: pytest.fail("has begun"))
    with pytest.raises(InputError, match="258 bytes"):
        separate_files(Halves(), [mixture], tmp_path / "out", False, SeparationOptions(), WAV)


def test_an_estimate_of_space_refuses_nothing(folder, tmp_path, monkeypatch):
    flac = bytearray((folder / "base.flac").read_bytes())
    flac[21:26] = bytes([flac[21] & 0xF0, 0, 0, 0, 0])
    (tmp_path / "piped.flac").write_bytes(flac)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=1))
    separate_files(Halves(), [tmp_path / "piped.flac"], tmp_path / "out", False, SeparationOptions(), WAV)
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
