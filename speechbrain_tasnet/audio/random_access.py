"""Read a stretch from the middle of an audio file, with the samples that reading from the beginning gives."""

import os
from io import BytesIO
from pathlib import Path

import numpy as np
import soundfile

from speechbrain_tasnet.audio.reading import open_audio, read_blocks
from speechbrain_tasnet.audio.soundfile_file import MOST_FRAMES

# Where the number of samples is an estimate or that of the first stream alone, unless `open_audio` calls it exact.
DOUBTFUL = {"MP3", "OGG"}


def system_name(path: Path | str) -> str | bytes:
    """Return a path as soundfile takes it: on POSIX systems any bytes may be a name, not UTF-8 alone."""
    return os.fspath(path) if os.name == "nt" else os.fsencode(path)


class RandomAccess(soundfile.SoundFile):
    """An audio file, or what was decoded of it, with the name that it was given."""

    def __init__(self, path: Path | str, decoded: BytesIO | None = None):
        self.path = os.fspath(path)
        super().__init__(system_name(path) if decoded is None else decoded)

    @property
    def name(self) -> str:
        """The file's name, for messages."""
        return self.path


def open_random(path: Path | str) -> RandomAccess:
    """Open an audio file for reading at any place.

    A file that does not tell its length, or tells a wrong one, is decoded into memory.

    Parameters
    ----------
    path : path-like
        Audio file.

    Returns
    -------
    RandomAccess
        To be closed; its ``frames`` are right.

    Raises
    ------
    soundfile.LibsndfileError
        It is not audio.
    InputError
        It cannot be decoded to its end.
    """
    file = RandomAccess(path)
    if 0 < file.frames < MOST_FRAMES and file.format not in DOUBTFUL:
        return file
    file.close()
    with open_audio(path) as whole:
        if whole.exact and whole.format in DOUBTFUL:
            return RandomAccess(path)
        samples = np.concatenate(list(read_blocks(whole, "each")), axis=1).T
        buffer = BytesIO()
        soundfile.write(buffer, samples, whole.samplerate, "FLOAT", format="WAV")
    buffer.seek(0)
    return RandomAccess(path, buffer)
