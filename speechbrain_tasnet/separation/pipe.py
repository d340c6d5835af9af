"""Separate raw PCM from a pipe into pipes, as it arrives."""

import errno
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from speechbrain_tasnet.audio.pcm import count_clipped, full_scale, quantize
from speechbrain_tasnet.audio.reading import LOUDEST
from speechbrain_tasnet.errors import DiskError, InputError
from speechbrain_tasnet.separation.live_voices import Event, LiveVoices
from speechbrain_tasnet.separation.streaming import StreamingSeparator

# What a sample is in the bytes of a format, and which value is full scale.
FORMATS = {"s16le": (np.dtype("<i2"), full_scale()), "f32le": (np.dtype("<f4"), 1)}
# How files begin that are taken for raw PCM. An mp3 without a tag begins like loud speech.
FILES = {
    b"RIFF": "wav", b"RIFX": "wav", b"RF64": "wav", b"riff": "w64", b"fLaC": "flac", b"OggS": "ogg", b"ID3": "mp3",
    b"FORM": "aiff", b"caff": "caf", b".snd": "au", b"NIST_1A": "sphere", b"\x1aE\xdf\xa3": "webm",
}  # fmt: skip
HEAD = 12  # bytes that tell


@dataclass
class Account:
    """Statistics of a stream so far."""

    samples: int = 0  # that came in
    busy: float = 0.0  # seconds of computation
    worst: float = 0.0  # seconds of the slowest chunk
    silenced: int = 0  # samples that came in and were no usable numbers
    clipped: int = 0  # samples that went out at full scale and lay beyond
    dropped: int = 0  # bytes of a last sample that did not come whole

    def add(self, samples: int, seconds: float) -> None:
        """Count a chunk."""
        self.samples += samples
        self.busy += seconds
        self.worst = max(self.worst, seconds)

    def lines(self, rate: int) -> Iterator[str]:
        """Report it, one line each."""
        if self.dropped:
            yield f"the input ended within a sample: {self.dropped} bytes are dropped"
        if self.silenced:
            yield f"{self.silenced} samples that came in were NaN, infinite or above {LOUDEST:g}: taken as silence"
        if self.clipped:
            yield f"{self.clipped} samples that went out were clipped at full scale; f32le has no such limit"
        seconds = self.samples / rate
        factor = f", real-time factor {self.busy / seconds:.3f}" if seconds else ""
        yield f"{seconds:.3f} s of audio{factor}, worst chunk {1e3 * self.worst:.2f} ms"


def stream(
    live: StreamingSeparator,
    source: int,
    sinks: Sequence[int],
    pcm: str,
    size: int,
    account: Account,
    rate: int = 8000,
    voices: LiveVoices | None = None,
    events: int | None = None,
) -> None:
    """Separate what comes through a pipe until it ends; a writer that stalls is waited for.

    Parameters
    ----------
    live : StreamingSeparator
        The model.
    source : int
        File descriptor to read a channel for each microphone from, interleaved.
    sinks : sequence of int
        File descriptors to write to: one for all sources, interleaved, or one a source. Sources at each
        microphone are interleaved themselves.
    pcm : str
        ``s16le`` or ``f32le``, of input and output.
    size : int
        Samples of a chunk.
    account : Account
        Is kept up to date.
    rate : int
        Hz, for the message if a file is sent instead of samples.
    voices : LiveVoices, optional
        Hears who speaks in the sources, and makes the others silent.
    events : int, optional
        File descriptor to write to who begins and ends to speak: an object of JSON a line.

    Raises
    ------
    InputError
        A file with a header comes in, or nothing can be read.
    BrokenPipeError
        A reader has gone away.
    DiskError
        A file cannot be written.
    """
    kind, scale = FORMATS[pcm]
    encoder = live.encoder
    frame = encoder.mics * kind.itemsize  # bytes of a sample of all channels
    live.step(encoder.silence(1, 4 * encoder.kernel_size))  # compiles what is not compiled yet
    live.reset(1)
    head = b""  # of what comes in, until it is long enough to tell a file by
    for data in _chunks(source, size * frame):
        if len(head) < HEAD:
            head += data[:HEAD]
            _check_raw(head, pcm, rate, encoder.mics)
        account.dropped = len(data) % frame
        samples = np.frombuffer(data[: len(data) - account.dropped], kind).astype(np.float32) / scale
        usable = np.abs(samples) <= LOUDEST
        account.silenced += int((~usable).sum())
        samples[~usable] = 0
        start = time.perf_counter()
        known = live.step(torch.from_numpy(samples).view_as(encoder.silence(1, len(data) // frame)))
        sources, changes = _heard(known, voices)
        account.add(len(data) // frame, time.perf_counter() - start)
        account.clipped += _write(sources, sinks, kind)
        _write_events(changes, events)
    sources, changes = _heard(live.flush(), voices)
    account.clipped += _write(sources, sinks, kind)
    _write_events([*changes, *(voices.end() if voices else [])], events)


def _heard(known: Tensor, voices: LiveVoices | None) -> tuple[np.ndarray, list[Event]]:
    sources = known[0].numpy()
    return voices.hear(sources) if voices else (sources, [])


def _chunks(source: int, size: int) -> Iterator[bytes]:
    """Read chunks of ``size`` bytes; only the last may be shorter."""
    held = b""
    while data := _read(source, size - len(held)):
        held += data
        if len(held) == size:
            yield held
            held = b""
    if held:
        yield held


def _read(source: int, size: int) -> bytes:
    try:
        return os.read(source, size)
    except OSError as error:
        raise InputError(
            f"standard input: cannot be read ({error.strerror}); expected raw PCM through a pipe"
        ) from None


def _check_raw(head: bytes, pcm: str, rate: int, channels: int) -> None:
    """Refuse input that begins like a file: a header would sound like a click, compressed audio like noise."""
    if not (name := next((name for begin, name in FILES.items() if head.startswith(begin)), None)):
        return
    kind = pcm.removesuffix("le")
    raise InputError(
        f"standard input: a file ({name}), expected raw PCM; convert it first, for example with "
        f"`sox FILE -t {kind} -r {rate} -c {channels} - | tasnet stream --format {pcm}`"
    )


def _write(sources: np.ndarray, sinks: Sequence[int], kind: np.dtype) -> int:
    """Write ``sources`` [time, C] or [time, C, mics]; returns how many samples were clipped."""
    clipped = 0
    if kind.kind == "i":
        clipped, sources = count_clipped(sources), quantize(sources)
    sources = sources.astype(kind)
    for sink, part in zip(sinks, [sources] if len(sinks) == 1 else sources.swapaxes(0, 1), strict=True):
        _write_all(part.tobytes(), sink, "the sources")
    return clipped


def _write_events(changes: Sequence[Event], sink: int | None) -> None:
    if sink is not None and changes:
        lines = "".join(json.dumps(change._asdict()) + "\n" for change in changes)
        _write_all(lines.encode(), sink, "events")


def _write_all(data: bytes, sink: int, what: str) -> None:
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(sink, left) :]
        except BrokenPipeError:
            raise
        except OSError as error:
            # So Windows calls a pipe without a reader.
            if error.errno == errno.EINVAL and sys.platform == "win32":
                raise BrokenPipeError from None
            raise DiskError(f"{what} cannot be written ({error.strerror})") from None
