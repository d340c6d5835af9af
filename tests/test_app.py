"""`tasnet app` separates what it is given as `tasnet separate` does, shows it, and leaves nothing behind."""

import html
import json
import os
import re
import runpy
import time
from importlib.metadata import version
from pathlib import Path
from urllib.parse import unquote
from urllib.request import urlopen
from zipfile import ZipFile

import numpy as np
import pytest
import soundfile
import torch
import yaml
from media import write_media

import speechbrain_tasnet
from speechbrain_tasnet import Decoder, Encoder, MaskNet, TasNetSeparation
from speechbrain_tasnet.app import AppOptions, spectrogram
from speechbrain_tasnet.app.folders import STAY, Folders
from speechbrain_tasnet.app.page import build_page
from speechbrain_tasnet.app.recording import keep, separate_upload
from speechbrain_tasnet.app.separators import Separators
from speechbrain_tasnet.app.server import running
from speechbrain_tasnet.audio.pcm import quantize
from speechbrain_tasnet.audio.reading import open_audio
from speechbrain_tasnet.bundle import save_bundle
from speechbrain_tasnet.errors import DiskError, InputError
from speechbrain_tasnet.report.media import decibels
from speechbrain_tasnet.shipped import DEFAULT, bundled_names

RATE = 8000
ROOT = Path(__file__).parents[1]
SPACE = ROOT / "spaces"


@pytest.fixture(scope="module")
def separator():
    return TasNetSeparation.from_bundle(DEFAULT, device="cpu")


@pytest.fixture
def space(two_voices, tmp_path):
    """A folder for results with a copy of two voices' talk, as if it had been uploaded."""
    copy = tmp_path / "upload" / "talk.wav"
    copy.parent.mkdir()
    copy.write_bytes(two_voices.read_bytes())
    folder = tmp_path / "result"
    folder.mkdir()
    return copy, folder


def no_progress(share: float) -> None:
    del share


def test_voices_are_those_of_separate_file(separator, space):
    upload, folder = space
    shares = []
    separated = separate_upload(upload, separator, folder, max_minutes=1, progress=shares.append)
    wanted = quantize(separator.separate_file(upload, scale="mixture")[0].numpy())
    written = np.stack([soundfile.read(path, dtype="int16")[0] for path in separated.voices], axis=1)
    assert [path.name for path in separated.voices] == ["talk_s1.wav", "talk_s2.wav"]
    np.testing.assert_array_equal(written, wanted)
    assert separated.seconds == 3
    assert shares == sorted(shares)
    assert shares[-1] == 1
    heard = soundfile.read(separated.mixture, dtype="int16")[0]
    np.testing.assert_array_equal(heard, soundfile.read(upload, dtype="int16")[0])
    segments = json.loads((folder / "talk.json").read_text())
    assert [segment["speaker"] for segment in segments] == [segment.speaker for segment in separated.segments]
    assert len(segments) >= 2
    names = {"talk_s1.wav", "talk_s2.wav", "talk.json", "talk.rttm"}
    with ZipFile(separated.archive) as archive:
        assert set(archive.namelist()) == names
        assert archive.read("talk_s2.wav") == separated.voices[1].read_bytes()


def test_what_is_too_long_is_refused_before_it_is_read(separator, space):
    upload, folder = space
    soundfile.write(upload, np.full(3 * RATE, np.nan), RATE, "FLOAT")  # nothing of it is read
    with pytest.raises(InputError, match=r"talk.wav: 0.1 minutes; at most 0.04 minutes are accepted here"):
        separate_upload(upload, separator, folder, 0.04, pytest.fail)
    assert not list(folder.iterdir())


def test_so_is_a_file_that_does_not_say_how_long_it_is(separator, space, tmp_path):
    pytest.importorskip("av")
    path = tmp_path / "phone.aac"
    write_media(path, np.random.default_rng(0).normal(0, 0.1, (1, 40000)).astype(np.float32), kind="adts")
    with open_audio(path) as file:
        assert not file.exact
    with pytest.raises(InputError, match=r"phone.aac: longer; at most 0.04 minutes"):
        separate_upload(path, separator, space[1], 0.04, pytest.fail)
    assert not list(space[1].iterdir())


def test_work_ends_when_the_page_is_left(separator, space):
    upload, home = space
    folders = Folders(home)
    folder = folders.new("a page")

    def leave(share: float) -> None:
        folders.remove("a page")

    with pytest.raises(InputError, match=r"^talk.wav: stopped, because the page was closed$"):
        separate_upload(upload, separator, folder, 1, leave)
    assert not list(home.iterdir())


def test_results_are_kept_and_none_is_replaced(separator, space, tmp_path):
    separated = separate_upload(*space[:1], separator, space[1], 1, no_progress)
    out = tmp_path / "out"
    (out / "talk").mkdir(parents=True)
    (out / "talk" / "mine.txt").write_text("mine")
    assert [keep(separated, out).name for _ in range(2)] == ["talk-2", "talk-3"]
    assert [path.name for path in (out / "talk").iterdir()] == ["mine.txt"]
    kept = {path.name: path.read_bytes() for path in (out / "talk-3").iterdir()}
    assert kept == {path.name: path.read_bytes() for path in (*separated.voices, *separated.tables)}


def test_folders_that_nobody_removes_do_not_stay(tmp_path):
    folders = Folders(tmp_path)
    old, new = folders.new("old"), folders.new("new")
    (old / "talk_s1.wav").write_bytes(b"RIFF")
    os.utime(old, times=(0, time.time() - STAY - 1))
    folders.new("newest")
    assert not old.exists()
    assert new.exists()


@pytest.mark.parametrize("rate", [8000, 11025, 48000])
def test_overview_of_a_short_file_is_its_spectrogram(rate, tmp_path, monkeypatch):
    monkeypatch.setattr(spectrogram, "BLOCK", rate)  # there are seams
    soundfile.write(tmp_path / "noise.wav", np.random.default_rng(0).normal(0, 0.1, round(2.7 * rate)), rate)
    samples = torch.from_numpy(soundfile.read(tmp_path / "noise.wav", dtype="float32")[0])
    wanted = decibels(samples, rate)
    found = spectrogram.overview(tmp_path / "noise.wav", rate / 2)
    torch.testing.assert_close(found, wanted[: len(found)], atol=0.01, rtol=0)
    assert len(wanted) - len(found) <= 1
    assert len(spectrogram.overview(tmp_path / "noise.wav", 2000)) == round(2000 * 0.032) + 1


def test_overview_of_a_long_file_is_the_mean_power(tmp_path, monkeypatch):
    monkeypatch.setattr(spectrogram, "COLUMNS", 50)
    soundfile.write(tmp_path / "noise.wav", np.random.default_rng(0).normal(0, 0.1, (5 * RATE, 2)), RATE)
    samples = torch.from_numpy(soundfile.read(tmp_path / "noise.wav", dtype="float32")[0].mean(1))
    power = 10 ** (decibels(samples, RATE) / 10)  # 626 frames, 13 together
    found = spectrogram.overview(tmp_path / "noise.wav", RATE / 2)
    assert found.shape[1] == 49
    torch.testing.assert_close(found[:, 3], 10 * power[:, 39:52].mean(1).log10(), atol=0.01, rtol=0)
    torch.testing.assert_close(found[:, 48], 10 * power[:, 624:].mean(1).log10(), atol=0.01, rtol=0)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two separators of one name, in a run and beside it, and a damaged one."""
    folder = tmp_path_factory.mktemp("models")
    modules = {"encoder": Encoder(8, 4), "masknet": MaskNet(8, 4, 8, 4, X=2, R=1), "decoder": Decoder(8, 4)}
    for place in ("run/pretrained", "other", "damaged"):
        save_bundle(folder / place, modules, RATE, {"name": "mine"})
    (folder / "damaged" / "model.safetensors").write_bytes(b"none")
    return folder


def test_separators_are_offered_once_each(models):
    separators = Separators("convtasnet-8k-2spk-live", [models])
    first, *others = separators.names
    assert first == "convtasnet-8k-2spk-live: 2 voices, live (8 ms)"
    rest = [name for name in bundled_names() if name != "convtasnet-8k-2spk-live"]
    assert [name.split(":")[0] for name in others] == [*rest, "mine", "mine"]
    assert separators.load("mine: 2 voices").hparams.sample_rate == RATE
    assert Separators(models / "run", [models]).names[0] == "mine: 2 voices"
    with pytest.raises(InputError, match=r"^/etc: no such separator; choose one of convtasnet"):
        separators.load("/etc")
    with pytest.raises(InputError, match=r"damaged.*model.safetensors"):
        Separators(models / "damaged", [])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_minutes": 0}, "max_minutes=0: expected a number above 0"),
        ({"max_megabytes": float("nan")}, "max_megabytes=nan: expected a number above 0"),
        ({"port": 65536}, "port=65536: expected a whole number of at most 65535"),
        ({"at_once": 0}, "at_once=0: expected a whole number of at least 1"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        AppOptions(**options)


def test_it_asks_for_its_package(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "gradio", None)
    with pytest.raises(InputError, match=r"gradio: not installed.*pip install 'speechbrain-tasnet\[app\]'"):
        build_page(AppOptions(), Folders(tmp_path))


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The address of a page, the folder in which it keeps results and that of its temporary files."""
    pytest.importorskip("gradio", reason="no gradio; pip install '.[app]'")
    folder = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(folder))
        with running(AppOptions(out=folder / "out", max_minutes=0.5)) as address:
            yield address, folder / "out", folder
        assert [path.name for path in folder.iterdir()] == ["out"]


def call(address, *files, name=None):
    """Ask a page to separate files, and return what it shows."""
    from gradio_client import Client, handle_file

    client = Client(address, verbose=False, analytics_enabled=False)
    words = [[handle_file(file) for file in files], None] + ([name] if name else [])
    return client.predict(*words, api_name="/separate")


def test_a_page_shows_results_and_what_is_wrong_with_the_others(served, two_voices, tmp_path):
    address, out, temporary = served
    (tmp_path / "bad & <b>.wav").write_text("nonsense")
    soundfile.write(tmp_path / "long.wav", np.zeros(31 * RATE), RATE)
    shown = call(address, tmp_path / "bad & <b>.wav", two_voices, tmp_path / "long.wav")
    problems = re.findall(r'role="alert">(.*?)</p>', shown)
    assert "cannot be read as audio" in problems[0]
    assert problems[1] == "long.wav: 0.5 minutes; at most 0.5 minutes are accepted here"
    assert not re.search(r"<b>\.wav|Traceback", shown)
    assert str(temporary) not in html.unescape(" ".join(problems))
    assert shown.count("<audio") == shown.count("data:image/png;base64,") == 3
    assert re.search(r'<svg.*class="turn estimate".*</svg>', shown, re.DOTALL)
    assert {path.name for path in (out / "talk").iterdir()} == {
        "talk_s1.wav", "talk_s2.wav", "talk.json", "talk.rttm",
    }  # fmt: skip


def test_nothing_to_separate_is_told(served):
    assert "Nothing to separate: drop a recording, or record one." in call(served[0])


def test_results_go_with_the_page_and_nothing_else_is_given_out(served, two_voices):
    address, out, temporary = served
    from gradio_client import Client, handle_file

    client = Client(address, verbose=False, analytics_enabled=False)
    shown = client.predict([handle_file(two_voices)], None, api_name="/separate")
    [link] = re.findall(r'href="(gradio_api/file=\S+talk_s2.wav)"', shown)
    assert urlopen(address + link).read()[:4] == b"RIFF"
    for path in (two_voices, next(out.glob("talk*/talk.json")), ROOT / "setup.py"):
        with pytest.raises(OSError, match="403"):
            urlopen(f"{address}gradio_api/file={path}")
    folder = Path(unquote(link.partition("=")[2])).parent
    assert folder.is_relative_to(temporary)
    client.predict([], None, api_name="/separate")
    assert not folder.exists()


@pytest.mark.parametrize("at_once", [1, 3])
def test_others_wait_in_a_queue(at_once, tmp_path):
    pytest.importorskip("gradio", reason="no gradio; pip install '.[app]'")
    page = build_page(AppOptions(at_once=at_once), Folders(tmp_path))
    [separate] = [event for event in page.fns.values() if event.api_name == "separate"]
    assert separate.queue
    assert separate.concurrency_limit == at_once


def test_a_port_that_is_taken_is_refused(served):
    port = int(served[0].rsplit(":")[-1].strip("/"))
    with pytest.raises(InputError, match=f"^port {port} is in use; leave --port out, or choose another$"):
        running(AppOptions(port=port)).__enter__()


def test_an_address_that_is_not_this_machine_s_is_refused_with_the_reason():
    with pytest.raises(InputError, match=r"host 192\.0\.2\.1: cannot be used \(Cannot assign requested"):
        running(AppOptions(host="192.0.2.1")).__enter__()


def test_a_folder_that_cannot_be_made_is_refused_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match=r"file/out: cannot be made \(.+\); choose another --out"):
        running(AppOptions(out=tmp_path / "file" / "out")).__enter__()


def test_the_space_agrees_with_the_package_and_builds_the_page(tmp_path):
    gradio = pytest.importorskip("gradio", reason="no gradio; pip install '.[app]'")
    head = yaml.safe_load((SPACE / "README.md").read_text(encoding="utf-8").split("---")[1])
    lines = (SPACE / "requirements.txt").read_text(encoding="utf-8").split()
    pinned = dict(line.split("==") for line in lines if "==" in line)
    assert pinned == {
        "gradio": head["sdk_version"],
        "speechbrain-tasnet[app,media]": speechbrain_tasnet.__version__,
    }
    locked = re.search(r"^gradio==(\S+)", (ROOT / "locks/test.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert head["sdk_version"] == (locked[1] if locked else version("gradio"))
    assert (SPACE / head["app_file"]).is_file()
    assert head["license"] == "apache-2.0"
    assert len(head["short_description"]) <= 60
    options = runpy.run_path(str(SPACE / head["app_file"]), run_name="space")["options"]
    page = build_page(options, Folders(tmp_path))
    assert isinstance(page, gradio.Blocks)
    assert f"At most {options.max_minutes} minutes" in str(page.get_config_file())
