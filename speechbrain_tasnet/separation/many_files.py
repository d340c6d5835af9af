"""Separate many recordings in a row, after checking whatever can be checked before the first."""

import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from speechbrain_tasnet.audio.reading import open_audio
from speechbrain_tasnet.audio.sources import is_pipe
from speechbrain_tasnet.errors import DiskError, InputError
from speechbrain_tasnet.separation.batch_report import Names, Report
from speechbrain_tasnet.separation.channels import Channels
from speechbrain_tasnet.separation.journal import Journal
from speechbrain_tasnet.separation.leftovers import leftovers
from speechbrain_tasnet.separation.options import SeparationOptions, Separator
from speechbrain_tasnet.separation.output_files import AudioFormat, Destination
from speechbrain_tasnet.separation.recording import Written, write_recordings
from speechbrain_tasnet.separation.selection import Selection
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
    waiting: int  # samples that wait for their gain, as far as they are known


def separate_files(
    separator: Separator,
    mixtures: Sequence[Path],
    destination: Destination,
    choices: SeparationOptions,
    report: Report | None = None,
    journal: Journal | None = None,
) -> None:
    """Separate files as `write_sources` does and report what is written, by default its names.

    The number of voices is reported on standard error, if the separator counts them. Of several files, one
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
    report : Report, optional
        Is told of each file.
    journal : Journal, optional
        Says what is already done, and records the rest.

    Raises
    ------
    InputError
        Before work starts: two mixtures have one name, a file already exists, the disk has too little space, or
        the separator has no choice of channels or not as many voices.
        At once: a file cannot be written (`DiskError`). At the end: some of the mixtures could not be read.
    """
    check_names(separator, mixtures, destination, journal)
    with closing(separate_each(separator, mixtures, destination, choices, journal)) as results:
        report_results(separator, mixtures, results, report or Names())


Result = tuple[Path, Written | InputError]


def separate_each(
    separator: Separator,
    mixtures: Sequence[Path],
    destination: Destination,
    choices: SeparationOptions,
    journal: Journal | None = None,
) -> Iterator[Result]:
    """Separate files whose names have been checked.

    Yields
    ------
    tuple
        A mixture and the files that have come of it, or what is wrong with it: those first that are done or
        cannot be opened, then the others in their order.

    Raises
    ------
    InputError
        As `separate_files` does.
    """
    channels, selection = Channels(separator, choices), Selection(separator, choices)
    jobs = []
    for mixture in mixtures:
        if journal and (written := journal.done(mixture)):
            yield mixture, written
            continue
        try:
            jobs.append(_job(separator, mixture, channels, selection))
        except InputError as error:
            yield mixture, error
    _check_space(jobs, Path(destination.folder), destination.kind)
    for job in jobs:
        if journal and journal.knows(job.mixture):
            for path in destination.all_files(job.mixture, separator.hparams.num_spks):
                path.unlink(missing_ok=True)  # of a run that was killed between two files
    total = sum(job.seconds for job in jobs)
    with Termination(), tqdm(total=total, bar_format=BAR, disable=None) as bar:
        paths = [job.mixture for job in jobs]
        with closing(write_recordings(separator, paths, destination, choices, bar.update)) as results:
            for path in paths:
                bar.set_description(path.name)
                if journal:
                    journal.begin(path)
                try:
                    written = next(results)
                except DiskError as error:
                    yield path, error
                    raise
                if journal and isinstance(written, Written):
                    journal.end(path, written)
                yield path, written


def report_results(
    separator: Separator, mixtures: Sequence[Path], results: Iterable[Result], report: Report
) -> None:
    """Report what has come of mixtures.

    Raises
    ------
    InputError
        At the end: something was wrong with some of them; at once, if there is only one, or a file cannot be
        written (`DiskError`).
    """
    done, start = 0, time.perf_counter()
    for mixture, written in results:
        elapsed, start = time.perf_counter() - start, time.perf_counter()
        if isinstance(written, InputError):
            report.failed(mixture, written)
            if len(mixtures) == 1 or isinstance(written, DiskError):
                raise written
            tqdm.write(f"tasnet: left out: {written}", file=sys.stderr)
            continue
        done += 1
        report.written(mixture, written, elapsed)
        if getattr(separator, "counts_voices", False):
            tqdm.write(f"{mixture.name}: {_voices(len(written.source_levels))}", file=sys.stderr)
    if done < len(mixtures):
        raise InputError(
            f"{len(mixtures) - done} of {len(mixtures)} files were left out, see above; fix or omit them"
        )


def _voices(count: int) -> str:
    return {0: "nobody is heard", 1: "1 voice"}.get(count, f"{count} voices")


def _job(separator: Separator, mixture: Path, channels: Channels, selection: Selection) -> _Job:
    """Look at a recording's header; a pipe is read only when its turn comes, because it can be read only once."""
    if is_pipe(mixture):
        return _Job(mixture, 0, 0, 0)
    with open_audio(mixture) as file:
        channels.check(file)
        samples = channels.of_sources(file.channels) * file.frames if file.exact else 0  # of a source
        written, waiting = samples * separator.hparams.num_spks, samples * selection.waiting
        return _Job(mixture, file.frames / file.samplerate, written, waiting)


def check_names(
    separator: Separator, mixtures: Sequence[Path], destination: Destination, journal: Journal | None = None
) -> None:
    """Refuse files that would replace each other, a mixture, or existing files.

    Raises
    ------
    InputError
        They would.
    """
    inputs = {os.path.realpath(mixture) for mixture in mixtures}
    owners = {}
    for mixture in mixtures:
        outputs = separator.hparams.num_spks
        paths = destination.all_files(mixture, outputs)
        replaced = leftovers(destination, mixture, outputs) if destination.overwrite else []
        for path in (*paths, *replaced):
            if (size := len(os.fsencode(path.name))) > LONGEST_NAME:
                raise InputError(
                    f"{path}: a name of {size} bytes, the system allows {LONGEST_NAME}; rename {mixture}"
                )
            owner = owners.setdefault(path, mixture)
            if owner is not mixture:
                raise InputError(f"{owner} and {mixture}: both would become {path}; give each an --out of its own")
            if os.path.realpath(path) in inputs:
                raise InputError(
                    f"{path}: a mixture, which a source of {mixture} would replace; --out is a folder of "
                    "mixtures, among them perhaps what an earlier run has written: choose another"
                )
        if journal and is_pipe(mixture):
            raise InputError(f"{mixture}: cannot be read a second time, nor by another machine; expected a file")
        if not destination.overwrite and not (journal and journal.knows(mixture)):
            check_not_there(paths)


def _check_space(jobs: Sequence[_Job], out: Path, kind: AudioFormat) -> None:
    """Refuse a folder that cannot take the sources and, one recording at a time, the scratch file."""
    folder = existing_parent(out)
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise DiskError(f"{out}: not a writable folder; choose another --out")
    needed = sum(kind.num_bytes(job.num_samples) for job in jobs)
    needed += max((job.waiting * SCRATCH_BYTES for job in jobs), default=0)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DiskError(f"{out}: {needed / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB free; make room there")
