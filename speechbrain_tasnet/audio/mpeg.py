"""The frames of an mp3, counted: its header's number of them may be missing, or that of its first part alone.

An MPEG stream is a row of frames and nothing else: joined files are a file again, and players play it to its end.
The number of frames stands, if anywhere, in a frame that holds no sound, called Xing or Info after its letters.
Without it decoders divide the file's size by that of the first frame, which is wrong where the bit rate varies.
So the frames are walked through, each one's size being in its first four bytes.
"""

from collections.abc import Iterator
from typing import IO, NamedTuple

from speechbrain_tasnet.audio.views import Part

# kbit/s by MPEG version (1, or 2 and 2.5), layer and index, and Hz by version.
BITRATES = {
    (1, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
# A file is said to be this much longer, so that the estimate of its samples is never too small.
STRETCH = 2**40
SEARCHED = 2**16  # bytes behind a damaged frame in which the next one is looked for
HELD = 2**18  # bytes that are read at once
HAS_COUNT = 1  # flag of a Xing frame


class Frame(NamedTuple):
    """A frame's header: bytes, samples in each channel, and what must be the same in all frames of a stream."""

    size: int
    samples: int
    kind: tuple[int, int, bool]  # layer, Hz, whether there is one channel
    side: int  # bytes between the header and what a Xing frame says


def frame(header: bytes) -> Frame | None:
    """Read the header of a frame.

    Parameters
    ----------
    header : bytes
        Four of them.

    Returns
    -------
    Frame or None
        None if this is not a header, or one with a free bit rate, which does not give the frame's size.

    Examples
    --------
    >>> frame(bytes.fromhex("fffb9064"))
    Frame(size=417, samples=1152, kind=(3, 44100, False), side=32)
    """
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    index, rate, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version == 1 or layer == 4 or not 0 < index < 15 or rate == 3:
        return None
    first = version == 3
    bits, hertz, mono = BITRATES[1 if first else 2, layer][index] * 1000, RATES[version][rate], header[3] >> 6 == 3
    samples = 384 if layer == 1 else 576 if layer == 3 and not first else 1152
    size = (12 * bits // hertz + padding) * 4 if layer == 1 else samples // 8 * bits // hertz + padding
    side = (17 if mono else 32) if first else (9 if mono else 17)
    return Frame(size, samples, (layer, hertz, mono), side)


def mpeg_parts(file: IO[bytes], size: int) -> tuple[list[Part], str] | None:
    """Walk through an MPEG stream.

    Parameters
    ----------
    file : binary file
        Which can seek.
    size : int
        Its bytes.

    Returns
    -------
    tuple of list and str, or None
        The parts that are to be decoded each by itself, and what is missing of a file that is cut off. None if
        this is not an MPEG stream.
    """
    walk = _Walk(file, size)
    start = walk.begin()
    if start is None:
        return None
    parts = [_Part(start, None, None)]
    for place, found in walk.frames(start):
        current = parts[-1]
        count = walk.count_in(place, found)
        if count is not None or (current.kind not in (None, found.kind)) or current.full:
            if current.kind is not None:
                current.end = place
                parts.append(_Part(place, None, None))
                current = parts[-1]
            current.promised = count
        current.kind = found.kind
        if count is None:
            current.seen += 1
            current.samples += found.samples
    parts[-1].end = size
    # Encoders do not agree whether the count includes the frame that it stands in.
    kept = [part for part in parts if part.promised is not None or part.seen > 1 or len(parts) == 1]
    return [part.finished() for part in kept], "its last frame is incomplete" if walk.cut else ""


class _Part:
    """A part that is being walked through."""

    def __init__(self, start: int, promised: int | None, kind: tuple | None):
        self.start, self.promised, self.kind = start, promised, kind
        self.end = self.seen = self.samples = 0

    @property
    def full(self) -> bool:
        """Whether all frames that were promised are there."""
        return self.promised is not None and self.seen >= self.promised

    def finished(self) -> Part:
        if self.promised is not None:
            return Part(self.start, self.end)
        return Part(self.start, self.end, stretch=STRETCH, frames=self.samples, counted=False)


class _Walk:
    """Reads headers out of a file in large pieces."""

    def __init__(self, file: IO[bytes], size: int):
        self.file, self.size, self.cut = file, size, False
        self.held, self.place = b"", 0

    def at(self, place: int, count: int) -> bytes:
        """Return bytes of the file, fewer at its end."""
        if not self.place <= place <= place + count <= self.place + len(self.held):
            self.file.seek(place)
            self.held, self.place = self.file.read(max(HELD, count)), place
        return self.held[place - self.place : place - self.place + count]

    def begin(self) -> int | None:
        """Find the first frame: at the beginning of the file or after a tag, followed by another one."""
        place = 0
        while length := self._tag(place):
            place += length
        found = frame(self.at(place, 4))
        if found is None:
            return self._search(place) if place else None
        following = place + found.size
        return place if following >= self.size or frame(self.at(following, 4)) or self._tag(following) else None

    def frames(self, place: int) -> Iterator[tuple[int, Frame]]:
        """List the places of frames and their headers."""
        while place is not None and place < self.size:
            found = frame(self.at(place, 4))
            if found is not None:
                if place + found.size > self.size:
                    self.cut = True
                    return
                yield place, found
                place += found.size
            elif length := self._tag(place):
                place += length
            else:
                place = self._search(place + 1)

    def count_in(self, place: int, found: Frame) -> int | None:
        """Return the number of frames that a frame without sound promises; None for all others."""
        if found.kind[0] != 3:
            return None
        head = self.at(place, 4 + found.side + 12)[4 + found.side :]
        if head[:4] not in (b"Xing", b"Info") or not head[7:8] or not head[7] & HAS_COUNT:
            return None
        return int.from_bytes(head[8:12], "big") or None

    def _search(self, place: int) -> int | None:
        """Find the next two frames in a row, not far away."""
        window = self.at(place, SEARCHED)
        at = window.find(b"\xff")
        while at >= 0:
            found = frame(window[at : at + 4])
            following = found and frame(self.at(place + at + found.size, 4))
            if following and following.kind == found.kind:
                return place + at
            at = window.find(b"\xff", at + 1)
        return None

    def _tag(self, place: int) -> int:
        """Return the length of a tag with a title and the like, 0 if there is none."""
        head = self.at(place, 32)
        if head[:3] == b"ID3" and len(head) >= 10:
            size = 0
            for byte in head[6:10]:
                size = size << 7 | byte & 0x7F
            return size + 10 + (10 if head[5] & 0x10 else 0)
        if head[:3] == b"TAG":
            return 128
        if head[:8] == b"APETAGEX":
            return int.from_bytes(head[12:16], "little") + 32
        return 0
