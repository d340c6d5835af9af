"""`tasnet stream` between real processes: writers that stall and die, readers that leave, pipes and files."""

import os
import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch
from forked import stream_of

from speechbrain_tasnet import Decoder, Encoder, MaskNet, StreamingSeparator, separate
from speechbrain_tasnet.bundle import save_bundle
from speechbrain_tasnet.cli import main
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.separation import measure_stream
from speechbrain_tasnet.separation.pipe import Account, stream
from speechbrain_tasnet.separation.pretrained import TasNetSeparation
from speechbrain_tasnet.shipped import LIVE

RATE = 8000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A causal separator of two sources, untrained."""
    torch.manual_seed(0)
    net = MaskNet(16, 8, 24, 8, X=3, R=1, C=2, norm="cumulative", causal=True)
    modules = {"encoder": Encoder(16, 16), "masknet": net, "decoder": Decoder(16, 16)}
    path = tmp_path_factory.mktemp("separator") / "causal"
    save_bundle(path, modules, RATE)
    return path


@pytest.fixture(scope="module")
def mixture():
    return (np.random.default_rng(0).normal(size=4001) * 3000).astype("<i2")


def offline(folder, mixture):
    """What `separate` gives, at full scale 1: [time, C]."""
    modules = TasNetSeparation.from_bundle(folder).mods
    x = torch.from_numpy(mixture.astype(np.float32) / 2**15)[None]
    with torch.no_grad():
        return separate(modules.encoder, modules.masknet, modules.decoder, x)[0].numpy()


def test_what_comes_out_is_what_separate_gives(folder, mixture):
    """Interleaved on standard output, the half sample of a writer that died dropped, and said so."""
    status, out, said = stream_of(folder).end(mixture.tobytes() + b"\x01")
    assert status == 0, said
    got = np.frombuffer(out, "<i2").reshape(-1, 2)
    assert got.shape == (4001, 2)
    assert np.abs(got - np.round(offline(folder, mixture) * 2**15)).max() <= 1
    *_, first, last = said.splitlines()
    assert first == "tasnet stream: the input ended within a sample: 1 bytes are dropped"
    assert re.fullmatch(r"tasnet stream: 0\.500 s of audio, real-time factor [\d.]+, worst chunk [\d.]+ ms", last)


def test_a_separator_comes_along(mixture):
    status, out, said = stream_of().end(mixture.tobytes())
    assert status == 0, said
    got = np.frombuffer(out, "<i2").reshape(-1, 2)
    assert np.abs(got - np.round(offline(LIVE, mixture) * 2**15)).max() <= 1
    assert "clipped" not in said  # they are as loud as in the mixture


def test_sources_go_to_a_file_and_a_named_pipe(folder, mixture, tmp_path):
    os.mkfifo(tmp_path / "s2")
    reader = os.open(tmp_path / "s2", os.O_RDONLY | os.O_NONBLOCK)
    words = "--format", "f32le", "--chunk", "2", "--out", tmp_path / "s1", tmp_path / "s2"
    status, out, said = stream_of(folder, *words).end((mixture.astype("<f4") / 2**15).tobytes())
    assert (status, out) == (0, b""), said
    parts = (tmp_path / "s1").read_bytes(), os.read(reader, 2**16)
    os.close(reader)
    got = np.stack([np.frombuffer(part, "<f4") for part in parts], axis=1)
    np.testing.assert_allclose(got, offline(folder, mixture), atol=1e-5)
    status, _, said = stream_of(folder, *words).end()
    assert status == 2
    assert "s1: already exists" in said


def test_where_one_output_cannot_be_opened_none_is_made(folder, tmp_path):
    status, _, said = stream_of(folder, "--out", tmp_path / "s1", tmp_path).end()
    assert status == 2
    assert f"{tmp_path}: cannot be written" in said
    assert not list(tmp_path.iterdir())


def test_a_writer_that_stalls_is_waited_for(folder, mixture):
    """All that is known comes out before the writer goes on: 160 samples, less 8 of an open frame."""
    process = stream_of(folder)
    os.write(process.feed, mixture[:160].tobytes())
    first = process.read(152 * 4)
    status, rest, said = process.end(mixture[160:].tobytes())
    assert status == 0, said
    assert len(first) == 152 * 4
    assert len(first + rest) == 4001 * 4


def test_a_reader_that_goes_away_ends_it_quietly(folder):
    process = stream_of(folder)
    os.write(process.feed, bytes(1600))
    assert len(process.read(1)) == 1
    os.close(process.drain)
    process.drain = os.open(os.devnull, os.O_RDONLY)
    status, _, said = process.end(bytes(2**20))
    assert status == 141
    assert "Traceback" not in said
    assert "real-time factor" not in said


def test_sox_on_both_sides(folder, mixture, tmp_path):
    if shutil.which("sox") is None:
        pytest.skip("sox is not installed")
    soundfile.write(tmp_path / "mix.wav", mixture, RATE)
    tasnet = f"{sys.executable} -m speechbrain_tasnet.cli stream --model {folder}"
    line = f"sox {tmp_path}/mix.wav -t s16 - | {tasnet} | sox -t s16 -r 8k -c 2 - {tmp_path}/out.wav"
    subprocess.run(line, shell=True, check=True, capture_output=True)
    got, rate = soundfile.read(tmp_path / "out.wav", dtype="int16")
    assert rate == RATE
    assert np.abs(got - np.round(offline(folder, mixture) * 2**15)).max() <= 1


@pytest.fixture
def loud():
    """Scales what comes in tenfold and more."""
    net = MaskNet(2, 8, 24, 8, X=3, R=1, C=1, norm="channelwise", causal=True)
    encoder, decoder = Encoder(2, 2), Decoder(2, 2)
    with torch.no_grad():
        encoder.weight.copy_(100 * torch.eye(2)[:, None])
        decoder.weight.copy_(torch.eye(2)[:, None])
        net.mask.bias.fill_(100)
    return StreamingSeparator(encoder, net, decoder)


def through(live, data, pcm, size):
    """Stream in this process, through real pipes that hold it all."""
    source, feed = os.pipe()
    drain, sink = os.pipe()
    os.write(feed, data)
    os.close(feed)
    account = Account()
    stream(live, source, [sink], pcm, size, account)
    os.close(sink)
    result = os.read(drain, 2**16)
    os.close(source)
    os.close(drain)
    return result, account


def test_integers_saturate_and_are_counted(loud):
    got, account = through(loud, np.array([1, -1, 20000, -20000, 0, 0], "<i2").tobytes(), "s16le", 2)
    got = np.frombuffer(got, "<i2")
    assert len(got) == 6
    assert (got[2], got[3]) == (32767, -32768)
    assert account.clipped == 2
    assert "2 samples that went out were clipped" in "".join(account.lines(RATE))


def test_what_is_no_number_is_silence(loud):
    data = np.array([0.1, np.nan, np.inf, -np.inf, 1e30, 0.1], "<f4")
    got, account = through(loud, data.tobytes(), "f32le", 3)
    clean, _ = through(loud, np.array([0.1, 0, 0, 0, 0, 0.1], "<f4").tobytes(), "f32le", 3)
    assert got == clean
    assert account.silenced == 4


def test_nothing_comes_of_nothing(loud):
    got, account = through(loud, b"", "s16le", 80)
    assert got == b""
    assert list(account.lines(RATE)) == ["0.000 s of audio, worst chunk 0.00 ms"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--chunk", "0"], "--chunk 0: expected milliseconds above 0"),
        (["--out", "one"], "--out names 1 files: expected one for each of 2 sources"),
        (
            ["--out", "a.raw", "b.WAV"],
            "b.WAV: would hold raw PCM, without the header of a .WAV file; name it b.raw",
        ),
        (["--out", "a.m4a", "b.raw"], "a.m4a: would hold raw PCM"),
        (["--model", "."], "holds no separator"),
    ],
)
def test_bad_options(folder, words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, _, said = stream_of(folder, *words).end()
    assert status == 2
    assert message in said.splitlines()[-1]
    assert not list(tmp_path.iterdir())


def test_a_model_that_sees_the_future(trained):
    status, _, said = stream_of(trained).end()
    assert status == 2
    assert "--causal True --norm cumulative" in said.splitlines()[-1]


@pytest.fixture
def recording(tmp_path):
    """Half a second of stereo at a rate that is not the model's."""
    path = tmp_path / "recording.flac"
    soundfile.write(path, np.random.default_rng(0).normal(size=(8000, 2)) / 10, 16000)
    return path


def test_a_stream_is_measured_in_real_time(folder, recording, capsys):
    main(["stream", "--model", str(folder), "--measure", str(recording), "--chunk", "3"])
    latency, factor = capsys.readouterr().out.splitlines()
    numbers = re.fullmatch(r"latency in ms: median ([\d.]+), 99 % ([\d.]+), worst ([\d.]+)", latency)
    middle, late, worst = map(float, numbers.groups())
    assert 0 < middle <= late <= worst
    assert float(re.fullmatch(r"real-time factor (\d+\.\d{3})", factor)[1]) >= 0


def test_a_sample_waits_for_the_end_of_its_chunk(folder, recording):
    """Half a second fills the first third of its chunk, so that its last sample waits for a whole second."""
    measured = measure_stream.measure_stream(folder, recording, chunk=1500, pcm="f32le")
    assert measured.latency.shape == (4000,)
    assert (measured.latency > 1000).all()


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("raise SystemExit('tasnet: error: first\\ntasnet: error: no more')", "no more"),
        ("import sys; sys.stdin.buffer.read(100); sys.exit(3)", "tasnet stream: ended with status 3"),
        ("import sys; print(0, flush=True); sys.stdin.close(); sys.exit(3)", "tasnet stream: ended with status 3"),
        ("print(0)", "tasnet stream: ended with status 0"),
    ],
)
def test_a_measured_stream_that_dies_is_one_line(folder, recording, program, message, tmp_path, monkeypatch):
    (tmp_path / "python").write_text(f"#!/bin/sh\nexec {sys.executable} -c {shlex.quote(program)}\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(InputError, match=rf"^{message}$"):
        measure_stream.measure_stream(folder, recording, chunk=10)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing.wav"], "nothing.wav: no such file"),
        (["{recording}", "--out", "s1", "s2"], "--out together with --measure"),
        (["{recording}", "--chunk", "0"], "--chunk 0: expected milliseconds above 0"),
        (["{recording}", "--model", "."], "holds no separator"),
        (["{recording}", "--model", "convtasnet-8k-2spk"], "this model sees the future"),
    ],
)
def test_what_cannot_be_measured(folder, recording, words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = [word.format(recording=recording) for word in words]
    with pytest.raises(SystemExit) as ended:
        main(["stream", "--model", str(folder), "--measure", *words])
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert message in line
    assert list(tmp_path.iterdir()) == [recording]
