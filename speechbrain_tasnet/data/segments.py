"""Who speaks when: segments, and the two formats in which programs exchange them."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.system.files import write_text

DECIMALS = 3  # milliseconds


class Segment(NamedTuple):
    """A stretch in which somebody speaks, in seconds.

    Examples
    --------
    >>> Segment("alice", 1.0, 2.5).seconds
    1.5
    """

    speaker: str
    start: float
    end: float

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end - self.start


def to_seglst(session: str, segments: Iterable[Segment], **more: Sequence) -> str:
    """Write segments as SegLST, the JSON that meeteval reads.

    Parameters
    ----------
    session : str
        What the segments are of; spaces become underscores, as in `to_rttm`, so that both tables have one name.
    segments : iterable of Segment
        In any order.
    **more : sequence
        Further keys, with a value for each segment.

    Returns
    -------
    str
        A list of objects with ``session_id``, ``speaker``, ``start_time``, ``end_time`` and ``words``, which are
        not known.

    Examples
    --------
    >>> print(to_seglst("call", [Segment("alice", 1.0, 2.5)]), end="")
    [
     {
      "session_id": "call",
      "speaker": "alice",
      "start_time": 1.0,
      "end_time": 2.5,
      "words": ""
     }
    ]
    """
    rows = []
    for number, segment in enumerate(segments):
        start, end = round(segment.start, DECIMALS), round(segment.end, DECIMALS)
        row = {
            "session_id": _field(session),
            "speaker": segment.speaker,
            "start_time": start,
            "end_time": end,
            "words": "",
        }
        rows.append(row | {name: values[number] for name, values in more.items()})
    return json.dumps(rows, indent=1, ensure_ascii=False) + "\n"


def to_rttm(session: str, segments: Iterable[Segment]) -> str:
    """Write segments as RTTM, NIST's table that most diarisation tools read.

    Parameters
    ----------
    session : str
        What the segments are of; the format ends fields at spaces, which become underscores.
    segments : iterable of Segment
        In any order.

    Examples
    --------
    >>> print(to_rttm("call", [Segment("alice", 1.0, 2.5)]), end="")
    SPEAKER call 1 1.000 1.500 <NA> <NA> alice <NA> <NA>
    """
    lines = (
        f"SPEAKER {_field(session)} 1 {segment.start:.3f} {segment.seconds:.3f} <NA> <NA> "
        f"{_field(segment.speaker)} <NA> <NA>\n"
        for segment in segments
    )
    return "".join(lines)


def read_segments(path: Path | str, named: str = "speaker") -> list[Segment]:
    """Read segments from SegLST (``.json``) or RTTM (any other suffix).

    Parameters
    ----------
    path : path-like
        The file.
    named : str
        What the speakers are called by in SegLST: ``speaker``, or ``source``, the signal that a segment is in.

    Returns
    -------
    list of Segment
        In the order of the file.

    Raises
    ------
    InputError
        It is missing, or is neither.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    seglst = path.suffix == ".json"
    try:
        segments = _from_seglst(text, named) if seglst else _from_rttm(text)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise InputError(f"{path}: no {f'SegLST with a {named}' if seglst else 'RTTM'} ({error})") from None
    for segment in segments:
        if not 0 <= segment.start <= segment.end < float("inf"):
            raise InputError(
                f"{path}: a segment from {segment.start} to {segment.end} s; expected 0 <= start <= end"
            )
    return segments


def nobody_speaks(path: Path) -> bool:
    """Return whether a file of segments, see `read_segments`, has none."""
    return not read_segments(path)


def _from_seglst(text: str, named: str) -> list[Segment]:
    return [Segment(str(row[named]), float(row["start_time"]), float(row["end_time"])) for row in json.loads(text)]


def _from_rttm(text: str) -> list[Segment]:
    rows = [line.split() for line in text.splitlines()]
    spoken = [row for row in rows if row and row[0] == "SPEAKER"]
    return [Segment(row[7], float(row[3]), float(row[3]) + float(row[4])) for row in spoken]


def write_segments(path: Path | str, session: str, segments: Sequence[Segment]) -> None:
    """Write segments as SegLST (``.json``) or RTTM (any other suffix), whole or not at all.

    Parameters
    ----------
    path : path-like
        The file; it is replaced if it is there.
    session : str
        What the segments are of, such as the name of the recording; spaces become underscores.
    segments : sequence of Segment
        In any order, such as the ``segments`` of `Voices`.

    Raises
    ------
    DiskError
        It cannot be written.
    """
    write_text(path, (to_seglst if Path(path).suffix == ".json" else to_rttm)(session, segments))


def _field(text: str) -> str:
    """Return a text as a field of RTTM holds it."""
    return "_".join(text.split()) or "<NA>"
