"""Many recordings, in a row; what can be checked is checked before the first one is separated."""

import os
import shutil
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from speechbrain_tasnet.audio.reading import open_audio
from speechbrain_tasnet.audio.sources import is_pipe
from speechbrain_tasnet.errors import DiskError, InputError
from speechbrain_tasnet.separation.batch_report import Names, Silent
from speechbrain_tasnet.separation.channels import Channels
from speechbrain_tasnet.separation.options import SeparationOptions, Separator
from speechbrain_tasnet.separation.output_files import AudioFormat, Destination
from speechbrain_tasnet.separation.recording import write_recordings
from speechbrain_tasnet.system.files import check_not_there, existing_parent
from speechbrain_tasnet.system.termination import Termination

BAR = "{desc}: {percentage:3.0f} %|{bar}| {elapsed}<{remaining}"
LONGEST_NAME = 255  # bytes, in the file systems of today
SCRATCH_BYTES = 4  # of a sample that waits for its gain


class _Job(NamedTuple):
    """A recording that can be opened."""

    mixture: Path
    seconds: float
    num_samples: int  # of all its sources; 0 where they are not known before they are decoded


def separate_files(
    separator: Separator,
    mixtures: Sequence[Path],
    destination: Destination,
    choices: SeparationOptions,
    report: Silent | None = None,
) -> None:
    """Separate files as `write_sources` does and report what is written, by default its names.

    How many voices there are is told on standard error, where the separator counts them. Of several files, one
    that cannot be read is reported on standard error, and the others are separated all the same. An interrupt
    or a termination signal leaves whole files only.

    Parameters
    ----------
    separator : Separator
        The model.
    mixtures : sequence of Path
        Audio files.
    destination : Destination
        Where the sources go.
    choices : SeparationOptions
        How they are separated.
    report : Names, JsonLines or Silent, optional
        Is told of each file.

    Raises
    ------
    InputError
        Before work starts: two mixtures have one name, a file is there already, the disk has too little space or
        the separator has no choice of channels.
        At once: a file cannot be written (`DiskError`). At the end: some of the mixtures could not be read.
    """
    _check_names(separator, mixtures, destination)
    channels = Channels(separator, choices)
    report, alone = report or Names(), len(mixtures) == 1
    jobs = []
    for mixture in mixtures:
        try:
            jobs.append(_job(separator, mixture, channels))
        except InputError as error:
            report.failed(mixture, error)
            _leave_out(error, alone)
    _check_space(jobs, Path(destination.folder), destination.kind)
    done = 0
    total = sum(job.seconds for job in jobs)
    with Termination(), tqdm(total=total, bar_format=BAR, disable=None) as bar:
        paths = [job.mixture for job in jobs]
        with closing(write_recordings(separator, paths, destination, choices, bar.update)) as results:
            for path in paths:
                bar.set_description(path.name)
                start = time.perf_counter()
                try:
                    written = next(results)
                except DiskError as error:
                    report.failed(path, error)
                    raise
                if isinstance(written, InputError):
                    report.failed(path, written)
                    _leave_out(written, alone)
                else:
                    done += 1
                    report.written(path, written, time.perf_counter() - start)
                    if getattr(separator, "counts_voices", False):
                        bar.write(f"{path.name}: {_voices(len(written.source_levels))}", file=sys.stderr)
    if done < len(mixtures):
        raise InputError(
            f"{len(mixtures) - done} of {len(mixtures)} files were left out, see above; fix or omit them"
        )


def _voices(count: int) -> str:
    return {0: "nobody is heard", 1: "1 voice"}.get(count, f"{count} voices")


def _leave_out(error: InputError, alone: bool) -> None:
    """Return what is wrong with a file of several."""
    if alone:
        raise error
    tqdm.write(f"tasnet: left out: {error}", file=sys.stderr)


def _job(separator: Separator, mixture: Path, channels: Channels) -> _Job:
    """Look at a recording's header; a pipe is read when its turn comes, for that is possible once."""
    if is_pipe(mixture):
        return _Job(mixture, 0, 0)
    with open_audio(mixture) as file:
        channels.check(file)
        written = channels.of_sources(file.channels) * separator.hparams.num_spks
        return _Job(mixture, file.frames / file.samplerate, written * file.frames if file.exact else 0)


def _check_names(separator: Separator, mixtures: Sequence[Path], destination: Destination) -> None:
    """Refuse files that would replace each other, a mixture, or what is there."""
    inputs = {os.path.realpath(mixture) for mixture in mixtures}
    owners = {}
    for mixture in mixtures:
        paths = destination.all_files(mixture, separator.hparams.num_spks)
        for path in paths:
            if (size := len(os.fsencode(path.name))) > LONGEST_NAME:
                raise InputError(
                    f"{path}: a name of {size} bytes, the system has {LONGEST_NAME}; rename {mixture}"
                )
            owner = owners.setdefault(path, mixture)
            if owner is not mixture:
                raise InputError(f"{owner} and {mixture}: both would become {path}; give each an --out of its own")
            if os.path.realpath(path) in inputs:
                raise InputError(f"{path}: a mixture, and {mixture} would replace it; choose another --out")
        if not destination.overwrite:
            check_not_there(paths)


def _check_space(jobs: Sequence[_Job], out: Path, kind: AudioFormat) -> None:
    """Refuse a folder that cannot take the sources and, one recording at a time, the scratch file."""
    folder = existing_parent(out)
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise DiskError(f"{out}: no folder that can be written to; choose another --out")
    needed = sum(kind.num_bytes(job.num_samples) for job in jobs)
    needed += max((job.num_samples * SCRATCH_BYTES for job in jobs), default=0)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DiskError(f"{out}: {needed / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB free; make room there")
