"""A file as libsndfile is to see it: a stretch of its bytes, some of them replaced, or with a longer end."""

import io
from collections.abc import Sequence
from typing import IO, NamedTuple

# What readers of mp3 look for at the end of a file: a tag of 128 bytes.
TAIL = 128


class Part(NamedTuple):
    """A stretch of a file that is one stream of audio.

    Attributes
    ----------
    start, end : int
        Its bytes.
    patches : tuple of (int, bytes)
        Bytes to show in place of the file's own, by their offset in the part.
    stretch : int
        Bytes by which the part is said to be longer than it is. A reader that computes a number of samples from a
        size then computes too many, and reads on until nothing comes.
    frames : int, optional
        Samples in each channel, where the part tells or its walk has counted them; None: what libsndfile says.
    counted : bool
        Whether so many must come out. Otherwise nobody knows before all is read.
    """

    start: int
    end: int
    patches: tuple[tuple[int, bytes], ...] = ()
    stretch: int = 0
    frames: int | None = None
    counted: bool = True


class View(io.RawIOBase):
    """A part of a file, as a file of its own; reading it moves the position in the file.

    Parameters
    ----------
    file : binary file
        Which can seek.
    part : Part
        What to show of it.

    Attributes
    ----------
    error : OSError, optional
        Why reading has failed: libsndfile cannot pass that on and is told that the file ends here.
    """

    def __init__(self, file: IO[bytes], part: Part):
        super().__init__()
        self.file, self.part, self.position = file, part, 0
        self.size = part.end - part.start
        self.error: OSError | None = None

    def tell(self) -> int:
        """Return the position in the part."""
        return self.position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position, also beyond the end."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.size + self.part.stretch}[whence]
        self.position = max(0, base + offset)
        return self.position

    def readinto(self, buffer: memoryview) -> int:
        """Read into a buffer; fewer bytes than it takes only at the end."""
        place = self.position
        if place >= self.size + self.part.stretch - TAIL:
            place -= self.part.stretch  # the end of the file, wherever it is said to lie
        count = max(0, min(len(buffer), self.size - place))
        try:
            self.file.seek(self.part.start + place)
            data = self.file.read(count) if count else b""
        except OSError as error:
            self.error, data = error, b""
        buffer[: len(data)] = _patched(data, place, self.part.patches) if self.part.patches else data
        self.position += len(data)
        return len(data)


def _patched(data: bytes, place: int, patches: Sequence[tuple[int, bytes]]) -> bytes:
    """Replace those bytes of a stretch that begins at ``place`` which are to be others."""
    changed = bytearray(data)
    for offset, new in patches:
        begin, end = max(offset, place), min(offset + len(new), place + len(data))
        if begin < end:
            changed[begin - place : end - place] = new[begin - offset : end - offset]
    return bytes(changed)
