"""The audio in a folder, however deep: the one walk for speech and for noise."""

import os
from collections.abc import Iterator
from pathlib import Path

from speechbrain_tasnet.audio.formats import AUDIO_SUFFIXES

# Where macOS's archives keep what is not the files themselves, under the files' names.
NOT_AUDIO = "__MACOSX"


def audio_files(folder: Path) -> list[Path]:
    """List the audio in a folder and all folders in it.

    Links are followed, to folders as well, each folder once. Hidden files and folders are left out.

    Parameters
    ----------
    folder : Path
        Where to look.

    Returns
    -------
    list of Path
        Sorted; those whose suffix the reader knows, in either case.
    """
    return sorted(
        path
        for path in _files(folder)
        if path.suffix.lower() in AUDIO_SUFFIXES and not path.name.startswith(".") and path.is_file()
    )


def passed_over(name: str) -> bool:
    """Return whether a folder of that name is left out."""
    return name.startswith(".") or name == NOT_AUDIO


def _files(folder: Path) -> Iterator[Path]:
    seen = {os.path.realpath(folder)}
    for home, folders, names in os.walk(folder, followlinks=True):
        # What a link leads back to would be walked without end.
        inside = {name: os.path.realpath(os.path.join(home, name)) for name in sorted(folders)}
        folders[:] = [
            name for name, real in inside.items() if not passed_over(name) and not (real in seen or seen.add(real))
        ]
        yield from (Path(home, name) for name in names)
