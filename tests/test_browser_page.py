"""The page that separates in the browser, in a real Chromium: its samples are those of Python."""

import importlib.util
import io
import json
import re
import subprocess
import sys
import threading
import urllib.request
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from headless import chromium, open_page
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError

from speechbrain_tasnet import Decoder, Encoder, MaskNet, TasNetSeparation
from speechbrain_tasnet.audio.resampling import resample
from speechbrain_tasnet.bundle import save_bundle
from speechbrain_tasnet.separation.live_voices import LiveVoices
from speechbrain_tasnet.separation.voice_memory import voiceprints
from speechbrain_tasnet.separation.voices import Listener
from speechbrain_tasnet.separation.windows import cut_windows, join_windows

ROOT = Path(__file__).parents[1]
RATE = 8000
WINDOW = 30  # seconds, as in browser/recording.js
LIVE = "convtasnet-8k-2spk-live"
STRIDE = 32  # by which a stream comes out later: the network's L/2

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def counting(tmp_path_factory):
    """A causal separator that counts three voices, untrained."""
    torch.manual_seed(0)
    net = MaskNet(16, 8, 24, 8, X=3, R=1, C=3, norm="cumulative", causal=True)
    modules = {"encoder": Encoder(16, 2 * STRIDE), "masknet": net, "decoder": Decoder(16, 2 * STRIDE)}
    folder = tmp_path_factory.mktemp("separator") / "counting"
    save_bundle(folder, modules, RATE, {"name": "counting", "silence": "power"})
    return folder


@pytest.fixture(scope="module")
def site(counting, tmp_path_factory):
    """The page, made by its command and served from this machine: its address."""
    chromium()
    if not (ROOT / "browser/node_modules/onnxruntime-web").is_dir():
        pytest.skip("no onnxruntime-web; make browser/node_modules")
    folder = tmp_path_factory.mktemp("page")
    separators = "convtasnet-8k-2spk", LIVE, counting
    command = [sys.executable, ROOT / "browser/build.py", "--out", folder, *separators]
    subprocess.run(command, check=True)
    handler = partial(SimpleHTTPRequestHandler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_a_wrong_separator_is_one_line(tmp_path):
    command = [sys.executable, ROOT / "browser/build.py", "--out", tmp_path / "page", "nothing-here"]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 2
    assert re.fullmatch("build.py: error: nothing-here: .+\n", ended.stderr)
    assert not (tmp_path / "page").exists()


def test_the_site_ends_in_one_line_without_onnx(monkeypatch, tmp_path):
    spec = importlib.util.spec_from_file_location("browser_build", ROOT / "browser/build.py")
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    runtime = tmp_path / "runtime/dist"
    runtime.mkdir(parents=True)
    for name in build.RUNTIME_FILES:
        (runtime.parent / name).touch()
    monkeypatch.setattr(build, "RUNTIME", runtime.parent)
    monkeypatch.setitem(sys.modules, "onnx", None)
    config = MkDocsConfig()
    config.site_dir = str(tmp_path / "site")
    with pytest.raises(PluginError, match=r"^the browser page: onnx: not installed[^\n]+$"):
        build.on_post_build(config)


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


@pytest.mark.parametrize("rate", [44100, 48000])
def test_a_recording_at_another_rate(rate, site, talk, visit, tmp_path):
    """With noise up to the highest frequencies, which must not fold back."""
    said = resample(soundfile.read(talk)[0][: 12 * RATE], RATE, rate)
    noise = 0.02 * np.random.default_rng(rate).standard_normal((len(said), 2))
    soundfile.write(tmp_path / "talk.wav", said[:, None] * [1, 0.5] + noise, rate, subtype="PCM_16")
    visit.page.goto(site)
    visit.page.set_input_files("input[type=file]", tmp_path / "talk.wav")
    visit.page.wait_for_selector("[data-role=results] figure", timeout=120_000)
    mixture, *voices = downloads(visit, "results")
    expected = resample(soundfile.read(tmp_path / "talk.wav", dtype="float32")[0].mean(axis=1), rate, RATE)
    np.testing.assert_allclose(mixture, expected, rtol=0, atol=1e-4)
    separator = TasNetSeparation.from_bundle("convtasnet-8k-2spk", device="cpu")
    sources = separator.separate_audio(torch.from_numpy(expected), RATE, window=WINDOW).numpy()
    np.testing.assert_allclose(voices, sources, rtol=0, atol=1e-3)


def tones(*frequencies, rate, seconds=2):
    """Return tones of amplitude 0.2."""
    return sum(0.2 * np.sin(2 * np.pi * frequency * np.arange(seconds * rate) / rate) for frequency in frequencies)


def level(samples, frequency, rate):
    """Return the level of a tone in dB, 0 for `tones`, and that of everything else."""
    middle = samples[len(samples) // 4 : 3 * len(samples) // 4]
    phase = 2 * np.pi * frequency * np.arange(len(middle)) / rate
    waves = np.stack([np.sin(phase), np.cos(phase)])
    weights = np.linalg.lstsq(waves.T, middle, rcond=None)[0]
    rest = middle - weights @ waves
    return 20 * np.log10(np.linalg.norm(weights) / 0.2), 20 * np.log10(2**0.5 * rest.std() / 0.2)


@pytest.mark.parametrize("rate", [44100, 48000])
def test_what_is_too_high_for_the_separator_is_not_heard(rate, site, visit):
    """Of an mp3, whose rate the page does not know."""
    file = io.BytesIO()
    soundfile.write(file, tones(3000, 4800, 7500, rate=rate), rate, format="MP3", bitrate_mode="CONSTANT")
    script = """async (bytes) => {
        const { decode } = await import('./audio.js');
        return [...await decode(Uint8Array.from(bytes).buffer, 8000)];
    }"""
    visit.page.goto(site)
    got = np.array(visit.page.evaluate(script, list(file.getvalue())))
    file.seek(0)
    expected = resample(soundfile.read(file)[0], rate, RATE)
    assert level(got, 3000, RATE) == pytest.approx(level(expected, 3000, RATE), abs=0.1)
    assert level(got, 3000, RATE)[1] < -25  # what the mp3 itself adds


@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "RF64", "FLAC", "OGG"])
def test_the_rate_of_a_file(kind, site, visit):
    file = io.BytesIO()
    soundfile.write(file, np.zeros(1000), 44056, format=kind)
    script = """async (bytes) => {
        const { fileRate } = await import('./audio.js');
        return fileRate(Uint8Array.from(bytes).buffer);
    }"""
    visit.page.goto(site)
    assert visit.page.evaluate(script, list(file.getvalue())) == (None if kind == "OGG" else 44056)


@pytest.mark.parametrize(
    ("old", "new"), [(48000, 8000), (44100, 8000), (11025, 8000), (8000, 48000), (8000, 44100), (8000, 8000)]
)
def test_resampling_is_that_of_python(old, new, site, visit):
    samples = np.random.default_rng(old).standard_normal(old // 4 + 17).astype("float32")
    script = """async ([samples, old, now, cuts]) => {
        const { Resampler } = await import('./resampling.js');
        const resampler = new Resampler(old, now);
        const blocks = cuts.slice(1).map((end, i) => Float32Array.from(samples.slice(cuts[i], end)));
        const parts = [...blocks.map((block) => resampler.push(block)), resampler.finish()];
        return [parts.map((part) => [...part]), Resampler.delay(old, now)];
    }"""
    visit.page.goto(site)
    cuts = [0, 1, 1, 129, 300, 1500, len(samples)]
    parts, delay = visit.page.evaluate(script, [samples.tolist(), old, new, cuts])
    np.testing.assert_allclose(np.concatenate(parts), resample(samples, old, new), rtol=0, atol=2e-6)
    assert len(parts[-1]) == pytest.approx(delay * new, abs=1)


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


@pytest.mark.parametrize(("kind", "shown"), [("graph", "A recording"), ("step", "Live")])
def test_a_page_for_one_purpose_has_one_box(kind, shown, site, visit):
    models = json.loads(urllib.request.urlopen(f"{site}models/models.json").read())
    model = next(model for model in models if kind in model)
    visit.page.route("**/models.json", lambda route: route.fulfill(json=[model]))
    visit.page.goto(site)
    visit.page.wait_for_selector(".tasnet-card:visible")
    assert visit.page.locator(".tasnet-card h2:visible").all_inner_texts() == [shown]
    assert visit.page.locator("h2").all_inner_texts() == ["A recording", "Live"]


@pytest.mark.parametrize("name", [LIVE, "counting"])
def test_live(name, site, talk, counting):
    separator = TasNetSeparation.from_bundle(LIVE if name == LIVE else counting, device="cpu")
    flags = "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"
    with open_page(*flags, f"--use-file-for-fake-audio-capture={talk}") as visit:
        visit.page.goto(site)
        visit.page.select_option("[data-role=stream-separator]", name)
        visit.page.click("[data-role=live]")
        heard = "[...document.querySelectorAll('meter')].filter(({ value }) => value > 0.2).length >= 3"
        visit.page.wait_for_function(heard)
        assert "drop-outs" in visit.page.inner_text("[data-role=live-status]")
        visit.page.click("[data-role=live]")
        visit.page.wait_for_selector("[data-role=live-results] figure")
        mixture, *voices = downloads(visit, "live-results")
        assert not visit.elsewhere()
    before = torch.zeros(STRIDE)
    expected = separator.separate_batch(torch.cat([before, torch.from_numpy(mixture)])[None])[0].T.numpy()
    if separator.counts_voices:
        expected = LiveVoices(RATE).hear(expected.T)[0].T
    assert abs(mixture).max() > 0.01
    known = slice(STRIDE, len(mixture))  # where the stream ends, half a frame is not known yet
    np.testing.assert_allclose(np.array(voices)[:, : -STRIDE or None], expected[:, known], rtol=0, atol=1e-3)


def test_live_hears_the_whole_band(site, tmp_path):
    soundfile.write(tmp_path / "tones.wav", tones(3000, 4800, rate=48000, seconds=20), 48000)
    flags = "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"
    with open_page(*flags, f"--use-file-for-fake-audio-capture={tmp_path / 'tones.wav'}") as visit:
        visit.page.goto(site)
        visit.page.click("[data-role=live]")
        visit.page.wait_for_function("document.querySelectorAll('meter').length == 3")
        visit.page.wait_for_timeout(3000)
        visit.page.click("[data-role=live]")
        visit.page.wait_for_selector("[data-role=live-results] figure")
        mixture = downloads(visit, "live-results")[0]
    tone, rest = level(mixture, 3000, RATE)
    assert tone == pytest.approx(0, abs=0.1)
    assert rest < -40


PROCESSOR = """async ([frequencies, rate]) => {
    const context = new AudioContext();
    const recorder = `registerProcessor('recorder', class extends AudioWorkletProcessor {
        process([input]) { return this.port.postMessage(input.map((ear) => ear.slice())), true; }
    })`;
    await context.audioWorklet.addModule('live_processor.js');
    await context.audioWorklet.addModule(URL.createObjectURL(new Blob([recorder], { type: 'text/javascript' })));
    const node = new AudioWorkletNode(context, 'live-processor', {
        outputChannelCount: [2], processorOptions: { chunk: 160, rate, waiting: 25 },
    });
    const { port1, port2 } = new MessageChannel();
    const heard = [];
    port1.onmessage = ({ data }) => {
        heard.push(...data);
        port1.postMessage([data, data.map((sample) => sample / 2)]);
    };
    node.port.postMessage({ worker: port2, gains: [[1, 0], [0, 1]] }, [port2]);
    for (const frequency of frequencies) {
        const tone = new OscillatorNode(context, { frequency });
        tone.connect(new GainNode(context, { gain: 0.2 })).connect(node);
        tone.start();
    }
    const recording = new AudioWorkletNode(context, 'recorder');
    const played = [[], []];
    recording.port.onmessage = ({ data }) => {
        if (data.length === 2 && (played[0].length || data[0].some(Boolean)))
            data.forEach((samples, ear) => played[ear].push(...samples));
    };
    node.connect(recording).connect(context.destination);
    while (played[0].length < 2 * context.sampleRate) await new Promise((resolve) => setTimeout(resolve, 50));
    await context.close();
    return [heard, played, context.sampleRate];
}"""


def test_live_hears_and_plays_at_the_rate_of_the_sound_card(site):
    """A loop without a network: voices are what was heard, in the right ear half as loud."""
    with open_page("--autoplay-policy=no-user-gesture-required") as visit:
        visit.page.goto(site)
        heard, played, rate = visit.page.evaluate(PROCESSOR, [[3000, 4800, 7500], RATE])
    assert rate > 2 * RATE
    for samples, at, loudness in ((heard, RATE, 1), (played[0], rate, 1), (played[1], rate, 0.5)):
        tone, rest = level(np.array(samples) / loudness, 3000, at)
        assert tone == pytest.approx(0, abs=0.1)
        assert rest < -40


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
    nobody = [0.01 * voices[0], 0.2 * voices.sum(axis=0)]  # what is left of one voice, and a little of both
    sources = np.stack([*voices, *nobody])[:, : -RATE // 3]
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


@pytest.mark.parametrize("size", [160, 7777])
def test_who_is_heard_in_a_stream_is_as_in_python(size, site, talk, visit):
    voices = soundfile.read(talk, dtype="float32")[0][: 20 * RATE].reshape(2, -1).copy()
    voices[0, 3 * RATE : 5 * RATE] *= 1e-4  # a pause, and one that is too short
    voices[1, 2 * RATE : 2 * RATE + 1000] *= 1e-4
    sources = np.stack([*voices, 0.01 * voices[0]])
    script = """async ([sources, rate, size]) => {
        const { LiveVoices } = await import('./live_voices.js');
        const live = new LiveVoices(rate);
        const heard = sources.map(() => []);
        for (let begin = 0; begin < sources[0].length; begin += size) {
            const chunk = sources.map((source) => Float32Array.from(source.slice(begin, begin + size)));
            live.hear(chunk);
            chunk.forEach((source, place) => heard[place].push(...source));
        }
        return heard;
    }"""
    visit.page.goto(site)
    got = visit.page.evaluate(script, [sources.tolist(), RATE, size])
    expected = LiveVoices(RATE).hear(sources.T)[0].T
    assert (expected[0, 3 * RATE : 5 * RATE] == 0).any()
    assert not expected[2].any()
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
