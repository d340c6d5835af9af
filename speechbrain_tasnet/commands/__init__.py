"""The commands of ``tasnet``, one file each: ``describe`` adds its options, ``run`` does the work.

Heavy modules are imported by the command that needs them, so that help is instant and `mix` needs no torch.
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
    """Add a subparser for each command: by name, the module that describes its options, and its purpose."""
    parsers = parser.add_subparsers(dest=dest, required=True, metavar=dest.upper())
    for name, (module, purpose) in commands.items():
        # Abbreviations would mistake keys of a recipe for options: --mode for --model.
        module.describe(parsers.add_parser(name, help=purpose, allow_abbrev=False))


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add the options that set how many processes, or which jobs, share the work."""
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes that share the work (one per available processor)",
    )
    add_launcher(parser)


def add_launcher(parser: argparse.ArgumentParser) -> None:
    """Add the options that spread the work over jobs of a cluster."""
    jobs = parser.add_argument_group(
        "jobs on a cluster", "needs pip install 'speechbrain-tasnet[cluster]' and a disk shared by all machines"
    )
    jobs.add_argument(
        "--launcher",
        choices=("slurm", "local"),
        help="slurm: split the work into Slurm jobs, wait for them, resubmit those that are lost, and join their "
        "results; local: the same with processes on this machine",
    )
    jobs.add_argument("--jobs", type=int, default=10, metavar="N", help="number of jobs (%(default)s)")
    jobs.add_argument("--cpus", type=int, metavar="N", help="processors per job (1; in a study, its threads)")
    jobs.add_argument(
        "--minutes",
        type=int,
        default=60,
        metavar="M",
        help="time limit of a Slurm job; another one does what it leaves undone (%(default)s)",
    )
    jobs.add_argument("--partition", metavar="NAME", help="Slurm's partition (the cluster's default)")
    jobs.add_argument(
        "--sbatch",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any other sbatch option, such as --sbatch mem=8G --sbatch account=voices",
    )


def launcher(options: argparse.Namespace, folder: Path, cpus: int = 1) -> Launcher | None:
    """Return the launcher that the options ask for, or None.

    Parameters
    ----------
    options : Namespace
        Those of `add_launcher`, and possibly ``workers``.
    folder : Path
        For the jobs' files.
    cpus : int
        Processors per job, unless the options set them.
    """
    if options.launcher is None:
        return None
    from speechbrain_tasnet.cluster.launcher import JobLauncher
    from speechbrain_tasnet.cluster.request import JobRequest, sbatch_options

    if getattr(options, "workers", None) is not None:
        raise InputError(
            f"--workers {options.workers}: a job uses all its processors; set their number with --cpus"
        )
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
    """Return what makes the corpus ``--out``: the number of processes of ``--workers``, or a launcher."""
    out = options.out.resolve()
    return launcher(options, out.with_name(f".{out.name}.jobs")) or options.workers


def add_array(parser: argparse._ActionsContainer) -> None:
    """Add the options that say how many microphones a room has, and where they are."""
    parser.add_argument("--mics", type=int, default=1, metavar="M", help="microphones in each room (%(default)s)")
    parser.add_argument(
        "--array",
        dest="places",
        metavar="WHERE",
        help="linear:SPACING or circular:RADIUS, in metres; ears (17.5 cm apart, without a head); or random "
        "(within half a metre). A range such as 0.05-0.15 is sampled for each room (linear:0.05-0.15)",
    )


def array(options: argparse.Namespace) -> "Array | None":
    """Return the array that the options of `add_array` name; None for a single microphone."""
    from speechbrain_tasnet.generate.room_plan import Array

    if options.mics == 1 and options.places is None:
        return None
    return Array.parse(options.mics, options.places)
