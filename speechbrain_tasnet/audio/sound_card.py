"""The sound card, by PortAudio: its devices, and recording and playing on two of them.

Each device has its own stream, because the two may be different cards, with different clocks. The callbacks run
in threads of PortAudio's that must not wait: they copy and count, and all else is done elsewhere.
"""

import time
from collections.abc import Iterator
from queue import Empty, Full, Queue
from types import ModuleType
from typing import NamedTuple

import numpy as np

from speechbrain_tasnet.audio.jitter_buffer import JitterBuffer
from speechbrain_tasnet.errors import InputError

# A whole multiple of the rates of most models, and that of most sound cards: resampling then delays least.
USUAL_RATE = 48000
WAITING = 1.0  # seconds of sound that may wait to be separated
POLL = 0.1  # seconds after which a thread that waits for sound looks whether there will be any


class Pace(NamedTuple):
    """Seconds that devices hand over at once, and that each of them, and the buffer between them, may hold."""

    chunk: float
    buffer: float


class Moment(NamedTuple):
    """When a sample was at the converter: its number, and seconds of `time.perf_counter`."""

    sample: int
    time: float


def list_devices() -> Iterator[str]:
    """List the devices, one per line: number, name, channels, and which are the defaults.

    Raises
    ------
    InputError
        There is no PortAudio, or no device.
    """
    library = _sounddevice()
    devices, apis = library.query_devices(), library.query_hostapis()
    if not devices:
        raise InputError("no sound card: PortAudio finds no device; connect one, or start the sound server")
    for device in devices:
        ways = [
            f"{device[f'max_{way}_channels']} {way}{' (default)' * (device['index'] == default)}"
            for way, default in zip(("input", "output"), library.default.device, strict=True)
            if device[f"max_{way}_channels"]
        ]
        yield f"{device['index']:3d}  {device['name']} ({apis[device['hostapi']]['name']}): {', '.join(ways)}"


class _Device:
    """What a microphone and a loudspeaker have in common."""

    way: str

    def __init__(self, device: str | None, pace: Pace, channels: int, least: int):
        self._library, self._pace = _sounddevice(), pace
        found = _find(self._library, device, self.way)
        self.name, self._index, most = found["name"], found["index"], found[f"max_{self.way}_channels"]
        if most < least:
            raise InputError(f"{self.name}: {most} {self.way} channels, {least} needed; choose another device")
        self.channels = min(channels, most)
        self.rate = self._rate(round(found["default_samplerate"]))
        self.calls = 0  # of the callback, by which it is known whether the device still works
        self.reported = 0  # how often the sound card said that it has lost samples

    def _rate(self, default: int) -> int:
        """Return the usual rate, if the device has it, or else its own."""
        check = getattr(self._library, f"check_{self.way}_settings")
        try:
            check(self._index, self.channels, "float32", samplerate=USUAL_RATE)
        except self._library.PortAudioError:
            return default
        return USUAL_RATE

    def start(self) -> None:
        """Open the device and let it run.

        Raises
        ------
        InputError
            It cannot be opened.
        """
        stream = getattr(self._library, f"{self.way.capitalize()}Stream")
        try:
            self._stream = stream(
                samplerate=self.rate,
                blocksize=max(1, round(self._pace.chunk * self.rate)),
                device=self._index,
                channels=self.channels,
                dtype="float32",
                latency=self._pace.buffer,
                callback=self._call,
            )
            self._latency = self._stream.latency
            self._stream.start()
        except self._library.PortAudioError as error:
            raise InputError(f"{self.name}: cannot be opened ({error.args[0]}); choose another device") from None

    @property
    def running(self) -> bool:
        """Whether the device has not ended by itself."""
        return self._stream.active

    def stop(self) -> None:
        """Close the device."""
        self._stream.close(ignore_errors=True)

    def _call(self, *what) -> None:
        raise NotImplementedError


class Microphone(_Device):
    """A device that is listened to.

    Parameters
    ----------
    device : str, optional
        Number or part of the name; by default the system's.
    pace : Pace
        How it is used.
    channels : int
        As many are needed.

    Attributes
    ----------
    name, rate, channels
        Of the device; Hz.
    lost, gaps : int
        Samples that were dropped as too many waited, and how often.
    heard : Moment
        Of the first sample of the last block.

    Raises
    ------
    InputError
        There is no such device.
    """

    way = "input"

    def __init__(self, device: str | None, pace: Pace, channels: int):
        super().__init__(device, pace, channels, least=channels)
        self.lost = self.gaps = 0
        self.heard = Moment(0, 0.0)
        self._samples = 0
        self._listening = self._dropping = False
        self._queue: Queue[np.ndarray] = Queue(max(2, round(WAITING / pace.chunk)))

    def listen(self) -> None:
        """Start keeping the input."""
        self._listening = True

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield what is heard from `listen` to `leave`, [channels, time] each."""
        while self._listening or not self._queue.empty():
            try:
                yield self._queue.get(timeout=POLL).T
            except Empty:
                continue

    def leave(self) -> None:
        """Stop keeping the input."""
        self._listening = False

    def _call(self, samples: np.ndarray, frames: int, moments, status) -> None:
        self.calls += 1
        if not self._listening:
            return
        self.reported += bool(status)
        age = moments.currentTime - moments.inputBufferAdcTime if moments.inputBufferAdcTime else self._latency
        try:
            self._queue.put_nowait(samples.copy())
        except Full:
            self.lost += frames
            self.gaps += not self._dropping
            self._dropping = True
            return
        self._dropping = False
        self.heard = Moment(self._samples, time.perf_counter() - age)
        self._samples += frames


class Loudspeaker(_Device):
    """A device that is played on, in stereo if it can.

    Parameters
    ----------
    device : str, optional
        Number or part of the name; by default the system's.
    pace : Pace
        How it is used.
    least : int
        Channels that are needed.

    Attributes
    ----------
    name, rate, channels
        Of the device; Hz.
    buffer : JitterBuffer
        What waits to be played.
    played : Moment
        Of the first sample of the last block.

    Raises
    ------
    InputError
        There is no such device.
    """

    way = "output"

    def __init__(self, device: str | None, pace: Pace, least: int):
        super().__init__(device, pace, 2, least)
        cushion = round(max(pace) * self.rate)
        self.buffer = JitterBuffer(cushion, 2 * cushion + 2 * round(pace.chunk * self.rate))
        self.played = Moment(0, 0.0)

    def put(self, block: np.ndarray) -> None:
        """Play samples [channels, time] as soon as those before them are; one channel is heard on both sides."""
        self.buffer.put(np.broadcast_to(block.T, (block.shape[1], self.channels)))

    def _call(self, out: np.ndarray, frames: int, moments, status) -> None:
        self.calls += 1
        ahead = moments.outputBufferDacTime - moments.currentTime if moments.outputBufferDacTime else self._latency
        self.buffer.take(out)
        self.reported += bool(status) and self.buffer.played > 0
        self.played = Moment(self.buffer.played - frames, time.perf_counter() + ahead)


def _sounddevice() -> ModuleType:
    try:
        import sounddevice
    except ImportError:
        raise InputError(
            "sounddevice: not installed, but needed for the sound card; pip install 'speechbrain-tasnet[live]'"
        ) from None
    except OSError as error:  # so it says that its library is missing
        raise InputError(
            f"{error}; install PortAudio, on Debian and Ubuntu by `apt install libportaudio2`"
        ) from None
    return sounddevice


def _find(library: ModuleType, device: str | None, way: str) -> dict:
    """Look up a device by its number, a part of its name, or as the system's own."""
    try:
        return library.query_devices(int(device) if device and device.isdecimal() else device, way)
    except (ValueError, library.PortAudioError) as error:
        if device is None:
            raise InputError(
                f"no sound card: PortAudio finds no {way} device; connect one, or start the sound server"
            ) from None
        reason = str(error.args[0]).splitlines()[0].rstrip(":")
        raise InputError(f"--{way} {device}: {reason}; `tasnet live --devices` lists them") from None
