"""Headers that state how many bytes of sound follow: too many where the file is cut off, or nobody knew.

A program that writes into a pipe cannot go back and note the size. It leaves 0, or nearly the largest number that
fits; what follows is sound up to the end of the file. A wav of more than 4 GiB states the rest of a division.
"""

import re
import struct
from collections.abc import Callable, Iterator
from typing import IO, NamedTuple

from speechbrain_tasnet.audio.views import Part

# Programs that write into a pipe state about this much or more.
UNKNOWN = 0x7F000000
WRAP = 2**32
LARGEST = 2**50  # bytes, beyond which a size of 64 bits was not counted
WIDE = 28  # where an RF64 states the size that does not fit into 32 bits
HEAD = 4096  # bytes in which the fixed headers lie
MOST_CHUNKS = 10_000


class Layout(NamedTuple):
    """What a file holds.

    Attributes
    ----------
    parts : list of Part
        Streams in a row.
    missing : str
        What is not there of a file that is cut off; empty if it is whole, as far as can be told.
    """

    parts: list[Part]
    missing: str = ""


class _Chunks(NamedTuple):
    """How a file that consists of chunks is written: names, then sizes."""

    first: int  # offset of the first chunk
    name: int  # bytes of a name
    size: str  # as struct has it
    sound: bytes  # begin of the name of the chunk that holds the sound
    own: int = 0  # bytes of a chunk's head that its size counts, too
    align: int = 2  # chunks begin at multiples of it

    @property
    def head(self) -> int:
        return self.name + struct.calcsize(self.size)


_RIFF = _Chunks(12, 4, "<I", b"data")
_CHUNKED = {
    b"RIFF": _RIFF,
    b"RF64": _RIFF,
    b"BW64": _RIFF,
    b"RIFX": _RIFF._replace(size=">I"),
    b"FORM": _RIFF._replace(size=">I", sound=b"SSND"),
    b"riff": _Chunks(40, 16, "<q", b"data\xf3\xac\xd3\x11", own=24, align=8),
    b"caff": _Chunks(8, 4, ">q", b"data", align=1),
}


def container_layout(file: IO[bytes], size: int) -> Layout:
    """Compare the bytes of sound that a header states with those that are there.

    Parameters
    ----------
    file : binary file
        Which can seek.
    size : int
        Its bytes.

    Returns
    -------
    Layout
        One part; of a file that is no container we know, the whole.
    """
    file.seek(0)
    head = file.read(HEAD)
    if (kind := _CHUNKED.get(head[:4])) is not None:
        if head[8:12] in (b"8SVX", b"16SV"):
            kind = kind._replace(sound=b"BODY")
        return _chunked(file, size, kind, head)
    for magic, expected in _FIXED.items():
        if head.startswith(magic):
            try:
                end = expected(head, file, size)
            except (struct.error, ValueError, IndexError):
                end = None
            return Layout([Part(0, size)], _missing(size, end))
    return Layout([Part(0, size)])


def _chunked(file: IO[bytes], size: int, kind: _Chunks, head: bytes) -> Layout:
    whole = [Part(0, size)]
    for name, place, stated in _walk(file, size, kind, kind.first):
        if not name.startswith(kind.sound):
            continue
        field = place - struct.calcsize(kind.size)  # where the size stands
        there = size - place
        if head[:4] in (b"RF64", b"BW64") and stated == WRAP - 1 and head[12:16] == b"ds64":
            stated, field = struct.unpack("<Q", head[WIDE : WIDE + 8])[0], WIDE
        if 0 < stated <= there and there - stated < WRAP:
            return Layout(whole)
        if there < stated < (UNKNOWN if kind.size[1] == "I" and field != WIDE else LARGEST):
            return Layout(whole, f"{there} bytes of audio instead of {stated}")
        if stated == 0 and (there == 0 or _is_chain(file, size, kind, place)):
            return Layout(whole)
        if UNKNOWN <= stated < WRAP and stated > there:
            return Layout(whole)  # libsndfile reads what there is
        width = "<Q" if field == WIDE else kind.size
        known = there + kind.own if width[1] in "qQ" else min(there, WRAP - 1)
        return Layout([Part(0, size, ((field, struct.pack(width, known)),))])
    return Layout(whole)


def _walk(file: IO[bytes], size: int, kind: _Chunks, place: int) -> Iterator[tuple[bytes, int, int]]:
    """List chunks: name, where the content begins, and how long it is said to be."""
    for _ in range(MOST_CHUNKS):
        file.seek(place)
        head = file.read(kind.head)
        if len(head) < kind.head:
            return
        stated = struct.unpack(kind.size, head[kind.name :])[0] - kind.own
        yield head[: kind.name], place + kind.head, stated
        if stated < 0:
            return
        place += kind.head + stated
        place += -place % kind.align


def _is_chain(file: IO[bytes], size: int, kind: _Chunks, place: int) -> bool:
    """Return whether nothing but chunks follows, up to the end of the file."""
    end = place
    for name, begin, stated in _walk(file, size, kind, place):
        if not name[:4].isascii() or not name[:4].decode("ascii").isprintable() or stated < 0:
            return False
        end = begin + stated
        if end > size:
            return False
    return 0 <= size - end < kind.align + kind.head


def _missing(size: int, end: int | None) -> str:
    return "" if end is None or end <= size else f"{size} bytes instead of {end}"


def _au(head: bytes, file: IO[bytes], size: int) -> int | None:
    start, stated = struct.unpack((">" if head[:1] == b"." else "<") + "II", head[4:12])
    return None if stated >= UNKNOWN else start + stated


def _nist(head: bytes, file: IO[bytes], size: int) -> int | None:
    def value(name: bytes, default: int) -> int:
        found = re.search(name + rb" -(?:i|s1) (\d+)", head)
        return int(found[1]) if found else default

    if b",embedded-" in head:
        return None
    return int(head[8:16]) + value(b"sample_count", 0) * value(b"channel_count", 1) * value(b"sample_n_bytes", 2)


def _voc(head: bytes, file: IO[bytes], size: int) -> int:
    place = struct.unpack("<H", head[20:22])[0]
    while place < size:
        file.seek(place)
        block = file.read(4)
        if block[:1] == b"\0" or len(block) < 4:
            break
        place += 4 + int.from_bytes(block[1:], "little")
    return place


def _avr(head: bytes, file: IO[bytes], size: int) -> int:
    stereo, bits, frames = *struct.unpack(">HH", head[12:16]), struct.unpack(">I", head[26:30])[0]
    return 128 + frames * (2 if stereo else 1) * bits // 8


def _mpc2k(head: bytes, file: IO[bytes], size: int) -> int:
    return 42 + struct.unpack("<I", head[30:34])[0] * (2 if head[21] else 1) * 2


def _sds(head: bytes, file: IO[bytes], size: int) -> int:
    """Return the end by the number of samples: blocks of 127 bytes hold 120 of 7 bits each."""
    frames = head[10] | head[11] << 7 | head[12] << 14
    per_block = 120 // -(-head[6] // 7)
    return 21 + -(-frames // per_block) * 127


def _mat5(head: bytes, file: IO[bytes], size: int) -> int:
    place = 128
    order = "<" if head[126:128] == b"IM" else ">"
    while place < size:
        file.seek(place)
        block = file.read(8)
        if len(block) < 8:
            return place + 8
        place += 8 + struct.unpack(order + "I", block[4:])[0]
    return place - 8  # by which libsndfile itself states too much


_FIXED: dict[bytes, Callable[[bytes, IO[bytes], int], int | None]] = {
    b".snd": _au,
    b"dns.": _au,
    b"NIST_1A": _nist,
    b"Creative Voice File\x1a": _voc,
    b"2BIT": _avr,
    b"\xf0\x7e": _sds,
    b"\x01\x04": _mpc2k,
    b"MATLAB 5.0 MAT-file": _mat5,
}
