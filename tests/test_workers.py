"""Several windows or files at once: the same samples, names and errors as one by one, in bounded memory."""

import os
import signal
import threading
from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from torch import nn

from speechbrain_tasnet import Decoder, Encoder, MaskNet, TasNetSeparation
from speechbrain_tasnet.audio import sources
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.ops import ahead as module
from speechbrain_tasnet.ops.ahead import ahead
from speechbrain_tasnet.ops.threads import pool
from speechbrain_tasnet.separation.many_files import separate_files
from speechbrain_tasnet.separation.options import SeparationOptions
from speechbrain_tasnet.separation.output_files import Destination
from speechbrain_tasnet.separation.recording import write_sources

pytestmark = pytest.mark.usefixtures("two_threads")

PATIENCE = 30  # seconds that threads wait for each other, if need be


@pytest.fixture(scope="module")
def separator():
    torch.manual_seed(0)
    # Of a narrower one torch's sigmoid, which takes 32 numbers at a time, would round another mask where two
    # threads meet.
    modules = {"encoder": Encoder(64, 8), "masknet": MaskNet(64, 8, 16, 8, X=2, R=1), "decoder": Decoder(64, 8)}
    return TasNetSeparation(modules, hparams={"sample_rate": 8000, "num_spks": 2}, run_opts={"device": "cpu"})


class Halves:
    """A model without a network, which knows who called it."""

    def __init__(self):
        self.hparams, self.threads = SimpleNamespace(sample_rate=8000, num_spks=2), []

    def separate_batch(self, mix):
        self.threads.append(threading.current_thread())
        return torch.stack([mix / 2, mix / 2], dim=2)


def write(path, seconds, rate=8000, channels=1, seed=0):
    """Write noise, with a pause where two windows of a second would meet."""
    samples = 0.1 * np.random.default_rng(seed).standard_normal((round(seconds * rate), channels))
    samples[round(0.7 * rate) : round(1.1 * rate)] = 0
    soundfile.write(path, samples, rate, "FLOAT")
    return path


def separate(model, mixtures, out, workers, window=1.0):
    separate_files(model, mixtures, Destination(out), SeparationOptions(window=window, workers=workers))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("seconds", [0.9, 2.0, 7.03])
@pytest.mark.parametrize(
    ("rate", "options"),
    [
        (8000, {}),
        (8000, {"scale": "consistent"}),
        (11025, {"channels": "each", "scale": "mixture"}),
        (44100, {"scale": "peak"}),
    ],
)
def test_no_sample_depends_on_the_number_of_workers(separator, tmp_path, seconds, rate, options):
    path = write(tmp_path / "mix.wav", seconds, rate, channels=2)
    one = separator.separate_file(path, window=1, workers=1, **options)
    for workers in (None, 2, 3, 9):
        assert torch.equal(separator.separate_file(path, window=1, workers=workers, **options), one)


def test_no_file_depends_on_the_number_of_workers(separator, tmp_path, capsys):
    """Long ones and short ones, and three that are bad: at once, at the end and in between."""
    lengths = [0.5, 5, 0.3, 2, 0.2, 3]
    mixtures = [write(tmp_path / f"{i}.wav", seconds, seed=i) for i, seconds in enumerate(lengths)]
    (tmp_path / "text.wav").write_text("no audio")
    late = soundfile.read(write(tmp_path / "late.wav", 40))[0]
    for name, bad in (("late.wav", -1), ("soon.wav", 5)):
        samples = late.copy()
        samples[bad] = np.nan
        soundfile.write(tmp_path / name, samples, 8000, "FLOAT")
    mixtures[2:2] = [tmp_path / name for name in ("text.wav", "late.wav", "soon.wav")]
    seen = []
    for workers in (1, 2, 3):
        out = tmp_path / f"out{workers}"
        with pytest.raises(InputError, match="3 of 9 files were left out"):
            separate(separator, mixtures, out, workers)
        told = capsys.readouterr()
        assert len(told.err.splitlines()) == 3
        written = {name: (out / name).read_bytes() for name in names(out)}
        assert len(written) == 12
        seen.append((told.out.replace(out.name, ""), told.err, written))
    assert seen[1] == seen[0]
    assert seen[2] == seen[0]


def test_progress_tells_of_every_second(separator, tmp_path):
    path = write(tmp_path / "mix.wav", 7.03)
    pieces = []
    choices = SeparationOptions(window=1, workers=3)
    write_sources(separator, path, tmp_path, choices=choices, progress=pieces.append)
    assert len(pieces) > 3
    assert sum(pieces) == pytest.approx(7.03)


class Meeting(Halves):
    """Goes on when so many have come."""

    def __init__(self, parties):
        super().__init__()
        self.barrier = threading.Barrier(parties, timeout=PATIENCE)

    def separate_batch(self, mix):
        self.barrier.wait()
        return super().separate_batch(mix)


@pytest.mark.parametrize("workers", [2, 3])
def test_windows_and_files_are_separated_at_the_same_time(tmp_path, workers):
    long = write(tmp_path / "long.wav", 4.9)  # six windows
    short = [write(tmp_path / f"{i}.wav", 0.1) for i in range(6)]
    for mixtures in ([long], short):
        model = Meeting(workers)
        separate(model, mixtures, tmp_path / f"out{len(mixtures)}", workers)
        assert len(model.threads) == 6
        # One thread more would have come while these wait for each other.
        assert len(set(model.threads)) == workers
        assert threading.current_thread() not in model.threads


def test_what_is_alone_is_separated_by_all_threads_together(tmp_path):
    model = Halves()
    separate(model, [write(tmp_path / "short.wav", 0.9)], tmp_path / "out", 2)
    assert model.threads == [threading.current_thread()]
    separate(model, [write(tmp_path / f"{i}.wav", 0.9) for i in range(3)], tmp_path / "out", 2)
    assert [thread is threading.current_thread() for thread in model.threads[1:]] == [False, False, True]


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_no_more_is_read_ahead_than_twice_the_workers(workers):
    read = 0

    def items():
        nonlocal read
        while read < 40:
            read += 1
            yield read

    most = taken = 0
    for _ in ahead(abs, items(), workers):
        most = max(most, read - taken)
        taken += 1
    assert taken == 40
    assert most == (1 if workers == 1 else 2 * workers)


def test_what_nobody_will_ask_for_is_not_begun():
    begun, gate = [], threading.Event()

    def call(item):
        begun.append(item)
        if item:
            gate.wait(PATIENCE)
        return item

    results = ahead(call, range(9), 2)
    assert next(results) == (0, 0)
    results.close()
    gate.set()
    after = threading.Barrier(2, timeout=PATIENCE)
    for call_after in [pool(2).submit(after.wait) for _ in range(2)]:
        call_after.result()
    assert set(begun) <= {0, 1, 2}


def test_settings_of_the_caller_hold_for_the_workers():
    def settings(_):
        return torch.is_autocast_enabled("cpu"), torch.is_grad_enabled(), torch.is_inference_mode_enabled()

    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        assert list(ahead(settings, [1, 2], 2)) == [(1, (True, False, False)), (2, (True, False, False))]
    with torch.inference_mode():
        assert list(ahead(settings, [1, 2], 2)) == [(1, (False, False, True)), (2, (False, False, True))]


class Fails(Halves):
    """Cannot separate what is as long as this."""

    def __init__(self, length, error):
        super().__init__()
        self.length, self.error = length, error

    def separate_batch(self, mix):
        if mix.shape[1] == self.length:
            raise self.error
        return super().separate_batch(mix)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_defect_stops_the_run_and_what_concerns_one_file_does_not(tmp_path, capsys, workers):
    mixtures = [write(tmp_path / f"{i}.wav", (800 + i) / 8000) for i in range(4)]
    with pytest.raises(ZeroDivisionError):
        separate(Fails(801, ZeroDivisionError()), mixtures, tmp_path / "out", workers)
    assert names(tmp_path / "out") == ["0_s1.wav", "0_s2.wav"]
    with pytest.raises(InputError, match="1 of 4 files were left out"):
        separate(Fails(801, InputError("no number")), mixtures, tmp_path / "more", workers)
    assert names(tmp_path / "more") == [f"{i}_s{c}.wav" for i in (0, 2, 3) for c in (1, 2)]
    assert "left out: no number" in capsys.readouterr().err


class Stuck(Halves):
    """Stays in the second file."""

    def separate_batch(self, mix):
        if mix.shape[1] == 801:
            threading.Event().wait(PATIENCE)
            os._exit(3)
        return super().separate_batch(mix)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="sends signals to a fork")
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_does_not_wait_for_workers(tmp_path, monkeypatch, stop):
    mixtures = [write(tmp_path / f"{i}.wav", (800 + i) / 8000) for i in range(4)]
    sign = tmp_path / "sign"
    wait = module.wait

    def tell(*arguments):
        if (tmp_path / "out/0_s1.wav").exists():  # the last one of the first file
            sign.touch()
        return wait(*arguments)

    monkeypatch.setattr(module, "wait", tell)
    child = os.fork()
    if not child:
        # A shell that runs the tests in the background would have Ctrl-C ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with suppress(BaseException):
            separate(Stuck(), mixtures, tmp_path / "out", 2)
        os._exit(7)
    while not sign.exists():
        assert os.waitpid(child, os.WNOHANG) == (0, 0)
    os.kill(child, stop)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert names(tmp_path / "out") == ["0_s1.wav", "0_s2.wav"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_pipe_is_not_opened_before_the_files_in_front_of_it_are_done(tmp_path, monkeypatch):
    mixtures = [write(tmp_path / f"{i}.wav", 0.1) for i in range(3)]
    content, pipe = mixtures[1].read_bytes(), mixtures[1]
    pipe.unlink()
    os.mkfifo(pipe)
    opened, copy = [], sources._copy

    def record(path):
        opened.append(names(tmp_path / "out"))
        return copy(path)

    monkeypatch.setattr(sources, "_copy", record)
    feeder = threading.Thread(target=pipe.write_bytes, args=[content], daemon=True)
    feeder.start()
    separate(Halves(), mixtures, tmp_path / "out", 2)
    assert opened == [["0_s1.wav", "0_s2.wav"]]
    assert len(names(tmp_path / "out")) == 6


def test_as_many_workers_as_threads_where_that_is_safe(separator, monkeypatch):
    assert SeparationOptions().num_workers(separator) == 2
    assert SeparationOptions(workers=5).num_workers(separator) == 5
    assert SeparationOptions().num_workers(Halves()) == 1
    assert SeparationOptions(workers=5).num_workers(Halves()) == 5
    monkeypatch.setattr(separator, "device", "cuda:0")
    assert SeparationOptions().num_workers(separator) == 1


def test_networks_of_others_are_called_one_by_one():
    modules = {"encoder": Encoder(8, 4), "masknet": nn.Identity(), "decoder": Decoder(8, 4)}
    other = TasNetSeparation(modules, hparams={"sample_rate": 8000, "num_spks": 2}, run_opts={"device": "cpu"})
    assert SeparationOptions().num_workers(other) == 1


@pytest.mark.parametrize("workers", [0, -1, 1.5, True])
def test_no_workers_are_refused(workers):
    with pytest.raises(InputError, match=rf"workers={workers}: expected a whole number of at least 1"):
        SeparationOptions(workers=workers)
