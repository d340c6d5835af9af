"""Many recordings, divided among jobs of a cluster."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.separation.batch_report import Report
from speechbrain_tasnet.separation.journal import Journal
from speechbrain_tasnet.separation.many_files import check_names, report_results, separate_each
from speechbrain_tasnet.separation.options import SeparationOptions
from speechbrain_tasnet.separation.output_files import Destination
from speechbrain_tasnet.separation.pretrained import TasNetSeparation
from speechbrain_tasnet.separation.recording import Written
from speechbrain_tasnet.system.parallel import Launcher


def separate_in_jobs(
    model: Path | str,
    mixtures: Sequence[Path],
    destination: Destination,
    choices: SeparationOptions,
    launcher: Launcher,
    report: Report,
) -> None:
    """Separate files as `many_files.separate_files` does, with a journal, in jobs.

    Parameters
    ----------
    model : path-like
        Name or folder of the separator.
    mixtures : sequence of Path
        Audio files, which all machines see.
    destination : Destination
        Where the sources go.
    choices : SeparationOptions
        How they are separated.
    launcher : Launcher
        Of the jobs.
    report : Report
        Is told of each file.

    Raises
    ------
    InputError
        As `separate_files` and the launcher do.
    """
    separator = TasNetSeparation.from_bundle(model)
    choices.check_voices(separator)
    check_names(separator, mixtures, destination, Journal(model, destination, choices))
    share = partial(_separate_share, model, destination, choices, launcher.cpus)
    results = launcher.share_out(share, mixtures, "separating")
    report_results(separator, mixtures, zip(mixtures, results, strict=True), report)


def _separate_share(
    model: Path | str,
    destination: Destination,
    choices: SeparationOptions,
    threads: int,
    mixtures: list[Path],
) -> list[Written | InputError]:
    """Separate some of the mixtures, unless a job before has."""
    torch.set_num_threads(threads)
    separator = TasNetSeparation.from_bundle(model)
    journal = Journal(model, destination, choices)
    check_names(separator, mixtures, destination, journal)
    results = dict(separate_each(separator, mixtures, destination, choices, journal))
    return [results[mixture] for mixture in mixtures]
