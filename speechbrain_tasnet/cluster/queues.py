"""Where jobs wait and run: Slurm's queue, or processes of this machine; both by submitit."""

import getpass
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from speechbrain_tasnet.cluster.request import WARNING, JobRequest
from speechbrain_tasnet.errors import InputError

if TYPE_CHECKING:
    from submitit import Job

FOREVER = 10**6  # minutes that a process of this machine may take


class Queue(Protocol):
    """What a launcher needs of submitit and Slurm."""

    name: str

    def submit(self, functions: Sequence[Callable[[], object]]) -> list["Job"]:
        """Submit a job for each function."""

    def active(self) -> set[str] | None:
        """Return the ids of all jobs that wait or run; None if nobody knows at the moment."""

    def cancel(self) -> None:
        """Cancel all jobs, including those that a killed run has left behind."""


def open_queue(folder: Path, request: JobRequest) -> Queue:
    """Open the queue that a request names.

    Parameters
    ----------
    folder : Path
        Where submitit keeps functions, results and what jobs print. All machines must see it.
    request : JobRequest
        What the jobs are like.

    Raises
    ------
    InputError
        submitit is not installed, or this machine has no Slurm.
    """
    try:
        import submitit
    except ImportError as error:
        raise InputError(
            f"--launcher {request.kind} needs submitit ({error}); pip install 'speechbrain-tasnet[cluster]'"
        ) from None
    if request.kind == "local":
        return LocalQueue(submitit.AutoExecutor(folder, cluster="local"))
    missing = [program for program in ("sbatch", "srun", "squeue", "scancel") if shutil.which(program) is None]
    if missing:
        raise InputError(
            f"--launcher slurm: no {missing[0]} on this machine; start the command where sbatch works, such as a "
            "cluster's login node"
        )
    return SlurmQueue(submitit.AutoExecutor(folder, cluster="slurm"), folder, request)


class SlurmQueue:
    """Jobs of Slurm, told apart from all others by a name that follows from their folder.

    Slurm is not asked for accounts, which many clusters do not keep: whatever is not in the queue has ended. It
    never starts a job again on its own, so that no work is done twice at the same time.
    """

    def __init__(self, executor, folder: Path, request: JobRequest):
        self.name = f"tasnet-{hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:12]}"
        self._mine = [f"--user={getpass.getuser()}", f"--name={self.name}"]
        self._executor = executor
        further = {name: True if value is None else value for name, value in request.sbatch.items()}
        self._executor.update_parameters(
            name=self.name,
            timeout_min=request.minutes,
            nodes=1,
            tasks_per_node=1,
            cpus_per_task=request.cpus,
            slurm_array_parallelism=request.jobs,
            slurm_additional_parameters={"no-requeue": True, "signal": f"TERM@{WARNING}"} | further,
            **({} if request.partition is None else {"slurm_partition": request.partition}),
        )

    def submit(self, functions: Sequence[Callable[[], object]]) -> list["Job"]:
        """Submit a job array, or a single job."""
        with _as_no_job():
            try:
                return self._executor.submit_array(functions)
            except (RuntimeError, subprocess.SubprocessError) as error:  # as submitit passes on what sbatch says
                lines = [line for line in str(error).splitlines() if "sbatch:" in line] or [str(error)]
                raise InputError(f"sbatch refused the jobs: {' '.join(lines)}") from None

    def active(self) -> set[str] | None:
        """Return the ids of all jobs that wait, run or are just ending."""
        command = ["squeue", *self._mine, "--noheader", "--array", "--format=%i"]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
        return set(done.stdout.split()) if done.returncode == 0 else None

    def cancel(self) -> None:
        """Cancel all jobs of this name; running ones have some seconds to save what they can."""
        subprocess.run(["scancel", *self._mine], capture_output=True, check=False)


class LocalQueue:
    """Processes of this machine, all at the same time."""

    name = "local"

    def __init__(self, executor):
        self._executor, self._jobs = executor, []
        self._executor.update_parameters(timeout_min=FOREVER)

    def submit(self, functions: Sequence[Callable[[], object]]) -> list["Job"]:
        """Start a process for each function."""
        with _as_no_job():
            jobs = self._executor.submit_array(functions)
        self._jobs += jobs
        return jobs

    def active(self) -> set[str]:
        """Return the ids of those that run."""
        return {job.job_id for job in self._jobs if not job.done()}

    def cancel(self) -> None:
        """Interrupt all running processes."""
        for job in self._jobs:
            if not job.done():
                job.cancel()


@contextmanager
def _as_no_job() -> Iterator[None]:
    """Hide from new jobs that this process may be a job itself: they would inherit its resources."""
    from submitit.helpers import clean_env

    if "SLURM_JOB_ID" not in os.environ:
        yield
        return
    kept = {name: value for name, value in os.environ.items() if name.startswith(("SBATCH_", "SLURM_CONF"))}
    with clean_env():
        os.environ.update(kept)
        yield
