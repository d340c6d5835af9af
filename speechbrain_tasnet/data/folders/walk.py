"""Find the audio in a folder, at any depth: the same walk for speech and noise, and what it leaves out."""

import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from speechbrain_tasnet.audio.formats import AUDIO_SUFFIXES, OTHER_SUFFIXES

# Where macOS's archives keep what is not the files themselves, under the files' names.
NOT_AUDIO = "__MACOSX"


@dataclass
class FoundAudio:
    """What a walk through a folder has found.

    Attributes
    ----------
    files : list of Path
        Audio that soundfile reads, sorted.
    left_out : Counter
        How many other files there are that hold sound, and how many are of no use, by what is wrong with them.
    """

    files: list[Path] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def find_audio(folder: Path) -> FoundAudio:
    """Find the audio in a folder and all folders in it.

    Links are followed, to folders as well, each folder once. Hidden files and folders are left out. Files belong
    to the audio whose suffix is one of a format that soundfile reads, in either case.

    Parameters
    ----------
    folder : Path
        Where to look.

    Returns
    -------
    FoundAudio
        The audio, and what might have been some.
    """
    found = FoundAudio()
    for path in walk(folder, found.left_out):
        suffix = path.suffix.lower()
        if path.name.startswith("."):
            continue
        if suffix in AUDIO_SUFFIXES:
            if path.is_file():
                found.files.append(path)
            else:
                found.left_out[f"{suffix}: {{}} behind links that lead nowhere"] += 1
        elif suffix in OTHER_SUFFIXES:
            found.left_out[f"{suffix}: {{}} that soundfile cannot read; convert with ffmpeg"] += 1
    found.files.sort()
    return found


def audio_files(folder: Path) -> list[Path]:
    """List the audio in a folder and all folders in it, as `find_audio` finds it, sorted."""
    return find_audio(folder).files


def is_audio(path: Path) -> bool:
    """Return whether a file is one that `find_audio` takes, by its name."""
    return path.suffix.lower() in AUDIO_SUFFIXES and not path.name.startswith(".") and path.is_file()


def passed_over(name: str) -> bool:
    """Return whether a folder of that name is left out."""
    return name.startswith(".") or name == NOT_AUDIO


def left_out(found: Iterable[FoundAudio]) -> str:
    """Return what was left out, as a part of a sentence; nothing if that is nothing.

    Example
    -------
    >>> left_out([FoundAudio([], Counter({".m4a: {} that soundfile cannot read; convert with ffmpeg": 12}))])
    ' (left out: .m4a: 12 files that soundfile cannot read; convert with ffmpeg)'
    """
    counts = sum((each.left_out for each in found), Counter())
    kinds = [kind.format(f"{count} file{'s' * (count != 1)}") for kind, count in sorted(counts.items())]
    return f" (left out: {'; '.join(kinds)})" if kinds else ""


def tell(folder: Path, found: Iterable[FoundAudio], speakers: str = "", loose: int = 0) -> None:
    """Print what was taken from a folder and what was left out, in one line on standard error.

    Parameters
    ----------
    folder : Path
        Where it was.
    found : iterable of FoundAudio
        What was in it.
    speakers : str
        Whose it is, in words.
    loose : int
        Files that belong to no speaker.
    """
    found = list(found)
    others = Counter({"in no speaker's folder: {}": loose} if loose else {})
    rest = left_out([*found, FoundAudio([], others)])
    of = f" of {speakers}" if speakers else ""
    print(f"{folder}: {sum(len(each.files) for each in found)} files{of} taken{rest}", file=sys.stderr)


def walk(folder: Path, skipped: Counter[str] | None = None) -> Iterator[Path]:
    """List the files of a folder and of all folders in it; hidden folders are left out, links are followed once.

    Parameters
    ----------
    folder : Path
        Where to begin.
    skipped : Counter, optional
        Counts the folders that cannot be read.

    Yields
    ------
    Path
        In no order.
    """
    skipped = Counter() if skipped is None else skipped

    def unreadable(error: OSError) -> None:
        skipped[f"folders that cannot be read ({error.strerror}), {{}} or more"] += 1

    seen = {os.path.realpath(folder)}
    for home, folders, names in os.walk(folder, followlinks=True, onerror=unreadable):
        # What a link leads back to would be walked without end.
        inside = {name: os.path.realpath(os.path.join(home, name)) for name in sorted(folders)}
        folders[:] = [
            name for name, real in inside.items() if not passed_over(name) and not (real in seen or seen.add(real))
        ]
        yield from (Path(home, name) for name in names)
