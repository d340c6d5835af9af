"""`tasnet live` on real devices: those of a PulseAudio server of our own, for which no card is needed."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
import torch

from speechbrain_tasnet import Decoder, Encoder, MaskNet, StreamingSeparator
from speechbrain_tasnet.audio.resampling import resample
from speechbrain_tasnet.bundle import save_bundle
from speechbrain_tasnet.generate.synthetic_voices import synthesize_speech

RATE = 48000  # of the devices; the model has another
DEADLINE = 300.0  # seconds, on a machine that is very busy
TASNET = [sys.executable, "-m", "speechbrain_tasnet.cli", "live"]


def sounddevice_works():
    try:
        import sounddevice  # noqa: F401
    except (ImportError, OSError):
        return False
    return True


@pytest.fixture(autouse=True, scope="module")
def portaudio():
    if sys.platform != "linux" or not sounddevice_works():
        pytest.skip("PortAudio with ALSA is not installed")


def wait(until, what):
    """Wait for a condition, and return what it gives."""
    deadline = time.monotonic() + DEADLINE
    while not (result := until()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return result


class Server:
    """A PulseAudio server with two null devices, which PortAudio finds as a microphone and a loudspeaker."""

    def __init__(self, folder):
        self._others = []  # processes that end with it
        socket = folder / "socket"
        self.alsa = folder / "asound.conf"
        self.alsa.write_text(
            "</usr/share/alsa/alsa.conf>\n"
            f'pcm.microphone {{ type pulse server "unix:{socket}" device "heard.monitor" }}\n'
            f'pcm.loudspeaker {{ type pulse server "unix:{socket}" device "played" }}\n'
        )
        places = ("HOME", "XDG_RUNTIME_DIR", "PULSE_RUNTIME_PATH", "XDG_CONFIG_HOME")
        own = {name: str(folder) for name in places} | {"PULSE_SERVER": f"unix:{socket}"}
        self._environment = {**os.environ, **own}
        command = [
            "pulseaudio",
            "-n",
            "--daemonize=no",
            "--system=false",
            "--exit-idle-time=-1",
            "--use-pid-file=no",
        ]
        command += ["-L", f"module-native-protocol-unix socket={socket} auth-anonymous=1"]
        for sink in ("heard", "played"):
            command += ["-L", f"module-null-sink sink_name={sink} rate={RATE} channels=2 format=float32le"]
        without = {name: value for name, value in self._environment.items() if name != "PULSE_SERVER"}
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(command, env=without, stdout=log, stderr=log)
        wait(lambda: b"played.monitor" in self.tool("pactl", "list", "short", "sources"), "no PulseAudio")

    def tool(self, *words):
        return subprocess.run(words, env=self._environment, capture_output=True).stdout

    def start(self, *words, environment=None, **options):
        self._others.append(subprocess.Popen(words, env=environment or self._environment, **options))
        return self._others[-1]

    def end(self):
        self._process.kill()
        self._process.wait()

    def end_all(self):
        for process in self._others:
            process.kill()
            process.wait()
        self.end()


@pytest.fixture
def server(tmp_path):
    for program in ("pulseaudio", "pactl", "paplay", "parec"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    if not any(os.path.exists(place) for place in _plugins()):
        pytest.skip("ALSA's pulse plugin is not installed")
    folder = tmp_path / "pulse"
    folder.mkdir(mode=0o700)
    server = Server(folder)
    yield server
    server.end_all()


def _plugins():
    for library in ("/usr/lib", "/usr/lib64", *(entry.path for entry in os.scandir("/usr/lib") if entry.is_dir())):
        yield f"{library}/alsa-lib/libasound_module_pcm_pulse.so"


class Live:
    """`tasnet live` in a process of its own, with what it says in a file."""

    def __init__(self, server, folder, *words):
        self._log = folder / "said"
        environment = {**os.environ, "ALSA_CONFIG_PATH": str(server.alsa), "OMP_NUM_THREADS": "1"}
        with self._log.open("wb") as log:
            self.process = server.start(*TASNET, *map(str, words), environment=environment, stdout=log, stderr=log)

    def said(self):
        return self._log.read_text()

    def listening(self):
        wait(lambda: "listening to" in self.said() or self.process.poll() is not None, "it does not listen")
        assert "listening to microphone, playing on loudspeaker" in self.said(), self.said()

    def end(self, number=signal.SIGINT):
        self.process.send_signal(number)
        return self.process.wait(DEADLINE)


@pytest.fixture(scope="module")
def mixture(tmp_path_factory):
    """Two voices at once, at the rate of the devices."""
    folder = tmp_path_factory.mktemp("mixture")
    synthesize_speech(folder / "speech", num_speakers=(2, 1, 1), utterances=1, workers=1)
    voices = [soundfile.read(path)[0] for path in sorted((folder / "speech").rglob("*.wav"))[:2]]
    length = min(len(voice) for voice in voices)
    samples = sum(0.3 * voice[:length] / np.abs(voice).max() for voice in voices)
    # Up to 3 kHz: nearer to what the model hears at most, filters let pass what depends on where a sample lies.
    samples = resample(resample(samples, 8000, 6000), 6000, RATE)
    # With half a second of silence first: a null device may miss how a sound begins.
    soundfile.write(folder / "mixture.wav", np.pad(samples, (RATE // 2, 0)), RATE)
    return folder / "mixture.wav"


@pytest.fixture(scope="module")
def modules():
    """A causal separator that is fast on the busiest machine, untrained."""
    torch.manual_seed(0)
    net = MaskNet(16, 8, 24, 8, X=3, R=1, C=2, norm="cumulative", causal=True)
    with torch.no_grad():
        net.mask.weight *= 10  # so that its sources differ
    return {"encoder": Encoder(16, 16), "masknet": net, "decoder": Decoder(16, 16)}


@pytest.fixture(scope="module")
def separator(modules, tmp_path_factory):
    folder = tmp_path_factory.mktemp("separator") / "causal"
    save_bundle(folder, modules, 8000)
    return folder


def si_snr(estimate, target):
    estimate, target = estimate - estimate.mean(), target - target.mean()
    wanted = (estimate @ target) / (target @ target) * target
    return 10 * np.log10((wanted @ wanted) / ((estimate - wanted) @ (estimate - wanted)))


def aligned(found, wanted):
    """The part of a longer recording that is most like a shorter one, as long as that."""
    size = 2 ** (len(found) + len(wanted)).bit_length()
    likeness = np.fft.irfft(np.fft.rfft(found, size) * np.fft.rfft(wanted, size).conj(), size)
    begin = int(np.argmax(likeness[: len(found) - len(wanted) + 1]))
    return found[begin : begin + len(wanted)]


def heard_part(samples):
    """Without the silence on both sides."""
    loud = np.flatnonzero(np.abs(samples) > 1e-3)
    return slice(loud[0], loud[-1] + 1)


def separate_live(server, separator, mixture, folder):
    """Play a mixture to `tasnet live`; returns what its loudspeaker played, [time, 2], and what it said."""
    folder.mkdir()
    with (folder / "played").open("wb") as file:
        words = "--format=float32le", f"--rate={RATE}", "--channels=2", "--device=played.monitor"
        recorder = server.start("parec", "--raw", *words, stdout=file)
    words = "--input", "microphone", "--output", "loudspeaker", "--out", folder / "out"
    words += "--buffer", "500", "--model", separator
    live = Live(server, folder, *words)
    live.listening()
    server.tool("paplay", "--device=heard", str(mixture))
    # Until it has been heard and played: silence, as long as all that waits anywhere.
    end = soundfile.info(folder / "out/mixture.wav").frames + 3 * 8000
    wait(lambda: soundfile.info(folder / "out/mixture.wav").frames > end, "it does not hear")
    status = live.end()
    recorder.terminate()
    recorder.wait()
    assert status == 0, live.said()
    return np.fromfile(folder / "played", np.float32).reshape(-1, 2), live.said()


@pytest.mark.long
def test_the_loudspeaker_plays_what_the_separator_makes_of_what_is_heard(
    server, separator, modules, mixture, tmp_path
):
    for attempt in range(3):  # others may take the processor for longer than half a second
        played, said = separate_live(server, separator, mixture, tmp_path / str(attempt))
        drop_outs = int(re.search(r"at most, (\d+) drop-outs$", said.strip())[1])
        if drop_outs == 0:
            break
    assert drop_outs == 0, said
    out = tmp_path / str(attempt) / "out"
    heard, rate = soundfile.read(out / "mixture.wav", dtype="float32")
    given, _ = soundfile.read(mixture, dtype="float32")
    # At the rate of the devices, where both begin with a sample.
    wanted = resample(resample(given[RATE // 2 :], RATE, rate), rate, RATE)
    assert si_snr(aligned(resample(heard, rate, RATE), wanted), wanted) > 30

    live = StreamingSeparator(**modules)
    sources = torch.cat([live.step(torch.from_numpy(heard)[None]), live.flush()], dim=1)[0].numpy()
    for ear, source in enumerate(sources.T):
        recorded, _ = soundfile.read(out / f"s{ear + 1}.wav", dtype="float32")
        assert np.abs(recorded - source).max() < 0.002
        part = resample(source[heard_part(source)], rate, RATE)
        assert si_snr(aligned(played[:, ear], part), part) > 30
        assert si_snr(aligned(played[:, 1 - ear], part), part) < 20
    level = r"(silent| +-\d+ dB)"
    assert re.search(
        rf"^heard {level}  s1 {level}  s2 {level}  latency (\d+ ms|not known)  0 drop-outs$", said, re.M
    )


@pytest.mark.long
@pytest.mark.parametrize("ending", ["unplugged", "terminated"])
def test_whatever_ends_it_leaves_whole_files(ending, server, tmp_path):
    live = Live(server, tmp_path, "--input", "microphone", "--output", "loudspeaker", "--out", tmp_path / "out")
    live.listening()
    wait(lambda: soundfile.info(tmp_path / "out/s2.wav").frames > 2000, "it does not hear")
    if ending == "unplugged":
        server.end()
        assert live.process.wait(DEADLINE) == 2
        *_, line = live.said().splitlines()
        assert re.fullmatch(r"tasnet: error: \w+: the device has stopped; is it still connected\?", line)
    else:
        assert live.end(signal.SIGTERM) == 143
    assert "Traceback" not in live.said()
    assert "s of audio, real-time factor" in live.said()
    frames = {soundfile.info(tmp_path / f"out/{name}.wav").frames for name in ("mixture", "s1", "s2")}
    assert len(frames) == 1
    assert frames.pop() > 2000


def run(alsa, *words):
    environment = {**os.environ, "ALSA_CONFIG_PATH": str(alsa)}
    return subprocess.run([*TASNET, *words], env=environment, capture_output=True, text=True)


@pytest.mark.long
def test_devices_are_listed(server):
    ended = run(server.alsa, "--devices")
    assert ended.returncode == 0, ended.stderr
    assert re.search(r"^ *\d+  microphone \(ALSA\): \d+ input", ended.stdout, re.MULTILINE)
    ended = run(server.alsa, "--input", "nothing like it")
    assert ended.returncode == 2
    *_, line = ended.stderr.splitlines()
    assert line.startswith("tasnet: error: --input nothing like it: No input device matching")
    assert line.endswith("`tasnet live --devices` lists them")


@pytest.mark.long
@pytest.mark.parametrize("words", [["--devices"], []])
def test_no_sound_card_is_one_line(words, tmp_path, monkeypatch):
    """Nor do ALSA and JACK say anything."""
    if os.path.exists("/proc/asound/cards"):
        pytest.skip("this machine has a sound card")
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/nobody")
    ended = run("/usr/share/alsa/alsa.conf", *words)
    assert ended.returncode == 2
    said = [line for line in ended.stderr.splitlines() if not line.startswith("loading ")]
    assert len(said) == 1
    assert said[0].startswith("tasnet: error: no sound card: PortAudio finds no ")
