"""Measure the latency of `tasnet stream` behind real pipes, fed with a recording in real time.

A child process streams, as a user would start it. Each chunk is written at the moment when a microphone would have
delivered its last sample, while another thread notes when how many bytes come out. The latency of a sample is the
time from its own end to the moment when all of its sources can be read. It includes the wait for the rest of the
chunk, what the model looks ahead, the computation and both pipes.
"""

import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from math import ceil
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from speechbrain_tasnet.audio.pcm import quantize
from speechbrain_tasnet.audio.reading import open_audio, read_blocks
from speechbrain_tasnet.audio.resampling import resample
from speechbrain_tasnet.bundle import load_bundle
from speechbrain_tasnet.bundle.config import Config
from speechbrain_tasnet.bundle.hub import find_separator
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.separation.channels import Channels
from speechbrain_tasnet.separation.options import DEFAULTS
from speechbrain_tasnet.separation.pipe import FORMATS

# Seconds of silence. Those before the recording are written at once: when their sources have come out, the model
# is loaded, its loops are compiled and nothing waits in the pipes. Those after it push its last samples out.
BEFORE, AFTER = 1.0, 0.5

FACTOR = re.compile(r"real-time factor ([\d.]+)")


class Measurement(NamedTuple):
    """Latency of each sample in ms, and the seconds of computation per second of audio."""

    latency: np.ndarray
    real_time_factor: float

    def lines(self) -> Iterator[str]:
        """Write it, one line each."""
        middle, late = np.quantile(self.latency, [0.5, 0.99])
        yield f"latency in ms: median {middle:.1f}, 99 % {late:.1f}, worst {self.latency.max():.1f}"
        yield f"real-time factor {self.real_time_factor:.3f}"


def measure_stream(model: Path | str, recording: Path | str, chunk: float, pcm: str = "s16le") -> Measurement:
    """Stream a recording in real time and measure the latency of each of its samples.

    Parameters
    ----------
    model : path-like
        As `bundle.hub.find_separator` takes it; a causal one.
    recording : path-like
        Audio file of any rate; it is resampled to the model's.
    chunk : float
        Milliseconds written at once, and taken at once by the stream.
    pcm : str
        Format of the samples in both pipes, a key of `pipe.FORMATS`.

    Raises
    ------
    InputError
        The recording or the model cannot be read, or the stream ended early; its own error is the message.
    """
    folder = find_separator(model)
    config = load_bundle(folder).config
    rate, (kind, _) = config.sample_rate, FORMATS[pcm]
    samples = _encode(_read(recording, config), kind)
    size, lookahead = max(1, round(chunk * rate / 1000)), config.modules["encoder"]["L"]
    # Whole chunks, so that what is written at once is also taken at once.
    before = _whole(BEFORE * rate + lookahead, size)
    after = _whole(len(samples) + AFTER * rate + lookahead, size) - len(samples)
    signal = np.pad(samples, [(before, after), (0, 0)])
    command = [sys.executable, "-m", "speechbrain_tasnet.cli", "stream"]
    command += ["--model", str(folder), "--chunk", str(chunk), "--format", pcm]
    bytes_out = config.num_spks * config.outputs * kind.itemsize  # of a sample
    stream = _Stream(command, ready=(before - lookahead) * bytes_out)
    stream.run(signal, before, size, rate)
    times, totals = np.array(stream.arrivals).T
    number = np.arange(len(samples)) + 1
    arrived = times[np.searchsorted(totals // bytes_out, before + number)]
    return Measurement(1e3 * (arrived - stream.start - number / rate), float(FACTOR.search(stream.messages)[1]))


def _read(recording: Path | str, config: Config) -> np.ndarray:
    """Read a recording at the model's rate, [time, a channel for each microphone]."""
    channels = Channels(config, DEFAULTS)
    with open_audio(recording) as file:
        channels.check(file)
        samples = np.concatenate([*read_blocks(file, channels.read_as)], axis=1)
        return resample(samples, file.samplerate, config.sample_rate).T


def _encode(samples: np.ndarray, kind: np.dtype) -> np.ndarray:
    """Write samples in a format of the pipes, not above full scale."""
    samples = samples / max(1, np.abs(samples).max())
    return (quantize(samples) if kind.kind == "i" else samples).astype(kind)


def _whole(samples: float, size: int) -> int:
    """Round up to whole chunks.

    Example
    -------
    >>> _whole(81, 40)
    120
    """
    return ceil(samples / size) * size


class _Stream:
    """A stream in a child process, and when it was fed and how much it gave.

    Parameters
    ----------
    command : list of str
        Program and arguments.
    ready : int
        Bytes that come out before the recording is played.
    """

    def __init__(self, command: list[str], ready: int):
        self.arrivals: list[tuple[float, int]] = []  # moments, and how many bytes had come by then
        self.start = 0.0  # when the recording began
        self.messages = ""
        self._command = command
        self._ready, self._is_ready = ready, threading.Event()

    def run(self, signal: np.ndarray, before: int, size: int, rate: int) -> None:
        """Write a signal, its first samples at once and the others at their pace, and wait for the end.

        Raises
        ------
        InputError
            The stream ended early.
        """
        # Messages go into a file: a pipe that nobody reads stops its writer when it is full.
        with tempfile.TemporaryFile() as file:
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": file, "bufsize": 0}
            with subprocess.Popen(self._command, **pipes) as process:
                reader = threading.Thread(target=self._listen, args=[process.stdout], daemon=True)
                reader.start()
                with suppress(OSError):  # it has died, which its status and its messages explain
                    _write(process.stdin, signal[:before])
                    self._is_ready.wait()
                    self.start = time.perf_counter()
                    _play(process.stdin, signal[before:], size, self.start, rate)
                with suppress(OSError):
                    process.stdin.close()
                reader.join()
            file.seek(0)
            self.messages = file.read().decode("utf-8", "replace").strip()
        if process.returncode != 0 or not FACTOR.search(self.messages):
            ended = f"tasnet stream: ended with status {process.returncode}"
            raise InputError((self.messages or ended).splitlines()[-1].removeprefix("tasnet: error: "))

    def _listen(self, pipe: IO[bytes]) -> None:
        """Record when how many bytes had arrived, until the pipe ends."""
        total = 0
        while data := pipe.read(2**16):
            total += len(data)
            self.arrivals.append((time.perf_counter(), total))
            if total >= self._ready:
                self._is_ready.set()
        self._is_ready.set()


def _play(pipe: IO[bytes], samples: np.ndarray, size: int, start: float, rate: int) -> None:
    """Write chunks, each when its last sample would have been spoken."""
    for position in range(0, len(samples), size):
        part = samples[position : position + size]
        time.sleep(max(0, start + (position + len(part)) / rate - time.perf_counter()))
        _write(pipe, part)


def _write(pipe: IO[bytes], samples: np.ndarray) -> None:
    """Write all samples, although an unbuffered pipe may take a part at a time."""
    data = memoryview(samples.tobytes())
    while data:
        data = data[pipe.write(data) :]
