"""The page that separates in the browser, in a real Chromium: its samples are those of Python."""

import io
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from headless import chromium, open_page

from speechbrain_tasnet import TasNetSeparation
from speechbrain_tasnet.separation.voice_memory import voiceprints
from speechbrain_tasnet.separation.voices import Listener
from speechbrain_tasnet.separation.windows import cut_windows, join_windows

ROOT = Path(__file__).parents[1]
RATE = 8000
WINDOW = 30  # seconds, as in browser/recording.js
STRIDE = 32  # by which a stream comes out later: the network's L/2

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The page, made by its command and served from this machine: its address."""
    chromium()
    if not (ROOT / "browser/node_modules/onnxruntime-web").is_dir():
        pytest.skip("no onnxruntime-web; make browser/node_modules")
    folder = tmp_path_factory.mktemp("page")
    separators = "convtasnet-8k-2spk", "convtasnet-8k-2spk-live"
    command = [sys.executable, ROOT / "browser/build.py", "--out", folder, *separators]
    subprocess.run(command, check=True)
    handler = partial(SimpleHTTPRequestHandler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def talk(speech_folder, tmp_path_factory):
    """Two voices for 70 seconds, with a pause of ten: three windows."""
    rng = np.random.default_rng(0)
    voices = []
    for speaker in sorted({file.parent for file in speech_folder.rglob("*.wav")})[:2]:
        said = np.concatenate([soundfile.read(file)[0] for file in sorted(speaker.glob("*.wav"))])
        voice = np.resize(said, 70 * RATE)
        voices.append(0.05 * voice / voice.std())
    mixture = sum(voices)
    mixture[25 * RATE : 35 * RATE] = 1e-4 * rng.standard_normal(10 * RATE)
    path = tmp_path_factory.mktemp("talk") / "talk.wav"
    soundfile.write(path, mixture, RATE, subtype="PCM_16")
    return path


def downloads(visit, role):
    """Return the samples of all files that a part of the page offers: [time] each."""
    links = visit.page.locator(f"[data-role={role}] a").all()
    files = []
    for link in links:
        with visit.page.expect_download() as download:
            link.click()
        files.append(Path(download.value.path()).read_bytes())
        assert download.value.suggested_filename.endswith(".wav")
    return [soundfile.read(io.BytesIO(file), dtype="float32")[0] for file in files]


def test_a_recording(site, talk, visit, tmp_path):
    visit.page.goto(site)
    visit.page.set_input_files("input[type=file]", talk)
    visit.page.wait_for_selector("[data-role=results] figure", timeout=120_000)
    assert "times real time" in visit.page.inner_text("[data-role=status]")
    mixture, *voices = downloads(visit, "results")
    assert not visit.elsewhere()
    separator = TasNetSeparation.from_bundle("convtasnet-8k-2spk", device="cpu")
    expected = separator.separate_file(talk, window=WINDOW)[0].T.numpy()
    np.testing.assert_allclose(mixture, soundfile.read(talk)[0], rtol=0, atol=1e-4)
    np.testing.assert_allclose(voices, expected, rtol=0, atol=1e-3)


def test_what_it_looks_like(site, two_voices, visit, tmp_path):
    """The screenshot is that of the documentation."""
    visit.page.goto(site)
    visit.page.set_input_files("input[type=file]", two_voices)
    visit.page.wait_for_selector("[data-role=results] figure", timeout=120_000)
    pictures = visit.page.locator("[data-role=results] figure canvas").all()
    assert len(pictures) == 3
    assert all(picture.bounding_box()["height"] > 50 for picture in pictures)
    visit.page.screenshot(path=tmp_path / "page.png", full_page=True)


def test_what_is_no_sound(site, visit, tmp_path):
    (tmp_path / "notes.mp3").write_text("no sound")
    soundfile.write(tmp_path / "nothing.wav", np.zeros(0), RATE)
    visit.page.goto(site)
    for name in ("notes.mp3", "nothing.wav"):
        visit.page.set_input_files("input[type=file]", tmp_path / name)
        visit.page.wait_for_function(
            "name => document.querySelector('[data-role=status]').textContent.startsWith(name)", arg=name
        )
        assert "sound" in visit.page.inner_text("[data-role=status]")
    assert visit.page.is_hidden("progress")


def test_live(site, talk):
    flags = "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"
    with open_page(*flags, f"--use-file-for-fake-audio-capture={talk}") as visit:
        visit.page.goto(site)
        visit.page.click("[data-role=live]")
        heard = "[...document.querySelectorAll('meter')].filter(({ value }) => value > 0.2).length == 3"
        visit.page.wait_for_function(heard)
        assert "drop-outs" in visit.page.inner_text("[data-role=live-status]")
        visit.page.click("[data-role=live]")
        visit.page.wait_for_selector("[data-role=live-results] figure")
        mixture, *voices = downloads(visit, "live-results")
        assert not visit.elsewhere()
    separator = TasNetSeparation.from_bundle("convtasnet-8k-2spk-live", device="cpu")
    before = torch.zeros(STRIDE)
    expected = separator.separate_batch(torch.cat([before, torch.from_numpy(mixture)])[None])[0].T.numpy()
    assert abs(mixture).max() > 0.01
    known = slice(STRIDE, len(mixture))  # where the stream ends, half a frame is not known yet
    np.testing.assert_allclose(np.array(voices)[:, : -STRIDE or None], expected[:, known], rtol=0, atol=1e-3)


@pytest.mark.parametrize("size", [997, 4000])
def test_windows_are_those_of_python(size, site, visit):
    rng = np.random.default_rng(size)
    length = 5 * size + 123
    loud = np.repeat(rng.choice([1e-4, 1.0], length // 500 + 1), 500)[:length]
    sources = torch.from_numpy((rng.standard_normal((2, length)) * loud).astype("float32"))
    mixture = sources.sum(0)
    script = """async ([samples, sources, size]) => {
        const { cutWindows, Joiner } = await import('./windows.js');
        const windows = cutWindows(Float32Array.from(samples), size);
        const joiner = new Joiner(samples.length, 8000);
        windows.forEach((window, place) => {
            const parts = sources.map((source) => Float32Array.from(source.slice(window.begin, window.end)));
            if (place % 2) parts.reverse();
            joiner.add(window, parts);
        });
        return [windows.map(({ hop }) => hop), joiner.signals.map((signal) => [...signal])];
    }"""
    visit.page.goto(site)
    hops, joined = visit.page.evaluate(script, [mixture.tolist(), sources.tolist(), size])
    windows = list(cut_windows([mixture[None]], size))
    begins = np.cumsum([window.hop for window in windows])
    parts = [sources.T[None, begin : begin + size] for begin in begins]
    shuffled = [part.flip(2) if place % 2 else part for place, part in enumerate(parts)]
    separated = zip(windows, shuffled, strict=True)
    expected = torch.cat([part for _, part in join_windows(separated, RATE)], dim=1)[0].T
    assert hops == [window.hop for window in windows]
    np.testing.assert_allclose(joined, expected.numpy(), rtol=0, atol=1e-6)


def test_who_is_heard_is_as_in_python(site, talk, visit):
    voices = soundfile.read(talk, dtype="float32")[0][: 20 * RATE].reshape(2, -1).copy()
    voices[0, 3 * RATE : 5 * RATE] *= 1e-3  # a pause, and one that is too short
    voices[1, 2 * RATE : 2 * RATE + 1000] *= 1e-3
    sources = np.stack([*voices, 0.01 * voices[0]])[:, : -RATE // 3]  # of a third output, nobody
    script = """async ([sources, rate]) => {
        const { heardSources } = await import('./activity.js');
        return heardSources(sources.map((source) => Float32Array.from(source)), rate).map((source) => [...source]);
    }"""
    visit.page.goto(site)
    got = visit.page.evaluate(script, [sources.tolist(), RATE])
    listener = Listener(RATE, counts=True, gate=True)
    listener.hear(sources[None])
    heard = listener.result()
    assert heard.outputs == [0, 1]
    expected = heard.sources_of(sources.T[..., None].copy(), start=0)[..., 0].T
    assert (expected[0] == 0).any()
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6)


def test_voiceprints_are_those_of_python(site, talk, visit):
    voices = torch.from_numpy(soundfile.read(talk, dtype="float32")[0][: 4 * RATE].reshape(2, -1))
    script = """async ([sources, rate]) => {
        const { voiceprints } = await import('./voice_memory.js');
        return voiceprints(sources.map((source) => Float32Array.from(source)), rate)
            .map(({ levels, frames }) => [[...levels], frames]);
    }"""
    visit.page.goto(site)
    got = visit.page.evaluate(script, [voices.tolist(), RATE])
    expected = voiceprints(voices.T, RATE)
    assert [frames for _, frames in got] == expected.frames.tolist()
    np.testing.assert_allclose([levels for levels, _ in got], expected.levels.numpy(), rtol=0, atol=1e-3)
