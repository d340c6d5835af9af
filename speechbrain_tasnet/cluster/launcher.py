"""Work in jobs: divided into shares, submitted, waited for, resubmitted if lost, and joined."""

import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from speechbrain_tasnet.cluster.queues import Queue, open_queue
from speechbrain_tasnet.cluster.request import JobRequest
from speechbrain_tasnet.errors import InputError, UnfinishedError
from speechbrain_tasnet.system.locks import exclusive
from speechbrain_tasnet.system.ownership import check_own, make_private_folder
from speechbrain_tasnet.system.process import tune_process
from speechbrain_tasnet.system.termination import Termination

if TYPE_CHECKING:
    from submitit import Job

LOOK_EVERY = 1.0  # seconds, for results
ASK_EVERY = (2.0, 30.0)  # seconds, for the queue: at first, and later, when nothing happens for long
LAST_WORDS = 30.0  # seconds that jobs have to end once their results are there
GOODBYE = 180.0  # seconds that they have when they are cancelled


class JobLauncher:
    """Divides work among jobs; it is the `Launcher` that generators, separation and studies take.

    Parameters
    ----------
    request : JobRequest
        What the jobs are like.
    folder : Path
        For their functions, results and output. All machines must see it. It is removed when all went well.
    """

    def __init__(self, request: JobRequest, folder: Path):
        self.cpus = request.cpus
        self._request, self._folder = request, Path(folder).absolute()

    def share_out(self, function: Callable[[list], list], tasks: Sequence, label: str) -> list:
        """Call a function with shares of the tasks, each in a job, and join what it returns.

        A job may be killed at any time, or run out of it. Then another one does the same share, so the function
        should leave out what it finds done. An interrupt, or SIGTERM, ends all jobs.

        Parameters
        ----------
        function : callable
            Importable function of a list of tasks; returns a list with a result for each.
        tasks : sequence
            Picklable tasks, dealt out one by one, so that shares take about equally long.
        label : str
            What the work is called.

        Returns
        -------
        list
            The results, in the order of the tasks.

        Raises
        ------
        InputError
            Of a job's function, or submitit or Slurm are missing, or Slurm has refused the jobs, or another run is
            using the folder.
        UnfinishedError
            A job was lost too often.
        """
        count = min(self._request.jobs, len(tasks))
        shares = [list(tasks[number::count]) for number in range(count)]
        work = [partial(do_share, function, share) for share in shares]
        with _job_folder(self._folder), _empty_queue(open_queue(self._folder, self._request)) as queue:
            done = self._run(work, queue, label) if work else []
        results = [None] * len(tasks)
        for number, share in enumerate(done):
            results[number::count] = share
        return results

    def _run(self, work: list[Callable[[], list]], queue: Queue, label: str) -> list[list]:
        """Run all jobs until each has a result."""
        running = dict(enumerate(queue.submit(work)))
        print(f"{label}: {len(work)} jobs ({queue.name}), their output is in {self._folder}", file=sys.stderr)
        results, attempts = {}, Counter(running.keys())
        with tqdm(total=len(work), desc=label, unit="job", disable=None) as bar:
            for number in _ended(running, queue, self._folder):
                job = running.pop(number)
                if job.paths.result_pickle.exists():
                    results[number] = job.result()
                    if isinstance(results[number], InputError):
                        raise results[number]
                    bar.update()
                elif attempts[number] < self._request.attempts:
                    tqdm.write(f"{label}: job {job.job_id} ended early; submitted again", file=sys.stderr)
                    attempts[number] += 1
                    running |= zip([number], queue.submit([work[number]]), strict=True)
                else:
                    raise UnfinishedError(
                        f"{label}: a job has ended early {attempts[number]} times; see {job.paths.stderr}, give "
                        "more --minutes or memory (--sbatch mem=8G), and start the command again"
                    )
        return [results[number] for number in range(len(work))]


def do_share(function: Callable[[list], list], tasks: list) -> list | InputError:
    """Do a job's share of the work; an error in the input is returned as a result."""
    tune_process()
    with Termination():  # submitit passes over SIGTERM
        try:
            return function(tasks)
        except InputError as error:
            return error


def _ended(running: dict[int, "Job"], queue: Queue, folder: Path) -> Iterator[int]:
    """Yield the numbers of jobs that have ended, with a result or without, until none is left.

    One is lost if it is twice not in the queue and there still is no result: on a network's disk that may show
    later.
    """
    gone, asked, wait = Counter(), time.monotonic(), ASK_EVERY[0]
    while running:
        # Reading the folder lets a network's disk notice what is new in it.
        names = {path.name for path in folder.iterdir()}
        ended = [number for number, job in running.items() if job.paths.result_pickle.name in names]
        if not ended and time.monotonic() - asked >= wait:
            active, asked, wait = queue.active(), time.monotonic(), min(1.5 * wait, ASK_EVERY[1])
            for job in running.values():
                gone[job.job_id] = 0 if active is None or job.job_id in active else gone[job.job_id] + 1
                if gone[job.job_id] == 1:
                    wait = ASK_EVERY[0]
            ended = [number for number, job in running.items() if gone[job.job_id] >= 2]
        if ended:
            wait = ASK_EVERY[0]
            yield from ended
        else:
            time.sleep(LOOK_EVERY)


@contextmanager
def _job_folder(folder: Path) -> Iterator[None]:
    """Hold the folder of the jobs: its content is run, so only the user may access it, one run at a time."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(folder.with_name(f"{folder.name}.lock"), folder):
        try:
            make_private_folder(folder)
        except FileExistsError:
            check_own(folder)
        try:
            yield
        except UnfinishedError:
            raise
        except InputError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _empty_queue(queue: Queue) -> Iterator[Queue]:
    """Make sure that no job of an earlier run, nor of this one, keeps running."""
    with Termination():
        _end_all(queue)
        try:
            yield queue
            _wait_for_the_end(queue, LAST_WORDS)  # one that has left its result may still be in the queue
        finally:
            _end_all(queue)


def _end_all(queue: Queue) -> None:
    """Cancel all jobs and wait until they have ended."""
    if queue.active():
        queue.cancel()
        _wait_for_the_end(queue, GOODBYE)


def _wait_for_the_end(queue: Queue, patience: float) -> None:
    """Wait until there are no more jobs, but at most this many seconds."""
    began = time.monotonic()
    while queue.active() and time.monotonic() - began < patience:
        time.sleep(LOOK_EVERY)
