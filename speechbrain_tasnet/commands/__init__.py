"""The commands of ``tasnet``, one file each: ``describe`` tells its options, ``run`` does the work.

Heavy modules are imported by the command that needs them: help comes at once, and `mix` without torch.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.system.parallel import Launcher, Workers

if TYPE_CHECKING:
    from speechbrain_tasnet.generate.room_plan import Array


def add_commands(
    parser: argparse.ArgumentParser, dest: str, commands: Mapping[str, tuple[ModuleType, str]]
) -> None:
    """Let a parser choose among commands: by name a module, which describes its options, and what it is for."""
    parsers = parser.add_subparsers(dest=dest, required=True, metavar=dest.upper())
    for name, (module, purpose) in commands.items():
        # Abbreviations would take keys of a recipe for options: --mode for --model.
        module.describe(parsers.add_parser(name, help=purpose, allow_abbrev=False))


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how many processes share the work, or which jobs."""
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes that share the work (one for each processor that this one may use)",
    )
    add_launcher(parser)


def add_launcher(parser: argparse.ArgumentParser) -> None:
    """Add the options that let jobs of a cluster share the work."""
    jobs = parser.add_argument_group(
        "jobs on a cluster", "needs pip install 'speechbrain-tasnet[cluster]' and a disk that all machines see"
    )
    jobs.add_argument(
        "--launcher",
        choices=("slurm", "local"),
        help="share the work out to jobs of Slurm, wait for them, submit again what is lost, and join what comes; "
        "local: the same with processes of this machine",
    )
    jobs.add_argument("--jobs", type=int, default=10, metavar="N", help="jobs to make of it (%(default)s)")
    jobs.add_argument("--cpus", type=int, metavar="N", help="processors of each job (1; in a study its threads)")
    jobs.add_argument(
        "--minutes",
        type=int,
        default=60,
        metavar="M",
        help="time limit of a Slurm job; what it has left undone goes into another (%(default)s)",
    )
    jobs.add_argument("--partition", metavar="NAME", help="of Slurm's nodes (the cluster's default)")
    jobs.add_argument(
        "--sbatch",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any other option of sbatch, such as --sbatch mem=8G --sbatch account=voices",
    )


def launcher(options: argparse.Namespace, folder: Path, cpus: int = 1) -> Launcher | None:
    """Make the launcher that the options name, if they do.

    Parameters
    ----------
    options : Namespace
        Those of `add_launcher`, and ``workers`` perhaps.
    folder : Path
        For what belongs to the jobs.
    cpus : int
        Of each job, unless the options say otherwise.
    """
    if options.launcher is None:
        return None
    from speechbrain_tasnet.cluster.launcher import JobLauncher
    from speechbrain_tasnet.cluster.request import JobRequest, sbatch_options

    if getattr(options, "workers", None) is not None:
        raise InputError(f"--workers {options.workers}: a job uses all its processors; say how many by --cpus")
    request = JobRequest(
        options.launcher,
        options.jobs,
        cpus if options.cpus is None else options.cpus,
        options.minutes,
        options.partition,
        sbatch=sbatch_options(options.sbatch),
    )
    return JobLauncher(request, folder)


def workers(options: argparse.Namespace) -> Workers:
    """Return who makes the corpus ``--out``: as many processes as ``--workers`` says, or a launcher."""
    out = options.out.resolve()
    return launcher(options, out.with_name(f".{out.name}.jobs")) or options.workers


def add_array(parser: argparse._ActionsContainer) -> None:
    """Add the options that say how many microphones a room has, and where they are."""
    parser.add_argument("--mics", type=int, default=1, metavar="M", help="microphones in each room (%(default)s)")
    parser.add_argument(
        "--array",
        dest="places",
        default="linear:0.05-0.15",
        metavar="WHERE",
        help="linear:METRES from one to the next, circular:RADIUS, ears (17.5 cm apart, without a head) or random "
        "(within half a metre); linear:0.05-0.15 is drawn for each room (%(default)s)",
    )


def array(options: argparse.Namespace) -> "Array | None":
    """Return the array that the options of `add_array` name; None for a single microphone."""
    from speechbrain_tasnet.generate.room_plan import Array

    return None if options.mics == 1 else Array.parse(options.mics, options.places)
