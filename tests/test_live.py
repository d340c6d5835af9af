"""Live separation without a sound card: what is played, what is recorded, what is shown, and what is refused."""

import os
import signal
import sys

import numpy as np
import pytest
import soundfile
import torch
from forked import in_fork

from speechbrain_tasnet import Decoder, Encoder, MaskNet, StreamingSeparator
from speechbrain_tasnet.audio.jitter_buffer import JitterBuffer
from speechbrain_tasnet.audio.resampling import resample
from speechbrain_tasnet.cli import main
from speechbrain_tasnet.errors import DiskError, InputError
from speechbrain_tasnet.separation.live_files import LiveFiles
from speechbrain_tasnet.separation.live_separation import LiveSeparation
from speechbrain_tasnet.separation.pretrained import TasNetSeparation
from speechbrain_tasnet.system.status_line import StatusLine

RATE = 8000


def separator(num_spks=2, mics=1, outputs="reference", reference=0, causal=True, silence=None):
    torch.manual_seed(0)
    norm = "cumulative" if causal else "global"
    net = MaskNet(16, 8, 24, 8, X=3, R=1, C=num_spks, norm=norm, causal=causal, mics=mics, outputs=outputs)
    encoder = Encoder(16, 16, mics=mics, outputs=outputs, reference=reference)
    modules = {"encoder": encoder, "masknet": net, "decoder": Decoder(16, 16)}
    hparams = {"sample_rate": RATE, "num_spks": num_spks, "silence": silence}
    return TasNetSeparation(modules, hparams=hparams)


def noise(samples, mics=1):
    return (0.1 * np.random.default_rng(0).normal(size=(mics, samples))).astype(np.float32)


def streamed(model, mixture):
    """What a `StreamingSeparator` gives for the whole at once, [time, C] or [time, C, mics]."""
    live = StreamingSeparator(model.mods.encoder, model.mods.masknet, model.mods.decoder)
    chunk = torch.from_numpy(mixture if len(mixture) > 1 else mixture[0])
    chunk = chunk.T[None].contiguous() if len(mixture) > 1 else chunk[None]
    return torch.cat([live.step(chunk), live.flush()], dim=1)[0].numpy()


def pieces(samples, size):
    return [samples[:, begin : begin + size] for begin in range(0, samples.shape[1], size)]


@pytest.mark.parametrize(("rate_in", "rate_out"), [(8000, 8000), (48000, 48000), (44100, 16000)])
def test_what_is_played_are_the_sources(rate_in, rate_out):
    """At any two rates: what is heard resampled, separated and resampled, each as a whole."""
    model, heard = separator(), noise(rate_in)
    played = np.concatenate([*LiveSeparation(model).blocks(pieces(heard, 441), rate_in, rate_out)], axis=1)
    wanted = resample(streamed(model, resample(heard, rate_in, RATE)).T, RATE, rate_out)
    assert played.shape == wanted.shape
    np.testing.assert_allclose(played, wanted, atol=1e-5)


def test_one_source_is_chosen():
    model, heard = separator(num_spks=3), noise(4000)
    separation = LiveSeparation(model, "3")
    played = np.concatenate([*separation.blocks(pieces(heard, 80), RATE, RATE)], axis=1)
    assert (separation.mics, separation.ears, separation.num_spks) == (1, 1, 3)
    np.testing.assert_allclose(played[0], streamed(model, heard)[:, 2], atol=1e-6)


def test_three_sources_are_spread_from_left_to_right():
    model, heard = separator(num_spks=3), noise(4000)
    separation = LiveSeparation(model)
    left, right = np.concatenate([*separation.blocks(pieces(heard, 80), RATE, RATE)], axis=1)
    sources, both = streamed(model, heard).T, np.sqrt(0.5)
    np.testing.assert_allclose(left, sources[0] + both * sources[1], atol=1e-6)
    np.testing.assert_allclose(right, sources[2] + both * sources[1], atol=1e-6)


def test_all_of_one_source_is_played_once():
    model, heard = separator(num_spks=1), noise(4000)
    [played] = np.concatenate([*LiveSeparation(model).blocks(pieces(heard, 80), RATE, RATE)], axis=1)
    np.testing.assert_allclose(played, streamed(model, heard)[:, 0], atol=1e-6)


def test_several_microphones_are_heard():
    """Of sources at each of them, those at the reference are played."""
    model, heard = separator(mics=3, outputs="each", reference=1), noise(4000, mics=3)
    separation = LiveSeparation(model)
    played = np.concatenate([*separation.blocks(pieces(heard, 80), RATE, RATE)], axis=1)
    assert separation.mics == 3
    np.testing.assert_allclose(played, streamed(model, heard)[:, :, 1].T, atol=1e-6)


def test_where_voices_are_counted_nobody_is_silence():
    """Noise of -80 dB is nobody."""
    heard = 1e-3 * noise(4000)
    for gate in (True, False):
        [*blocks] = LiveSeparation(separator(silence="power"), gate=gate).blocks(pieces(heard, 80), RATE, RATE)
        assert np.concatenate(blocks, axis=1).any() != gate


def test_what_is_no_number_is_silence_and_what_is_too_loud_is_clipped():
    model, heard = separator(), noise(4000)
    heard[0, 100:110] = np.nan
    clean = np.nan_to_num(heard)
    separation = LiveSeparation(model)
    played = np.concatenate([*separation.blocks(pieces(heard, 80), RATE, RATE)], axis=1)
    np.testing.assert_allclose(played, streamed(model, clean).T, atol=1e-6)
    assert separation.clipped == 0
    loud = np.concatenate([*LiveSeparation(model).blocks(pieces(200 * clean, 80), RATE, RATE)], axis=1)
    assert np.abs(loud).max() == 1


@pytest.mark.parametrize(
    ("model", "source", "message"),
    [
        ({}, "3", "--source 3: expected 1, 2 or all of this separator"),
        ({"num_spks": 3}, "left", "--source left: expected 1, 2, 3 or all of this separator"),
        ({"causal": False}, "all", "this model sees the future"),
    ],
)
def test_what_cannot_be_played(model, source, message):
    with pytest.raises(InputError, match=message):
        LiveSeparation(separator(**model), source)


def take(buffer, samples=10):
    out = np.full((samples, 1), np.nan, np.float32)
    buffer.take(out)
    return out[:, 0].tolist()


def put(buffer, *samples):
    buffer.put(np.array(samples, np.float32)[:, None])


def test_a_cushion_is_filled_before_anything_is_played():
    buffer = JitterBuffer(cushion=4, limit=10)
    put(buffer, 1, 2, 3)
    assert take(buffer, 2) == [0, 0]
    put(buffer, 4, 5)
    assert take(buffer, 2) == [1, 2]
    assert take(buffer, 3) == [3, 4, 5]
    assert (buffer.played, buffer.late, buffer.skipped, buffer.gaps) == (5, 0, 0, 0)


def test_what_is_late_is_counted_until_the_cushion_is_full_again():
    buffer = JitterBuffer(cushion=2, limit=10)
    put(buffer, 1, 2)
    assert take(buffer, 3) == [0, 0, 0]  # not begun: as many as are taken at once must be there
    put(buffer, 3)
    assert take(buffer, 3) == [1, 2, 3]
    assert take(buffer, 3) == [0, 0, 0]
    put(buffer, 4)
    assert take(buffer, 1) == [0]
    put(buffer, 5)
    assert take(buffer, 1) == [4]
    assert (buffer.played, buffer.late, buffer.gaps) == (4, 4, 1)


def test_where_too_much_comes_the_oldest_is_skipped():
    buffer = JitterBuffer(cushion=2, limit=5)
    put(buffer, 1, 2, 3)
    assert take(buffer, 1) == [1]
    put(buffer, 4, 5, 6, 7)
    assert (buffer.played, buffer.skipped, buffer.gaps) == (5, 4, 1)
    assert take(buffer, 2) == [6, 7]


def record(files, model, heard, size=80):
    for _ in LiveSeparation(model).blocks(pieces(heard, size), RATE, RATE, [files]):
        yield files


def test_what_is_heard_is_recorded(tmp_path):
    model, heard = separator(), noise(4001)
    with LiveFiles(tmp_path / "new/out", RATE, 1, 2) as files:
        [*_] = record(files, model, heard)
    assert [path.name for path in files.paths] == ["mixture.wav", "s1.wav", "s2.wav"]
    sources = streamed(model, heard)
    for path, wanted in zip(files.paths, [heard[0], *sources.T], strict=True):
        samples, rate = soundfile.read(path)
        assert rate == RATE
        np.testing.assert_allclose(samples, wanted, atol=2**-15)


def test_a_recording_is_valid_at_every_moment(tmp_path):
    """Before the first sample, too; sources lag by what is not known yet."""
    with LiveFiles(tmp_path, RATE, 2, 2) as files:
        assert [soundfile.info(path).frames for path in files.paths] == [0, 0, 0]
        done = 0
        for _ in record(files, separator(mics=2), noise(800, mics=2)):
            mixture, *sources = (soundfile.info(path) for path in files.paths)
            assert (mixture.channels, sources[0].channels) == (2, 1)
            assert done < mixture.frames or done == 800
            assert {source.frames for source in sources} <= {*range(mixture.frames - 15, mixture.frames + 1)}
            done = mixture.frames
    assert done == 800


def test_what_was_recorded_outlives_a_kill(tmp_path):
    def record_and_die():
        files = LiveFiles(tmp_path, RATE, 1, 1)
        files.hear(np.full((300, 1), 0.25), np.full((200, 1), 0.5))
        os.kill(os.getpid(), signal.SIGKILL)

    assert in_fork(record_and_die)[0] == -signal.SIGKILL
    mixture, source = (soundfile.read(tmp_path / f"{name}.wav")[0] for name in ("mixture", "s1"))
    assert (mixture.tolist(), source.tolist()) == ([0.25] * 300, [0.5] * 200)


def test_recordings_are_not_replaced_unless_that_is_asked_for(tmp_path):
    (tmp_path / "s2.wav").write_text("precious")
    with pytest.raises(InputError, match=r"s2\.wav: already exists"):
        LiveFiles(tmp_path, RATE, 1, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["s2.wav"]
    with LiveFiles(tmp_path, RATE, 1, 2, overwrite=True):
        pass
    assert soundfile.info(tmp_path / "s2.wav").frames == 0
    with pytest.raises(DiskError, match=r"s2\.wav"):
        LiveFiles(tmp_path / "s2.wav", RATE, 1, 2)


def test_a_full_disk_is_one_line(tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")
    files = LiveFiles(tmp_path, RATE, 1, 1)
    with open("/dev/full", "wb") as full:
        for path in files.paths:
            os.dup2(full.fileno(), _descriptor_of(path))
    with pytest.raises(DiskError, match="No space left"):
        files.hear(np.zeros((8, 1)), np.zeros((8, 1)))
    with pytest.raises(DiskError, match="No space left"):
        files.__exit__()


def _descriptor_of(path):
    return next(int(n) for n in os.listdir("/proc/self/fd") if os.path.realpath(f"/proc/self/fd/{n}") == str(path))


def test_on_a_terminal_a_line_is_redrawn(monkeypatch):
    monkeypatch.setattr("speechbrain_tasnet.system.status_line.REDRAWN", 0)
    monkeypatch.setenv("COLUMNS", "20")
    theirs, ours = os.openpty()
    with os.fdopen(ours, "w") as screen:
        status = StatusLine(screen)
        for text in ("a long line " * 3, "short"):
            status.show(text)
        status.end()
        status.end()
        shown = ""
        while not shown.endswith("\n"):
            shown += os.read(theirs, 1000).decode()
    os.close(theirs)
    assert shown == "\ra long line a long \rshort" + 14 * " " + "\r\n"


def test_elsewhere_a_line_is_written_now_and_then(monkeypatch, capsys):
    status = StatusLine(sys.stderr)
    status.show("first")
    status.show("too early")
    monkeypatch.setattr("speechbrain_tasnet.system.status_line.time.monotonic", lambda: 1e12)
    status.show("second")
    status.end()
    assert capsys.readouterr().err == "first\nsecond\n"


def refused(words, capsys):
    """The one line that `tasnet live` ends with."""
    with pytest.raises(SystemExit) as ended:
        main(["live", *words])
    assert ended.value.code == 2
    *_, line = capsys.readouterr().err.splitlines()
    return line


def test_without_sounddevice_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert "pip install 'speechbrain-tasnet[live]'" in refused(["--devices"], capsys)
    assert "pip install 'speechbrain-tasnet[live]'" in refused([], capsys)


def test_without_portaudio_it_says_what_to_install(monkeypatch, capsys, tmp_path):
    """As sounddevice says it."""
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    line = refused([], capsys)
    assert "PortAudio library not found; install PortAudio" in line
    assert "apt install libportaudio2" in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--chunk", "0"], "--chunk 0: expected milliseconds above 0, at most 1000"),
        (["--buffer", "1e4"], "--buffer 10000: expected milliseconds above 0"),
        (["--source", "3"], "--source 3: expected 1, 2 or both"),
        (["--model", "convtasnet-8k-2spk"], "this model sees the future"),
        (["--model", "nothing"], "nothing: "),
    ],
)
def test_what_is_refused(words, message, capsys):
    pytest.importorskip("sounddevice", exc_type=(ImportError, OSError))
    assert message in refused(words, capsys)
