"""Recordings into files of their sources, or into memory."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from speechbrain_tasnet.audio.reading import AudioFile
from speechbrain_tasnet.errors import DiskError, InputError
from speechbrain_tasnet.separation.options import DEFAULTS, SeparationOptions, Separator
from speechbrain_tasnet.separation.output_files import WAV, AudioFormat, new_audio, source_paths
from speechbrain_tasnet.separation.pipeline import Recording, separate_recordings
from speechbrain_tasnet.system.files import check_not_there, scratch_file

FRAMES = 2**16  # that are scaled and written at once


def separate_recording(separator: Separator, path: Path | str, choices: SeparationOptions) -> Tensor:
    """Separate an audio file, and keep all of it in memory.

    Parameters
    ----------
    separator : Separator
        The model.
    path : path-like
        Audio file.
    choices : SeparationOptions
        How.

    Returns
    -------
    Tensor
        [channels, time, C], at the rate and of the length of the file.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    with closing(separate_recordings(separator, [path], choices)) as recordings:
        recording, blocks = next(recordings)
        sources = np.concatenate(list(blocks), axis=2)
    gain = np.float32(recording.levels.gain(choices.scale, limited=False))
    return torch.from_numpy(sources * gain).transpose(1, 2)


def write_sources(
    separator: Separator,
    mixture: Path | str,
    out: Path | str,
    overwrite: bool = False,
    choices: SeparationOptions = DEFAULTS,
    kind: AudioFormat = WAV,
    progress: Callable[[float], object] | None = None,
) -> list[Path]:
    """Separate a file into one file a source, ``OUT/NAME_s1.wav`` and so on, in constant memory.

    Where a source would clip, all are scaled down together, so that their levels still compare. The sources
    wait in a scratch file until the gain is known; all files appear whole or not at all.

    Parameters
    ----------
    separator : Separator
        The model.
    mixture : path-like
        Audio file.
    out : path-like
        Folder; made if it is not there.
    overwrite : bool
        Replace files that are there.
    choices : SeparationOptions
        How it is separated.
    kind : AudioFormat
        What is written; by default 16-bit wav.
    progress : callable, optional
        Is called with the seconds of each piece that is separated.

    Returns
    -------
    list of Path
        The files, one a source.

    Raises
    ------
    InputError
        The mixture cannot be read, a file is there already or cannot be written (`DiskError`).
    """
    with closing(write_recordings(separator, [mixture], out, overwrite, choices, kind, progress)) as written:
        paths = next(written)
    if isinstance(paths, InputError):
        raise paths
    return paths


def write_recordings(
    separator: Separator,
    mixtures: Iterable[Path | str],
    out: Path | str,
    overwrite: bool,
    choices: SeparationOptions,
    kind: AudioFormat,
    progress: Callable[[float], object] | None,
) -> Iterator[list[Path] | InputError]:
    """Do with each of several files, in order, what `write_sources` does with one.

    Yields
    ------
    list of Path or InputError
        Of each mixture the files that have been written, or what is wrong with it.

    Raises
    ------
    DiskError
        A file cannot be written.
    """
    num_spks = separator.hparams.num_spks

    def check(file: AudioFile) -> None:
        if not overwrite:
            check_not_there(source_paths(file.name, out, num_spks, kind))
        channels, frames = choices.num_channels(file.channels), file.frames if file.exact else 0
        kind.check(file.name, file.samplerate, channels, frames)

    with closing(separate_recordings(separator, mixtures, choices, check)) as recordings:
        for recording, blocks in recordings:
            paths = source_paths(recording.path, out, num_spks, kind)
            try:
                _write(recording, blocks, out, paths, choices.scale, kind, progress)
            except DiskError:
                raise
            except InputError as error:
                yield error
            else:
                yield paths


def _write(
    recording: Recording,
    blocks: Iterator[np.ndarray],
    out: Path | str,
    paths: list[Path],
    scale: str,
    kind: AudioFormat,
    progress: Callable[[float], object] | None,
) -> None:
    """Write sources when all are known, with their gain."""
    with scratch_file(out) as scratch:
        for sources in blocks:
            scratch.write(sources.transpose(2, 1, 0).tobytes())  # [time, C, channels]
            if progress:
                progress(sources.shape[2] / recording.rate)
        rate, channels = recording.rate, recording.channels
        if not recording.exact:
            kind.check(recording.path, rate, channels, scratch.tell() // (len(paths) * channels * 4))
        scratch.seek(0)
        gain = np.float32(recording.levels.gain(scale, limited=kind.limited))
        with ExitStack() as opened:
            writers = [opened.enter_context(new_audio(path, kind, rate, channels)) for path in paths]
            while data := scratch.read(FRAMES * len(paths) * channels * 4):
                sources = gain * np.frombuffer(data, np.float32).reshape(-1, len(paths), channels)
                for i, write in enumerate(writers):
                    write(sources[:, i])
