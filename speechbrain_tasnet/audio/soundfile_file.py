"""Audio files that soundfile reads, read to their end, whatever their headers say."""

import os
import re
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import numpy as np
import soundfile

from speechbrain_tasnet.audio.audio_file import CHECK, FFMPEG, RESCUE, RESTORE, AudioFile
from speechbrain_tasnet.audio.formats import AUDIO_SUFFIXES
from speechbrain_tasnet.audio.layout import layout_of
from speechbrain_tasnet.audio.views import View
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.system import lfs

MOST_FRAMES = 2**50  # more is a number that nobody has counted
# What libsndfile remarks in its log upon files that are cut off, and reads nevertheless.
CUT = re.compile(r"File seems to be truncated|Data length \d+ should be")
UNRECOGNISED = 1  # libsndfile's SF_ERR_UNRECOGNISED_FORMAT


class UnknownFormatError(InputError):
    """A file is of no format that soundfile reads."""


class _Stream(soundfile.SoundFile):
    """A stream that is read from its begin to its end."""

    def seekable(self) -> bool:
        """Return False: soundfile would seek after every read to where it is, and in an mp3 that makes a click."""
        return False


class SoundFileAudio(AudioFile):
    """A file that soundfile reads.

    Parameters
    ----------
    path : path-like
        For messages.
    file : binary file
        What is in it; it becomes this object's, which closes it.

    Raises
    ------
    UnknownFormatError
        It is nothing that soundfile reads.
    InputError
        It is cut short, holds no samples, or has a rate above 768 kHz.
    """

    def __init__(self, path: Path | str, file: IO[bytes]):
        self.name, self._file = str(path), file
        with ExitStack() as opened:
            try:
                self._layout = layout_of(self._file, self._file.seek(0, os.SEEK_END))
            except OSError as error:
                raise InputError(f"{self.name}: cannot be read ({error.strerror}); {RESTORE}") from None
            self._number, self._read_in_part, self._total = 0, 0, 0
            self._open_part()
            opened.callback(lambda: self._stream.close())
            self.samplerate, self.channels = self._stream.samplerate, self._stream.channels
            self.format, self.subtype = self._stream.format, self._stream.subtype
            self.frames, self.exact = self._promised()
            self._check()
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Close the file."""
        self._opened.close()
        self._file.close()

    def read(self, size: int) -> np.ndarray:
        """Read on, see `AudioFile.read`."""
        while True:
            try:
                samples = self._stream.read(size, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                raise self._broken(error) from None
            if self._view.error is not None:
                raise InputError(f"{self.name}: cannot be read ({self._view.error.strerror}); {RESTORE}")
            self._read_in_part += len(samples)
            self._total += len(samples)
            if len(samples):
                return samples
            self._end_part()
            if self._number + 1 == len(self._layout.parts):
                if self._total == 0:
                    raise InputError(f"{self.name}: holds no samples; {RESTORE}")
                return samples
            self._number += 1
            self._stream.close()
            self._open_part()
            self._check_same(self._stream.samplerate, self._stream.channels, self._total)

    def _open_part(self) -> None:
        part = self._layout.parts[self._number]
        self._view, self._read_in_part = View(self._file, part), 0
        try:
            self._stream = _Stream(self._view)
        except soundfile.LibsndfileError as error:
            raise self._broken(error) from None

    def _promised(self) -> tuple[int, bool]:
        """Return the samples of all parts, and whether so many will come."""
        parts = self._layout.parts
        frames = 0
        for part in parts:
            # For a file without a count, libsndfile's is not reliable.
            known = part.frames if part.frames is not None else self._stream.frames if len(parts) == 1 else 0
            frames += known if 0 < known < MOST_FRAMES else 0
        return frames, len(parts) == 1 and parts[0].counted and frames > 0

    def _check(self) -> None:
        """Refuse what a header promises and no file keeps."""
        missing = self._layout.missing
        if not missing and (remark := CUT.search(self._stream.extra_info)):
            missing = remark[0]
        if missing:
            raise InputError(f"{self.name}: cut short, {missing}; {RESCUE}")
        if self._stream.frames == 0 and len(self._layout.parts) == 1:
            raise InputError(f"{self.name}: holds no samples; {RESTORE}")
        self._check_rate()

    def _end_part(self) -> None:
        """Refuse a part of which less has come than was promised."""
        part = self._layout.parts[self._number]
        promised = part.frames if part.frames is not None else self._stream.frames
        if part.counted and promised < MOST_FRAMES and self._read_in_part < promised:
            raise InputError(
                f"{self.name}: cut short, {self._read_in_part} samples instead of {promised}; {RESCUE}"
            )

    def _broken(self, error: soundfile.LibsndfileError) -> InputError:
        """Return what is wrong with a file that is not decoded."""
        begun = hasattr(self, "samplerate")
        if self._layout.missing:
            return InputError(f"{self.name}: cut short, {self._layout.missing}; {RESCUE}")
        reason = error.error_string.strip().rstrip(".") or "damaged or cut short"
        if begun:
            return InputError(f"{self.name}: cannot be decoded ({reason}); {RESCUE}")
        if lfs.begins_as_pointer(self._file):  # of a pipe the copy, because it can be read only once
            return InputError(f"{self.name}: {lfs.WAY_OUT}")
        way_out = CHECK if Path(self.name).suffix.lower() in AUDIO_SUFFIXES else FFMPEG
        kind = UnknownFormatError if error.code == UNRECOGNISED else InputError
        return kind(f"{self.name}: cannot be read as audio ({reason}); {way_out}")
