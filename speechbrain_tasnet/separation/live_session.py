"""From the sound card to the sound card, until interrupted.

    microphone's callback ──► queue ──► thread: LiveSeparation.blocks ──► jitter buffer ──► loudspeaker's callback

The main thread watches the devices and shows the status.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from threading import Event, Thread
from typing import TextIO

from speechbrain_tasnet.audio.sound_card import Loudspeaker, Microphone, Pace
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.separation.live_files import LiveFiles
from speechbrain_tasnet.separation.live_separation import Levels, LiveSeparation
from speechbrain_tasnet.system.status_line import REDRAWN, StatusLine
from speechbrain_tasnet.system.termination import Termination

STEADY = 0.3  # seconds over which a device must keep its rate, give or take a third, before anything is separated
PATIENCE = 5.0  # seconds after which one that does not is taken as it is, and one that is not heard of as gone


class LiveSession:
    """A live separation between two devices.

    Parameters
    ----------
    separation : LiveSeparation
        What is done.
    microphone, loudspeaker : Microphone, Loudspeaker
        Devices, not started yet.
    pace : Pace
        How they are used.
    files : LiveFiles, optional
        Where what is heard goes, too.
    """

    def __init__(
        self,
        separation: LiveSeparation,
        microphone: Microphone,
        loudspeaker: Loudspeaker,
        pace: Pace,
        files: LiveFiles | None = None,
    ):
        self._separation, self._pace = separation, pace
        self._microphone, self._loudspeaker = microphone, loudspeaker
        self._levels = Levels(separation.num_spks)
        self._listeners = [self._levels, *([files] if files else [])]
        self._ended = Event()
        self._failure: BaseException | None = None
        self._samples = 0  # that were heard and separated
        self._busy = 0.0  # seconds of computation
        self._latency = Latency()

    def run(self, screen: TextIO) -> None:
        """Separate until an interrupt, which is how it ends, or a signal, or an error.

        Parameters
        ----------
        screen : text file
            Is told how it goes.

        Raises
        ------
        InputError
            A device is gone, or a file cannot be written.
        """
        worker = Thread(target=self._work, name="separation", daemon=True)
        status = StatusLine(screen)
        with Termination(), ExitStack() as stack:
            # The loudspeaker first: what is heard before it plays would have to wait for it from then on.
            for device in (self._loudspeaker, self._microphone):
                device.start()
                stack.callback(device.stop)
                self._settle(device)
            self._microphone.listen()
            worker.start()
            stack.callback(worker.join)
            stack.callback(self._microphone.leave)
            stack.callback(status.end)
            print(
                f"listening to {self._microphone.name}, playing on {self._loudspeaker.name}; Ctrl-C ends it",
                file=screen,
                flush=True,
            )
            with suppress(KeyboardInterrupt):
                self._watch(status)
        if self._failure:
            raise self._failure

    def lines(self) -> Iterator[str]:
        """Report what has happened, one line each; nothing if nothing was heard."""
        if not self._samples:
            return
        microphone, buffer = self._microphone, self._loudspeaker.buffer
        for samples, rate, what in (
            (microphone.lost, microphone.rate, "heard and dropped, as too much waited to be separated"),
            (buffer.late, self._loudspeaker.rate, "played as silence, as the sources came too late"),
            (buffer.skipped, self._loudspeaker.rate, "separated and skipped, as too much waited to be played"),
        ):
            if samples:
                yield f"{1e3 * samples / rate:.0f} ms were {what}"
        for device in (microphone, self._loudspeaker):
            if device.reported:
                yield f"{device.name} reported {_times(device.reported)} that it had lost samples"
        if self._separation.clipped:
            yield f"{self._separation.clipped} samples that were played were clipped at full scale"
        seconds = self._samples / microphone.rate
        factor = f", real-time factor {self._busy / seconds:.3f}" if seconds else ""
        yield f"{seconds:.1f} s of audio{factor}, {self._latency}, {self._drop_outs()} drop-outs"

    def _work(self) -> None:
        """Separate what is heard, until there is no more or something is wrong."""
        try:
            blocks = self._separation.blocks(
                self._counted(), self._microphone.rate, self._loudspeaker.rate, self._listeners
            )
            for block in blocks:
                self._loudspeaker.put(block)
        except BaseException as error:  # the main thread raises it
            self._failure = error
        finally:
            self._ended.set()

    def _counted(self) -> Iterator:
        """Yield what is heard, and count it and the time until more is asked for."""
        for block in self._microphone.blocks():
            start = time.perf_counter()
            yield block
            self._busy += time.perf_counter() - start
            self._samples += block.shape[1]

    def _settle(self, device: Microphone | Loudspeaker) -> None:
        """Wait until a device runs steadily: some do not in their first second."""
        window = max(STEADY, 4 * self._pace.chunk)
        deadline = time.monotonic() + PATIENCE + window
        while time.monotonic() < deadline:
            calls, start = device.calls, time.monotonic()
            self._ended.wait(window)
            found = (device.calls - calls) * self._pace.chunk / (time.monotonic() - start)
            if abs(found - 1) < 1 / 3:
                return

    def _watch(self, status: StatusLine) -> None:
        """Show the status until the thread ends or a device stops."""
        devices = (self._microphone, self._loudspeaker)
        calls, heard_of = {}, {}
        while not self._ended.wait(REDRAWN):
            for device in devices:
                if calls.get(device) != device.calls:
                    calls[device], heard_of[device] = device.calls, time.monotonic()
                if not device.running or time.monotonic() - heard_of[device] > PATIENCE:
                    raise InputError(f"{device.name}: the device has stopped; is it still connected?")
            self._latency.add(self._measure())
            status.show(self._line())

    def _measure(self) -> float | None:
        """Return the seconds from the converter that hears to the one that plays, of what is being played."""
        heard, played = self._microphone.heard, self._loudspeaker.played
        if not played.sample:
            return None
        # A sample of the sources is one of the mixture: which, at the rate at which that is heard?
        sample = played.sample * self._microphone.rate / self._loudspeaker.rate
        return played.time - (heard.time + (sample - heard.sample) / self._microphone.rate)

    def _line(self) -> str:
        mixture, *sources = map(_decibels, self._levels.since_last())
        levels = "  ".join([f"heard {mixture}", *(f"s{i + 1} {level}" for i, level in enumerate(sources))])
        return f"{levels}  {self._latency.now}  {self._drop_outs()} drop-outs"

    def _drop_outs(self) -> int:
        devices = (self._microphone, self._loudspeaker)
        return sum(device.reported for device in devices) + self._microphone.gaps + self._loudspeaker.buffer.gaps


class Latency:
    """Latencies that were measured.

    Example
    -------
    >>> latency = Latency()
    >>> for seconds in (0.05, None, 0.07):
    ...     latency.add(seconds)
    >>> print(latency.now, latency, sep="; ")
    latency 70 ms; latency 60 ms on average, 70 ms at most
    """

    def __init__(self):
        self._count, self._sum, self._largest, self._last = 0, 0.0, 0.0, None

    def add(self, seconds: float | None) -> None:
        """Add another one, if there is one."""
        if seconds is not None:
            self._count, self._sum, self._last = self._count + 1, self._sum + seconds, seconds
            self._largest = max(self._largest, seconds)

    @property
    def now(self) -> str:
        """Return the last one, in words."""
        return "latency not known" if self._last is None else f"latency {1e3 * self._last:.0f} ms"

    def __str__(self) -> str:
        if not self._count:
            return self.now
        return f"latency {1e3 * self._sum / self._count:.0f} ms on average, {1e3 * self._largest:.0f} ms at most"


def _decibels(level: float | None) -> str:
    return "silent" if level is None else f"{level:4.0f} dB"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
