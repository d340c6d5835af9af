"""What a user requests from a cluster: how many jobs, how large, how long, and where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from speechbrain_tasnet.errors import InputError, whole_number

KINDS = ("slurm", "local")

# A job is asked to end this many seconds before its time is over: a training saves then.
WARNING = 60
SHORTEST = 5  # minutes; Slurm may warn a minute too early

# Options of sbatch that decide which jobs are whose, and how they end, or that have a name of ours.
OURS = {"array", "job-name", "output", "error", "open-mode", "requeue", "no-requeue", "signal"}
OURS |= {"time", "partition", "cpus-per-task", "nodes", "ntasks-per-node"}


@dataclass(frozen=True)
class JobRequest:
    """Jobs as a user wants them.

    Parameters
    ----------
    kind : str
        ``slurm``, or ``local``: processes on this machine, which do what the jobs would do.
    jobs : int
        How many the work is cut into.
    cpus : int
        Of each.
    minutes : int
        After which Slurm ends a job; what is left of its work goes into another one.
    partition : str, optional
        By default the cluster's own default.
    attempts : int
        How often a job is submitted at most, if it is lost or does not finish in time.
    sbatch : mapping
        Further options of ``sbatch``, by their long names; None for one without a value.

    Raises
    ------
    InputError
        A value is out of range, or an option is one of ours.
    """

    kind: str
    jobs: int = 10
    cpus: int = 1
    minutes: int = 60
    partition: str | None = None
    attempts: int = 5
    sbatch: Mapping[str, str | None] = field(default_factory=dict)

    def __post_init__(self):
        if self.kind not in KINDS:
            raise InputError(f"launcher={self.kind!r}: expected {' or '.join(KINDS)}")
        for name, minimum in (("jobs", 1), ("cpus", 1), ("minutes", SHORTEST), ("attempts", 1)):
            whole_number(name, getattr(self, name), minimum)
        for name in self.sbatch:
            if name in OURS:
                raise InputError(f"sbatch option {name}: is set by the launcher; leave it out")


def sbatch_options(words: Sequence[str]) -> dict[str, str | None]:
    """Read further options of sbatch.

    Examples
    --------
    >>> sbatch_options(["gres=gpu:1", "--account=voices", "exclusive"])
    {'gres': 'gpu:1', 'account': 'voices', 'exclusive': None}

    Raises
    ------
    InputError
        One has no name.
    """
    found = {}
    for word in words:
        name, equals, value = word.removeprefix("--").partition("=")
        if not name or name.startswith("-") or any(letter.isspace() for letter in name):
            raise InputError(f"--sbatch {word}: expected a long option of sbatch, such as --sbatch gres=gpu:1")
        found[name.replace("_", "-")] = value if equals else None
    return found
