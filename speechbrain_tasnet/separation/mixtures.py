"""Find what to separate: files, all recordings in a folder, and standard input."""

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from speechbrain_tasnet.audio.formats import AUDIO_SUFFIXES, OTHER_SUFFIXES, readable
from speechbrain_tasnet.data.folders.walk import walk
from speechbrain_tasnet.errors import InputError

STDIN = Path("/dev/stdin")


def find_mixtures(given: Sequence[Path], out: Path) -> list[Path]:
    """Replace folders by the recordings in them, at any depth, and ``-`` by standard input.

    Parameters
    ----------
    given : sequence of Path
        Files, which need not be there, folders and ``-``.
    out : Path
        Where the sources go: what is in it was separated before, if it is a folder in one of those.

    Returns
    -------
    list of Path
        Files; those of a folder sorted. Formats that cannot be read here are reported and left out.

    Raises
    ------
    InputError
        A folder has no recording in it.
    """
    return [path for place in given for path in _files(place, out)]


def _files(place: Path, out: Path) -> list[Path]:
    if str(place) == "-":
        return [STDIN]
    if not place.is_dir():
        return [place]
    paths = [path for path in walk(place) if not path.name.startswith(".")]
    if place.resolve() in out.resolve().parents:
        paths = [path for path in paths if out.resolve() not in path.resolve().parents]
    films = [path for path in paths if path.suffix.lower() in OTHER_SUFFIXES]
    if films and find_spec("av") is None:
        count = f"{len(films)} file{'s' * (len(films) > 1)} that FFmpeg reads"
        print(f"{place}: {count} left out; pip install 'speechbrain-tasnet[media]'", file=sys.stderr)
        films = []
    found = [path for path in paths if path.suffix.lower() in AUDIO_SUFFIXES]
    if not found and not films:
        raise InputError(f"{place}: no recording in it; expected audio files ({readable()})")
    return sorted([*found, *films])
