import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from speechbrain_tasnet.audio import formats
from speechbrain_tasnet.audio.reading import audio_length, open_audio, read_audio, read_blocks
from speechbrain_tasnet.audio.writing import write_wav
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.system.files import new_folder
from speechbrain_tasnet.system.parallel import in_parallel, usable_cpus


def tone(rate, seconds=1.0, frequency=440.0):
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


def refuses(words, function, *args):
    """Check that a call raises an InputError of one line that holds all the words."""
    with pytest.raises(InputError) as caught:
        function(*args)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    return message


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_any_format_and_rate_reads_as_the_same_tone(tmp_path, suffix, rate):
    path = tmp_path / f"tone.{suffix}"
    soundfile.write(path, tone(rate), rate)
    samples = read_audio(path, 8000)
    assert samples.dtype == np.float32
    assert len(samples) == audio_length(path, 8000) == 8000
    middle = slice(1000, 7000)
    # Vorbis and MP3 are lossy: 20 dB at the least, which a shift of two samples would miss.
    error = samples[middle] - tone(8000)[middle]
    assert np.mean(error**2) < 1e-2 * np.mean(tone(8000) ** 2)


def test_channels_are_averaged(tmp_path):
    stereo = np.stack([tone(8000), np.zeros(8000)], axis=1)
    soundfile.write(tmp_path / "stereo.wav", stereo, 8000)
    np.testing.assert_allclose(read_audio(tmp_path / "stereo.wav", 8000), tone(8000) / 2, atol=1e-4)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff"])
def test_blocks_are_the_whole(tmp_path, suffix, monkeypatch):
    path = tmp_path / f"tone.{suffix}"
    soundfile.write(path, np.stack([tone(22050), tone(22050, frequency=330)], axis=1), 22050)
    whole = soundfile.read(path, dtype="float32")[0]
    monkeypatch.setattr("speechbrain_tasnet.audio.reading.BLOCK", 999)
    for channels, expected in {"each": whole.T, "mean": whole.mean(1)[None], "right": whole[:, 1:].T}.items():
        with open_audio(path) as file:
            blocks = list(read_blocks(file, channels))
        assert len(blocks) > 40
        np.testing.assert_allclose(np.concatenate(blocks, axis=1), expected, atol=1e-6)


@pytest.mark.parametrize("frames", [1, 7, 441, 22051])
def test_length_is_known_before_reading(tmp_path, frames):
    path = tmp_path / "odd.wav"
    soundfile.write(path, np.full(frames, 0.1), 22050)
    assert len(read_audio(path, 8000)) == audio_length(path, 8000)


def test_written_samples_come_back_to_half_a_step(tmp_path):
    samples = np.concatenate([np.random.default_rng(0).uniform(-1, 1, 1000), [1.0, -1.0, 0.0]])
    write_wav(tmp_path / "x.wav", samples, 8000)
    info = soundfile.info(tmp_path / "x.wav")
    assert (info.format, info.subtype, info.samplerate, info.channels) == ("WAV", "PCM_16", 8000, 1)
    back = read_audio(tmp_path / "x.wav", 8000)
    np.testing.assert_allclose(back[:-3], samples[:-3], atol=0.5 / 2**15 + 1e-9)
    assert back[-3:].tolist() == [1 - 1 / 2**15, -1, 0]


@pytest.mark.parametrize("bad", [1.001, -1.001, np.nan, np.inf])
def test_samples_that_would_clip_are_refused(tmp_path, bad):
    refuses(["x.wav", "full scale"], write_wav, tmp_path / "x.wav", np.array([0.0, bad]), 8000)
    assert not (tmp_path / "x.wav").exists()


def test_unwritable_place_is_refused(tmp_path):
    (tmp_path / "file").write_text("no folder")
    refuses(["cannot be written"], write_wav, tmp_path / "file" / "x.wav", np.zeros(8), 8000)


def test_missing_file_and_text_file_are_refused(tmp_path):
    refuses(["gone.wav", "no such file"], read_audio, tmp_path / "gone.wav", 8000)
    (tmp_path / "text.wav").write_text("not audio at all")
    refuses(["text.wav", "cannot be read as audio", "Format not recogni"], read_audio, tmp_path / "text.wav", 8000)


def test_empty_file_is_refused(tmp_path):
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 8000)
    for function in (read_audio, audio_length):
        refuses(["empty.wav", "holds no samples"], function, tmp_path / "empty.wav", 8000)
    (tmp_path / "nothing.wav").write_bytes(b"")
    refuses(["nothing.wav: empty (0 bytes)"], read_audio, tmp_path / "nothing.wav", 8000)


def test_what_may_be_somebodys_only_recording_is_not_to_be_deleted(tmp_path):
    """What a corpus needs is said where corpora are read."""
    soundfile.write(tmp_path / "whole.wav", tone(8000), 8000)
    whole = (tmp_path / "whole.wav").read_bytes()
    nan = np.full(800, np.nan)
    soundfile.write(tmp_path / "nan.wav", nan, 8000, subtype="FLOAT")
    for name, content, advice in (
        ("cut.wav", whole[:-1000], "or save what can be read with ffmpeg"),
        ("text.wav", b"a letter", "check whether it is the right file"),
        ("empty.wav", b"", "restore it from a copy"),
        ("nan.wav", (tmp_path / "nan.wav").read_bytes(), "restore it from a copy"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=advice) as caught:
            read_audio(tmp_path / name, 8000)
        assert "delete" not in str(caught.value)


def test_the_formats_of_ffmpeg_are_named_where_they_can_be_read(tmp_path, monkeypatch):
    for there, words in ((None, "aiff, au, caf or w64)"), ("av", "w64, m4a, aac, mp4, webm or wma)")):
        monkeypatch.setattr(formats, "find_spec", lambda name, there=there: there)
        refuses([words], read_audio, tmp_path / "gone.wav", 8000)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_not_a_number_is_refused(tmp_path, bad):
    samples = tone(8000)
    samples[100] = bad
    soundfile.write(tmp_path / "nan.wav", samples, 8000, subtype="FLOAT")
    refuses(["nan.wav", "NaN"], read_audio, tmp_path / "nan.wav", 8000)


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3"])
def test_file_cut_short_is_refused(tmp_path, suffix):
    path = tmp_path / f"cut.{suffix}"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 32000), 16000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refuses([path.name, "restore it from a copy"], read_audio, path, 8000)


def test_wav_out_of_a_pipe_is_read_though_its_size_is_unknown(tmp_path):
    path = tmp_path / "piped.wav"
    soundfile.write(path, tone(8000), 8000)
    content = bytearray(path.read_bytes())
    content[40:44] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    assert len(read_audio(path, 8000)) == 8000


def test_new_folder_appears_whole(tmp_path):
    with new_folder(tmp_path / "a" / "out") as folder:
        (folder / "x").write_text("x")
        assert not (tmp_path / "a" / "out").exists()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["out"]
    assert (tmp_path / "a" / "out" / "x").read_text() == "x"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_new_folder_leaves_nothing_behind(tmp_path, error):
    def fail():
        with new_folder(tmp_path / "a" / "out") as folder:
            (folder / "x").write_text("x")
            raise error

    with pytest.raises(error):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_new_folder_refuses_what_is_taken(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    for taken in (tmp_path / "full", tmp_path / "full" / "x"):
        refuses([str(taken), "already holds", "--out"], new_folder(taken).__enter__)
    refuses(["cannot be made"], new_folder(tmp_path / "full" / "x" / "out").__enter__)
    (tmp_path / "empty").mkdir()
    with new_folder(tmp_path / "empty") as folder:
        (folder / "y").write_text("y")
    assert (tmp_path / "empty" / "y").exists()


@pytest.mark.parametrize(
    ("stop", "group", "naps"),
    [("SIGTERM", False, [0.01] * 10000), ("SIGTERM", True, [0.01] * 10000), ("SIGINT", True, [0, 1.5])],
    ids=["terminated", "terminated with workers", "interrupted with an idle worker"],
)
def test_stopped_process_ends_its_workers_and_leaves_nothing(tmp_path, stop, group, naps):
    out, started = tmp_path / "here" / "out", tmp_path / "started"
    out.parent.mkdir()
    started.mkdir()
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from speechbrain_tasnet.system.parallel import in_parallel\n"
        "from speechbrain_tasnet.system.files import new_folder\n"
        "def nap(seconds):\n"
        "    Path(sys.argv[2], str(seconds)).touch()\n"
        "    time.sleep(seconds)\n"
        "with new_folder(sys.argv[1]) as folder:\n"
        "    (folder / 'x').write_text('x')\n"
        f"    in_parallel(nap, {naps}, 2, 'sleeping')\n"
    )
    # A session of its own, so that a signal can reach the workers too, as Ctrl-C in a terminal does. A shell
    # that runs the tests in the background would have Ctrl-C ignored.
    process = subprocess.Popen(
        [sys.executable, "-c", program, out, started],
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while len(list(started.iterdir())) < len(set(naps)):
        assert process.poll() is None
    (os.killpg if group else os.kill)(process.pid, getattr(signal, stop))
    _, errors = process.communicate(timeout=20)
    assert b"ForkProcess" not in errors  # no worker's traceback
    assert b"initializer" not in errors  # nor that of one that had hardly begun
    assert process.returncode != 0
    assert list(out.parent.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def negate(number):
    if number == 13:
        raise InputError("thirteen")
    return -number


@pytest.mark.parametrize("workers", [1, 2])
def test_in_parallel_keeps_order_and_passes_errors_on(workers):
    assert in_parallel(negate, range(12), workers, "negating") == [-number for number in range(12)]
    with pytest.raises(InputError, match="thirteen"):
        in_parallel(negate, range(200), workers, "negating")


def test_workers_are_the_processors_that_may_be_used(monkeypatch):
    if hasattr(os, "sched_getaffinity"):
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3})
        assert usable_cpus() == 1
        monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert usable_cpus() == 7


def write_late_or_fail(path):
    if path.name == "0":
        raise InputError("zero")
    time.sleep(0.2)
    path.parent.mkdir(exist_ok=True)
    path.touch()


def test_folder_is_cleared_after_the_workers_have_ended(tmp_path):
    def fail():
        with new_folder(tmp_path / "out") as folder:
            in_parallel(write_late_or_fail, [folder / str(number) for number in range(12)], 2, "writing")

    with pytest.raises(InputError, match="zero"):
        fail()
    time.sleep(0.5)
    assert list(tmp_path.iterdir()) == []


def test_killed_worker_is_told(tmp_path):
    with pytest.raises(InputError, match="dying: a process was killed"):
        in_parallel(os._exit, [1, 1, 1], 2, "dying")


def test_corpus_modules_load_without_torch():
    program = (
        "import sys, speechbrain_tasnet.generate.mixing, speechbrain_tasnet.generate.synthetic_voices\n"
        "print([name for name in ('torch', 'speechbrain') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
