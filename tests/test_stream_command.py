"""`tasnet stream` between real processes: writers that stall and die, readers that leave, pipes and files."""

import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from speechbrain_tasnet import Decoder, Encoder, MaskNet, StreamingSeparator, separate
from speechbrain_tasnet.live import Account, stream
from speechbrain_tasnet.pretrained import load_separator, save_pretrained

RATE = 8000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A causal separator of two sources, untrained."""
    torch.manual_seed(0)
    net = MaskNet(16, 8, 24, 8, X=3, R=1, C=2, norm="cumulative", causal=True)
    modules = {"encoder": Encoder(16, 16), "masknet": net, "decoder": Decoder(16, 16)}
    path = tmp_path_factory.mktemp("separator") / "causal"
    save_pretrained(path, modules, RATE)
    return path


@pytest.fixture(scope="module")
def mixture():
    return (np.random.default_rng(0).normal(size=4001) * 3000).astype("<i2")


def offline(folder, mixture):
    """What `separate` gives, at full scale 1: [time, C]."""
    modules = load_separator(folder).mods
    x = torch.from_numpy(mixture.astype(np.float32) / 2**15)[None]
    with torch.no_grad():
        return separate(modules.encoder, modules.masknet, modules.decoder, x)[0].numpy()


def command(folder, *words):
    return [sys.executable, "-m", "speechbrain_tasnet.cli", "stream", "--model", str(folder), *map(str, words)]


def run(folder, data, *words):
    return subprocess.run(command(folder, *words), input=data, capture_output=True, check=False)


def test_what_comes_out_is_what_separate_gives(folder, mixture):
    """Interleaved on standard output, the half sample of a writer that died dropped, and said so."""
    done = run(folder, mixture.tobytes() + b"\x01")
    assert done.returncode == 0, done.stderr.decode()
    got = np.frombuffer(done.stdout, "<i2").reshape(-1, 2)
    assert got.shape == (4001, 2)
    assert np.abs(got - np.round(offline(folder, mixture) * 2**15)).max() <= 1
    lines = done.stderr.decode().splitlines()
    assert "tasnet stream: the input ended within a sample: 1 bytes are dropped" in lines
    assert re.fullmatch(
        r"tasnet stream: 0\.500 s of audio, real-time factor \d+\.\d+, worst chunk \d+\.\d+ ms", lines[-1]
    )


def test_sources_go_to_a_file_and_a_named_pipe(folder, mixture, tmp_path):
    os.mkfifo(tmp_path / "s2")
    words = "--format", "f32le", "--chunk", "2", "--out", tmp_path / "s1", tmp_path / "s2"
    (tmp_path / "mix").write_bytes((mixture.astype("<f4") / 2**15).tobytes())
    with (tmp_path / "mix").open("rb") as data:
        process = subprocess.Popen(command(folder, *words), stdin=data, stderr=subprocess.PIPE)
    # Opened without waiting, so that a process that never comes to open it cannot make us wait for ever.
    reader = os.open(tmp_path / "s2", os.O_RDONLY | os.O_NONBLOCK)
    assert process.wait(timeout=60) == 0, process.stderr.read()
    second = os.read(reader, 2**16)
    os.close(reader)
    process.stderr.close()
    got = np.stack([np.frombuffer(part, "<f4") for part in ((tmp_path / "s1").read_bytes(), second)], axis=1)
    np.testing.assert_allclose(got, offline(folder, mixture), atol=1e-5)
    refused = run(folder, b"", *words)
    assert refused.returncode == 2
    assert b"is there already" in refused.stderr


def test_a_writer_that_stalls_is_waited_for(folder, mixture):
    """All that can be known comes out before the writer goes on: 160 samples less those of an open frame."""
    process = subprocess.Popen(
        command(folder), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
    )
    process.stdin.write(mixture[:160].tobytes())
    first = b""
    while len(first) < 152 * 4 and process.poll() is None:
        first += process.stdout.read(152 * 4 - len(first))
    process.stdin.write(mixture[160:].tobytes())
    process.stdin.close()
    rest = process.stdout.read()
    assert process.wait() == 0
    process.stdout.close()
    assert np.frombuffer(first + rest, "<i2").reshape(-1, 2).shape == (4001, 2)


def test_a_reader_that_goes_away_ends_it_quietly(folder):
    process = subprocess.Popen(
        command(folder), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    )
    process.stdin.write(bytes(1600))
    process.stdout.read(1)
    process.stdout.close()
    try:
        for _ in range(1000):
            process.stdin.write(bytes(1600))
    except BrokenPipeError:
        pass
    assert process.wait() == 141
    assert process.stderr.read() == b""
    process.stdin.close()
    process.stderr.close()


def test_sox_on_both_sides(folder, mixture, tmp_path):
    if shutil.which("sox") is None:
        pytest.skip("sox is not installed")
    import soundfile

    soundfile.write(tmp_path / "mix.wav", mixture, RATE)
    tasnet = " ".join(command(folder))
    line = f"sox mix.wav -t s16 - | {tasnet} | sox -t s16 -r 8k -c 2 - out.wav"
    subprocess.run(line, shell=True, cwd=tmp_path, check=True, capture_output=True)
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
        (["--model", "."], "holds no separator"),
    ],
)
def test_bad_options(folder, words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    environment = os.environ | {"PYTHONPATH": os.path.dirname(os.path.dirname(__file__))}
    done = subprocess.run(command(folder, *words), input=b"", capture_output=True, env=environment, check=False)
    assert done.returncode == 2
    assert message in done.stderr.decode().splitlines()[-1]
    assert not list(tmp_path.iterdir())


def test_a_model_that_sees_the_future(trained):
    done = run(trained, b"")
    assert done.returncode == 2
    assert b"--causal True --norm cumulative" in done.stderr.splitlines()[-1]
