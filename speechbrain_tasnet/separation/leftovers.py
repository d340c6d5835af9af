"""Files of an earlier run, of other sources than those of today: beside these they would be taken for theirs."""

import os
import re
from itertools import count, takewhile
from pathlib import Path

from speechbrain_tasnet.data.segments import read_segments, to_rttm, to_seglst
from speechbrain_tasnet.errors import DiskError, InputError
from speechbrain_tasnet.separation.output_files import Destination

SPEAKER = re.compile(r"s[1-9]\d*")
TABLES = {"rttm": to_rttm, "json": to_seglst}


def leftovers(destination: Destination, mixture: Path | str, num_sources: int) -> list[Path]:
    """List the files that an earlier run has left of a mixture, and that a new one does not replace.

    They are the sources that follow those of the new run, and the tables that it does not write. A table that does
    not look exactly as written here, such as that of a corpus, is somebody else's.

    Parameters
    ----------
    destination : Destination
        Of the new run, with a file for each source.
    mixture : path-like
        What is separated.
    num_sources : int
        How many sources the new run has.

    Returns
    -------
    list of Path
        In the order in which they can be removed: a kill in between leaves no gap in the numbers of sources.
    """
    further = (destination.sources(mixture, number)[-1] for number in count(num_sources + 1))
    sources = list(takewhile(Path.is_file, further))
    unwanted = [name for name in TABLES if name not in destination.tables]
    tables = [path for path in destination.all_tables(mixture, unwanted) if _is_ours(path, Path(mixture).stem)]
    own = os.path.realpath(mixture)
    return [path for path in (*tables, *reversed(sources)) if os.path.realpath(path) != own]


def remove_leftovers(destination: Destination, mixture: Path | str, num_sources: int) -> None:
    """Remove what `leftovers` lists.

    Raises
    ------
    DiskError
        A file cannot be removed.
    """
    for path in leftovers(destination, mixture, num_sources):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise DiskError(
                f"{path}: of an earlier run, cannot be removed ({error.strerror}); delete it"
            ) from None


def _is_ours(path: Path, session: str) -> bool:
    """Return whether a table is one of sources, as they are called here."""
    if not path.is_file():
        return False
    try:
        segments = read_segments(path)
    except InputError:
        return False
    written = TABLES[path.suffix.removeprefix(".")](session, segments)
    numbered = all(SPEAKER.fullmatch(segment.speaker) for segment in segments)
    return numbered and path.read_bytes() == written.encode(errors="surrogateescape")
