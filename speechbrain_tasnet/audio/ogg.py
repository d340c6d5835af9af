"""The pages of an Ogg file: where one stream ends and the next begins, and whether the last one ends at all.

An Ogg file (Vorbis, Opus, FLAC) is a row of pages, each with the number of its stream and three flags; the last
page of a stream says so. Files may be joined: whole streams in a row, of which libsndfile decodes only the first.
"""

from typing import IO

from speechbrain_tasnet.audio.views import Part

HEAD = 27  # bytes of a page before its table of sizes
FIRST, LAST = 2, 4  # flags of a page


def ogg_parts(file: IO[bytes], size: int) -> tuple[list[Part], str] | None:
    """Walk through the pages of an Ogg file.

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
        this is not an Ogg file.
    """
    file.seek(0)
    if file.read(4) != b"OggS":
        return None
    starts, place, open_streams, missing = [0], 0, set(), ""
    while place < size:
        file.seek(place)
        head = file.read(HEAD)
        if head[:4] != b"OggS":
            # What some programs append; libsndfile finds the next page behind what is damaged.
            place = _next_page(file, place + 1, size)
            continue
        table = file.read(head[26]) if len(head) == HEAD else b""
        following = place + HEAD + len(table) + sum(table)
        if len(head) < HEAD or len(table) < head[26] or following > size:
            missing = "its last page is incomplete"
            break
        stream, flags = head[14:18], head[5]
        if flags & FIRST:
            if place and not open_streams:
                starts.append(place)
            open_streams.add(stream)
        if flags & LAST:
            open_streams.discard(stream)
        place = following
    if open_streams and not missing:
        missing = "the last page of its stream is not there"
    ends = [*starts[1:], size]
    return [Part(start, end) for start, end in zip(starts, ends, strict=True)], missing


def _next_page(file: IO[bytes], place: int, size: int) -> int:
    """Find the page that begins next."""
    while place < size:
        file.seek(place)
        found = file.read(2**16 + 3).find(b"OggS")
        if found >= 0:
            return place + found
        place += 2**16
    return size
