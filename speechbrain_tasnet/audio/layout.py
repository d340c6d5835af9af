"""What a file of audio holds: one stream or several in a row, whole or cut off, whatever its header says."""

from typing import IO

from speechbrain_tasnet.audio.containers import Layout, container_layout
from speechbrain_tasnet.audio.mpeg import mpeg_parts
from speechbrain_tasnet.audio.ogg import ogg_parts
from speechbrain_tasnet.audio.views import Part

# A FLAC begins with its name, the head of its first block and, in bytes 8 to 25, what it states of the stream:
# from the middle of byte 21 on the number of samples, in 36 bits.
FLAC_HEAD = 26
COUNT = 21


def layout_of(file: IO[bytes], size: int) -> Layout:
    """Find out how a file is to be read.

    Parameters
    ----------
    file : binary file
        Which can seek.
    size : int
        Its bytes.

    Returns
    -------
    Layout
        Parts that are decoded each by itself, and what is missing of a file that is cut off.
    """
    for walk in (ogg_parts, mpeg_parts):
        if found := walk(file, size):
            parts, missing = found
            return Layout(parts, missing)
    file.seek(0)
    head = file.read(FLAC_HEAD)
    if head[:4] == b"fLaC" and len(head) == FLAC_HEAD:
        return Layout([_flac(head, size)])
    return container_layout(file, size)


def _flac(head: bytes, size: int) -> Part:
    """Hide the number of samples: a decoder stops there, and what follows would be lost."""
    frames = int.from_bytes(head[COUNT:], "big") & (1 << 36) - 1
    hidden = bytes([head[COUNT] & 0xF0, 0, 0, 0, 0])
    return Part(0, size, ((COUNT, hidden),), frames=frames or None, counted=frames > 0)
