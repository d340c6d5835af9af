"""Audio that soundfile does not read, by FFmpeg's libraries (PyAV): m4a, aac, webm, wma, the sound of films.

What an encoder has put before and after the audio is left out, as players do. Where audio begins late or pauses,
as the timestamps say, there is silence, and the audio of a film lasts as long as its video: what is made of it
can be put back.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from speechbrain_tasnet.audio.audio_file import CHECK, FFMPEG, RESCUE, RESTORE, AudioFile
from speechbrain_tasnet.audio.formats import OTHER_SUFFIXES
from speechbrain_tasnet.audio.pcm import as_float
from speechbrain_tasnet.errors import InputError

if TYPE_CHECKING:
    import av

# FFmpeg's names of what is opened. Playlists are not among them: they would have other files and addresses opened.
FORMATS = (
    "3gp", "aac", "ac3", "amr", "amrnb", "amrwb", "ape", "asf", "avi", "dsf", "flv", "m4a", "matroska", "mov",
    "mp4", "mpeg", "mpegts", "ogg", "rm", "shn", "tta", "webm", "wv",
)  # fmt: skip
INSTALL = f"pip install 'speechbrain-tasnet[media]' reads such files, or {FFMPEG}"
BLOCK = 2**16  # samples of silence that are made at once
GAP = (0.1, 60.0)  # seconds; shorter ones are jitter, and at longer ones a clock has begun again
SHORT = 0.25  # seconds that may be missing at the end of what a file promises


class MediaAudio(AudioFile):
    """The first track of sound in a file that FFmpeg's libraries read.

    Parameters
    ----------
    path : path-like
        For messages.
    file : binary file
        What is in it; it becomes this object's, which closes it.
    unknown : InputError
        What to raise where they do not read it either.

    Raises
    ------
    InputError
        It is not audio, there is no sound in it, or PyAV is not installed.
    """

    def __init__(self, path: Path | str, file: IO[bytes], unknown: InputError):
        self.name, self._file = str(path), file
        with ExitStack() as opened:
            self._container = opened.enter_context(_open(path, file, unknown))
            self.format = self._container.format.name
            if not self._container.streams.audio:
                raise InputError(f"{self.name}: has no audio track; {CHECK}")
            self._stream = self._container.streams.audio[0]
            self.subtype = self._stream.codec_context.name
            self._frames = self._decoded()
            # Only what is decoded says its rate: that of HE-AAC is twice what its header has.
            first = next(self._frames, None)
            if first is None:
                raise InputError(f"{self.name}: holds no samples; {RESTORE}")
            self.samplerate, self.channels = first.sample_rate, first.layout.nb_channels
            self._check_rate()
            self.exact, self.frames = False, round(self._promised() * self.samplerate)
            self._blocks = self._samples(first)
            self._waiting = np.zeros((0, self.channels), np.float32)
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Close the file."""
        self._opened.close()
        self._file.close()

    def read(self, size: int) -> np.ndarray:
        """Read on, see `AudioFile.read`."""
        while not len(self._waiting):
            block = next(self._blocks, None)
            if block is None:
                return self._waiting
            self._waiting = block
        taken, self._waiting = self._waiting[:size], self._waiting[size:]
        return taken

    def _samples(self, first: "av.AudioFrame") -> Iterator[np.ndarray]:
        """Yield the audio, [time, channels], from the beginning of the file."""
        done, origin = 0, (self._container.start_time or 0) / 1e6
        end = self._end(origin)
        for frame in chain([first], self._frames):
            self._check_same(frame.sample_rate, frame.layout.nb_channels, done)
            late = 0.0 if frame.time is None else frame.time - origin - done / self.samplerate
            if GAP[0] < late < GAP[1]:
                yield from self._silence(missing := round(late * self.samplerate))
                done += missing
            samples = _as_float(frame)[: max(end - done, 0)]
            done += len(samples)
            if len(samples):
                yield samples
        promised = self._promised()
        if self._container.streams.video:
            yield from self._silence(max(round(promised * self.samplerate) - done, 0))
        elif done < (promised - SHORT) * self.samplerate:
            raise InputError(
                f"{self.name}: cut short, {done / self.samplerate:.2f} s instead of {promised:.2f}; {RESCUE}"
            )

    def _decoded(self) -> Iterator["av.AudioFrame"]:
        import av

        try:
            yield from self._container.decode(self._stream)
        except av.FFmpegError as error:
            raise InputError(f"{self.name}: cannot be decoded ({error.strerror}); {RESCUE}") from None

    def _silence(self, count: int) -> Iterator[np.ndarray]:
        for begin in range(0, count, BLOCK):
            yield np.zeros((min(BLOCK, count - begin), self.channels), np.float32)

    def _end(self, origin: float) -> int:
        """Return the sample behind which there is but an encoder's padding, as far as the file says."""
        stream = self._stream
        if stream.duration is None or stream.start_time is None:
            return sys.maxsize
        seconds = float((stream.start_time + stream.duration) * stream.time_base) - origin
        return round(seconds * self.samplerate)

    def _promised(self) -> float:
        """Return how many seconds there are, as far as the file says; 0 where it does not."""
        if self._container.streams.video or self._stream.duration is None:
            whole = self._container.duration
            # Without an index it is guessed from the bits a second.
            guessed = self.format in ("aac", "ac3", "amr", "mpeg", "mpegts")
            return 0.0 if whole is None or guessed else whole / 1e6
        return float(self._stream.duration * self._stream.time_base)


def _open(path: Path | str, file: IO[bytes], unknown: InputError) -> "av.container.InputContainer":
    """Open what FFmpeg's libraries read, and nothing besides this file."""
    try:
        import av
    except ImportError:
        raise InputError(str(unknown).replace(FFMPEG, INSTALL)) from None
    av.logging.set_level(None)  # what is wrong is said by errors
    file.seek(0)
    options = {"format_whitelist": ",".join(FORMATS), "protocol_whitelist": "none"}
    try:
        return av.open(file, metadata_errors="ignore", options=options)
    except (av.FFmpegError, ValueError) as error:
        if Path(path).suffix.lower() not in OTHER_SUFFIXES:
            raise unknown from None
        reason = getattr(error, "strerror", error)
        raise InputError(f"{path}: cannot be read as audio ({reason}); {CHECK}") from None


def _as_float(frame: "av.AudioFrame") -> np.ndarray:
    """Return the samples of a frame, [time, channels], float32 with full scale at 1."""
    samples = frame.to_ndarray()  # [channels, time], or, where they are interleaved, [1, time * channels]
    samples = samples.T if frame.format.is_planar else samples.reshape(-1, frame.layout.nb_channels)
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128) / 128
    return as_float(samples)
