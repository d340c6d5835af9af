"""A Slurm of its own for tests: Debian's programs, two nodes on this machine, everything in one folder."""

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

PROGRAMS = (
    "munged",
    "mungekey",
    "slurmctld",
    "slurmd",
    "sbatch",
    "srun",
    "scancel",
    "scontrol",
    "squeue",
    "sinfo",
)
PATIENCE = 300.0  # seconds, on a busy machine

NODES = ("node1", "node2")

CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_min_interval=100000,batch_sched_delay=0
SlurmdParameters=config_overrides
MpiDefault=none
ReturnToService=2
KillWait=30
MinJobAge=300
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/jobs.txt
AccountingStorageType=accounting_storage/none
NodeName={nodes[0]} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2
NodeName={nodes[1]} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing_programs() -> list[str]:
    """Name what is not installed of Slurm and munge."""
    return [program for program in PROGRAMS if _found(program) is None]


def _found(program: str) -> str | None:
    return shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]))


class Cluster:
    """A running Slurm; programs find it by ``SLURM_CONF``."""

    def __init__(self, folder: Path):
        self.folder = folder

    def ask(self, *words: str) -> str:
        """Run one of Slurm's programs; returns what it prints."""
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()

    def running(self, node: str = "") -> list[str]:
        """List the ids of jobs that run, on one node or on all."""
        where = [f"--nodelist={node}"] if node else []
        return self.ask("squeue", "--states=RUNNING", "--noheader", "--array", "--format=%i", *where).split()

    def accounts(self) -> list[dict[str, str]]:
        """Return what Slurm has written down of each job that has ended."""
        lines = (self.folder / "jobs.txt").read_text().splitlines()
        return [dict(word.partition("=")[::2] for word in line.split()) for line in lines]


def in_short(accounts: list[dict[str, str]]) -> str:
    """Return accounts as a table in Markdown, times in seconds after the first job was submitted."""

    def seconds(account: dict[str, str], what: str) -> float:
        return datetime.fromisoformat(account[what]).timestamp()

    began = min(seconds(account, "SubmitTime") for account in accounts)
    rows = ["| job | node | processors | submitted | begun | ended | state | exit code |"]
    rows.append("|---|---|--:|--:|--:|--:|---|--:|")
    for account in accounts:
        array = account.get("ArrayJobId")
        job = f"{array}_{account['ArrayTaskId']}" if array else account["JobId"]
        times = [f"{seconds(account, what) - began:.0f} s" for what in ("SubmitTime", "StartTime", "EndTime")]
        node, state = account["NodeList"].replace("(null)", "none"), account["JobState"].lower()
        cells = [job, node, account["ProcCnt"], *times, state, account["ExitCode"].partition(":")[0]]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for a condition."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < PATIENCE, f"waited in vain: {what}"
        time.sleep(0.1)


@contextmanager
def slurm(folder: Path) -> Iterator[Cluster]:
    """Start munge, a controller and two nodes, and end them again."""
    socket_name = folder / "munge.socket"
    key, configuration = folder / "munge.key", folder / "slurm.conf"
    (folder / "state").mkdir()
    for node in NODES:
        (folder / f"spool-{node}").mkdir()
    host = socket.gethostname().partition(".")[0]
    configuration.write_text(
        CONFIGURATION.format(folder=folder, host=host, user=getpass.getuser(), ports=_free_ports(3), nodes=NODES)
    )
    subprocess.run([_found("mungekey"), "--create", f"--keyfile={key}"], check=True)
    munge = [f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "log", "seed")]
    munge = ["munged", "--foreground", "--force", f"--socket={socket_name}", *munge]
    with ExitStack() as opened:
        opened.enter_context(_program(folder, *munge))
        until(socket_name.exists, "munged")
        opened.enter_context(_program(folder, "slurmctld", "-D", "-f", str(configuration)))
        for node in NODES:
            opened.enter_context(_program(folder, "slurmd", "-D", "-N", node, "-f", str(configuration)))
        before = os.environ.get("SLURM_CONF")
        os.environ["SLURM_CONF"] = str(configuration)
        cluster = Cluster(folder)
        try:
            until(lambda: _idle_nodes() == len(NODES), f"nodes; see {folder}/*.log")
            yield cluster
            cluster.ask("scancel", f"--user={getpass.getuser()}")
            until(lambda: not cluster.ask("squeue", "--noheader"), "the end of all jobs")
        finally:
            os.environ.pop("SLURM_CONF")
            if before is not None:
                os.environ["SLURM_CONF"] = before


def _idle_nodes() -> int:
    done = subprocess.run(["sinfo", "--noheader", "--Node", "--format=%t"], capture_output=True, text=True)
    return done.stdout.split().count("idle")


@contextmanager
def _program(folder: Path, name: str, *words: str) -> Iterator[None]:
    """Run a program until the end of the test."""
    with open(folder / f"{name}{''.join(words[1:3])}.log".replace("/", "-"), "wb") as log:
        process = subprocess.Popen([_found(name), *words], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.terminate()
            process.wait()


def _free_ports(count: int) -> list[int]:
    """Ask the system for ports that nobody listens on."""
    with ExitStack() as opened:
        sockets = [opened.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
