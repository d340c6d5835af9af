"""Separate recordings into files of their sources, or in memory."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import torch
from torch import Tensor

from speechbrain_tasnet.audio.audio_file import AudioFile
from speechbrain_tasnet.audio.rms_level import RmsLevel
from speechbrain_tasnet.audio.sources import Bytes
from speechbrain_tasnet.data.segments import write_segments
from speechbrain_tasnet.errors import DiskError, InputError
from speechbrain_tasnet.separation.channels import Channels
from speechbrain_tasnet.separation.leftovers import remove_leftovers
from speechbrain_tasnet.separation.options import DEFAULTS, SeparationOptions, Separator
from speechbrain_tasnet.separation.output_files import NAME, WAV, AudioFormat, Destination, new_audio
from speechbrain_tasnet.separation.pipeline import Recording, separate_recordings
from speechbrain_tasnet.separation.selection import Selection
from speechbrain_tasnet.separation.voices import Heard, Listener, Voices
from speechbrain_tasnet.system.files import check_not_there, scratch_file

FRAMES = 2**16  # that are scaled and written at once


Progress = Callable[[float], object]


def separate_recording(
    separator: Separator,
    path: Bytes | AudioFile,
    choices: SeparationOptions,
    progress: Progress | None = None,
) -> Tensor:
    """Separate an audio file, and keep all of it in memory.

    Parameters
    ----------
    separator : Separator
        The model.
    path : path-like, bytes, binary file or AudioFile
        Audio file.
    choices : SeparationOptions
        How.
    progress : callable, optional
        Is called with the seconds of each piece that is separated.

    Returns
    -------
    Tensor
        [channels, time, C], at the rate and of the length of the file.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    recording, sources = _whole(separator, path, choices, progress)
    sources *= np.float32(recording.levels.gain(choices.scale, limited=False))
    return torch.from_numpy(sources).transpose(1, 2)


def separate_voices(
    separator: Separator,
    path: Bytes | AudioFile,
    choices: SeparationOptions,
    progress: Progress | None = None,
) -> Voices:
    """Separate an audio file in memory, and find out who is heard in it.

    Where the separator does not count voices, each of its outputs is one.

    Parameters
    ----------
    separator : Separator
        The model.
    path : path-like, bytes, binary file or AudioFile
        Audio file.
    choices : SeparationOptions
        How.
    progress : callable, optional
        Is called with the seconds of each piece that is separated.

    Returns
    -------
    Voices
        Sources and segments.

    Raises
    ------
    InputError
        The file cannot be read, or the separator cannot have as many voices.
    """
    selection = Selection(separator, choices)
    recording, waiting = _whole(separator, path, selection.choices, progress, selection.with_mixture)
    listener = selection.listener(recording.rate)
    listener.hear(waiting[:, : separator.hparams.num_spks])
    heard = listener.result()
    [sources] = selection.sources(lambda: [waiting.transpose(2, 1, 0)], heard, recording.levels, limited=False)
    return Voices(torch.from_numpy(sources).permute(2, 0, 1), heard.segments, recording.rate)


def _whole(
    separator: Separator,
    path: Bytes | AudioFile,
    choices: SeparationOptions,
    progress: Progress | None,
    with_mixture: bool = False,
) -> tuple[Recording, np.ndarray]:
    """Separate a recording into sources [channels, C or C + 1, time], which have not been scaled yet."""
    found = []
    with closing(separate_recordings(separator, [path], choices, with_mixture=with_mixture)) as recordings:
        recording, blocks = next(recordings)
        for sources in blocks:
            found.append(sources)
            if progress:
                progress(sources.shape[2] / recording.rate)
    return recording, np.concatenate(found, axis=2)


class Written(NamedTuple):
    """The result for a recording: the files of its sources, the tables of who speaks when, and some figures.

    Levels are in dB of full scale, or None of silence: that of the mixture as it was heard, those of the sources
    as they are written.
    """

    sources: list[Path]
    tables: list[Path]
    rate: int
    seconds: float
    mixture_level: float | None
    source_levels: list[float | None]


def write_sources(
    separator: Separator,
    mixture: Path | str,
    out: Path | str,
    overwrite: bool = False,
    choices: SeparationOptions = DEFAULTS,
    kind: AudioFormat = WAV,
    progress: Progress | None = None,
    tables: Sequence[str] = (),
    name: str = NAME,
) -> list[Path]:
    """Separate a file into one file per source, ``OUT/NAME_s1.wav`` and so on, in constant memory.

    If a source would clip, all are scaled down together, so that their levels remain comparable. The sources
    wait in a scratch file until the gain is known; all files appear whole or not at all. A separator that
    counts voices writes as many files as voices are heard.

    Parameters
    ----------
    separator : Separator
        The model.
    mixture : path-like
        Audio file.
    out : path-like
        Folder; made if it is not there.
    overwrite, kind, tables, name
        As `Destination` has them.
    choices : SeparationOptions
        How it is separated.
    progress : callable, optional
        Is called with the seconds of each piece that is separated.

    Returns
    -------
    list of Path
        The files of the sources, one each.

    Raises
    ------
    InputError
        The mixture cannot be read, a file already exists or cannot be written (`DiskError`).
    """
    destination = Destination(out, overwrite, kind, tables, name)
    with closing(write_recordings(separator, [mixture], destination, choices, progress)) as results:
        written = next(results)
    if isinstance(written, InputError):
        raise written
    return written.sources


def write_recordings(
    separator: Separator,
    mixtures: Iterable[Path | str],
    destination: Destination,
    choices: SeparationOptions,
    progress: Progress | None,
) -> Iterator[Written | InputError]:
    """Separate several files, in order, as `write_sources` does with one.

    Yields
    ------
    Written or InputError
        Of each mixture the files that have been written, or what is wrong with it.

    Raises
    ------
    DiskError
        A file cannot be written.
    """
    num_spks, kind = separator.hparams.num_spks, destination.kind
    selection, channels = Selection(separator, choices), Channels(separator, choices)

    def check(file: AudioFile) -> None:
        if not destination.overwrite:
            check_not_there(destination.all_files(file.name, num_spks))
        frames = file.frames if file.exact else 0
        sources = num_spks if destination.together else 1
        kind.check(file.name, file.samplerate, sources * channels.of_sources(file.channels), frames)

    separated = separate_recordings(separator, mixtures, selection.choices, check, selection.with_mixture)
    with closing(separated) as recordings:
        for recording, blocks in recordings:
            paths, listed = destination.sources(recording.path, num_spks), destination.listed(recording.path)
            try:
                with scratch_file(destination.folder) as scratch:
                    # Listening takes time, at high rates most of all.
                    listen = selection.listener if selection.counts or listed else None
                    heard = _gather(recording, blocks, scratch, num_spks, progress, listen)
                    used = paths if destination.together or not heard else paths[: len(heard.outputs)]
                    levels = _write(recording, scratch, used, destination, selection, heard)
                for path in listed:
                    write_segments(path, Path(recording.path).stem, heard.segments)
                if destination.overwrite and not destination.together:
                    remove_leftovers(destination, recording.path, len(used))
            except DiskError:
                raise
            except InputError as error:
                yield error
            else:
                rate, level = recording.rate, recording.mixture_level.decibels
                yield Written(used, listed, rate, recording.frames / rate, level, levels)


def _gather(
    recording: Recording,
    blocks: Iterator[np.ndarray],
    scratch: BinaryIO,
    num_spks: int,
    progress: Progress | None,
    listen: Callable[[int], Listener] | None,
) -> Heard | None:
    """Keep sources in a scratch file until their gain is known, and detect who is heard in them, if wanted."""
    listener = None
    for sources in blocks:
        scratch.write(sources.transpose(2, 1, 0).tobytes())  # [time, C, channels]
        if listen:
            listener = listener or listen(recording.rate)
            listener.hear(sources[:, :num_spks])
        if progress:
            progress(sources.shape[2] / recording.rate)
    return listener.result() if listener else None


def _write(
    recording: Recording,
    scratch: BinaryIO,
    paths: list[Path],
    destination: Destination,
    selection: Selection,
    heard: Heard | None,
) -> list[float | None]:
    """Write the outputs that are sources when all are known, with their gain; returns the sources' levels."""
    rate, channels, kind = recording.rate, recording.channels, destination.kind
    num_sources = len(heard.outputs) if heard else selection.waiting
    in_a_file = channels * num_sources if destination.together else channels
    if not in_a_file:
        raise InputError(f"{recording.path}: nobody is heard; there is no source to write")
    frame = selection.waiting * channels * 4  # bytes
    if not recording.exact:
        kind.check(recording.path, rate, in_a_file, scratch.tell() // frame)

    def waiting() -> Iterator[np.ndarray]:
        scratch.seek(0)
        while data := scratch.read(FRAMES * frame):
            yield np.frombuffer(data, np.float32).reshape(-1, selection.waiting, channels)

    levels = [RmsLevel() for _ in range(num_sources)]
    with ExitStack() as opened:
        writers = [opened.enter_context(new_audio(path, kind, rate, in_a_file)) for path in paths]
        for sources in selection.sources(waiting, heard, recording.levels, kind.limited):
            for level, source in zip(levels, sources.swapaxes(0, 1), strict=True):
                level.add(source)
            one_each = [sources.reshape(-1, in_a_file)] if destination.together else sources.swapaxes(0, 1)
            for write, samples in zip(writers, one_each, strict=True):
                write(samples)
    return [level.decibels for level in levels]
