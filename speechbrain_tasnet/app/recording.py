"""Separate a recording given to the page, into files."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from threading import Lock
from zipfile import ZipFile

import numpy as np

from speechbrain_tasnet.audio.audio_file import AudioFile
from speechbrain_tasnet.audio.reading import open_audio, read_blocks
from speechbrain_tasnet.data.segments import Segment, read_segments
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.separation.channels import Channels
from speechbrain_tasnet.separation.options import SeparationOptions, Separator
from speechbrain_tasnet.separation.output_files import WAV, Destination, new_audio
from speechbrain_tasnet.separation.recording import write_sources
from speechbrain_tasnet.system.files import new_file, new_folder

# At the level that the voices have in the mixture, so that all compare by ear.
CHOICES = SeparationOptions(scale="mixture")
TABLES = ("json", "rttm")

Progress = Callable[[float], object]  # is called with the share of the work that is done

_keeping = Lock()


@dataclass(frozen=True)
class Separated:
    """The result of separating a recording.

    Parameters
    ----------
    name : str
        Of its file.
    seconds : float
        How long it is.
    mixture : Path
        As a wav that browsers play, its channels averaged.
    voices, tables : sequence of Path
        A file for each voice; who speaks when.
    archive : Path
        All of these in one.
    segments : sequence of Segment
        Who speaks when.
    """

    name: str
    seconds: float
    mixture: Path
    voices: Sequence[Path]
    tables: Sequence[Path]
    archive: Path
    segments: Sequence[Segment]


def separate_upload(
    upload: Path, separator: Separator, folder: Path, max_minutes: float, progress: Progress
) -> Separated:
    """Separate a recording into files.

    Parameters
    ----------
    upload : Path
        Audio file or film.
    separator : Separator
        The model.
    folder : Path
        For the files. Where it is removed meanwhile, nobody waits for them any more.
    max_minutes : float
        What is longer is refused.
    progress : callable
        Is told how far the work is.

    Returns
    -------
    Separated
        The files.

    Raises
    ------
    InputError
        The recording cannot be read, is too long or has other channels than the separator hears, or a file cannot
        be written (`DiskError`).
    """
    mixture = folder / f"{upload.stem}_mixture.wav"
    with open_audio(upload) as file:
        Channels(separator, CHOICES).check(file)
        seconds = _copy_mixture(file, mixture, max_minutes)
    done = 0.0

    def advance(more: float) -> None:
        nonlocal done
        done += more
        progress(min(done / seconds, 1.0))
        if not folder.is_dir():
            raise InputError(f"{upload.name}: stopped, because the page was closed")

    voices = write_sources(separator, upload, folder, choices=CHOICES, progress=advance, tables=TABLES)
    tables = Destination(folder, tables=TABLES).listed(upload)
    archive = folder / f"{upload.stem}.zip"
    with new_file(archive) as partial, ZipFile(partial, "w") as opened:
        for path in (*voices, *tables):
            opened.write(path, path.name)
    return Separated(upload.name, seconds, mixture, voices, tables, archive, read_segments(tables[0]))


def _copy_mixture(file: AudioFile, path: Path, max_minutes: float) -> float:
    """Write the mean of all channels as a wav file, and return how many seconds there are."""
    if file.exact:
        _check_length(file, file.frames, max_minutes)
    with new_audio(path, WAV, file.samplerate, channels=1) as write:
        done = 0
        for block in read_blocks(file):
            done += block.shape[1]
            _check_length(file, done, max_minutes)
            write(np.clip(block.T, -1, 1))
    return done / file.samplerate


def _check_length(file: AudioFile, frames: int, max_minutes: float) -> None:
    """Refuse a file with this many samples, or more, if that is too many."""
    minutes = frames / file.samplerate / 60
    if minutes > max_minutes:
        length = f"{minutes:.1f} minutes" if file.exact else "longer"
        raise InputError(f"{file.name}: {length}; at most {max_minutes:g} minutes are accepted here")


def keep(separated: Separated, out: Path) -> Path:
    """Copy voices and tables into a new folder in another one, which is named as the recording.

    Returns
    -------
    Path
        ``OUT/NAME``, or ``OUT/NAME-2`` and so on where that is taken.

    Raises
    ------
    DiskError
        It cannot be written.
    """
    name = Path(separated.name).stem
    with _keeping:
        free = next(path for n in count(1) if not (path := out / (name if n == 1 else f"{name}-{n}")).exists())
        with new_folder(free) as partial:
            for file in (*separated.voices, *separated.tables):
                with new_file(partial / file.name) as copy:
                    shutil.copyfile(file, copy)
    return free
