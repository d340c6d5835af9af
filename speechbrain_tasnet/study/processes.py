"""Run contestants one after the other, each in its own process, in one turn or several."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from tqdm import tqdm

from speechbrain_tasnet.study.contestant import EXAMPLES
from speechbrain_tasnet.study.costs import COSTS
from speechbrain_tasnet.study.definition import Study
from speechbrain_tasnet.system.ownership import no_links
from speechbrain_tasnet.system.parallel import Launcher
from speechbrain_tasnet.system.termination import STATUS, apart, ask_to_end

# SpeechBrain's train log, as it comes after each validation.
VALIDATED = re.compile(r"train_logger - epoch: (\d+), .*valid si-snr: ([^,\s]+)")

OUTPUT = "output.txt"


def run_contestants(study: Study) -> dict[str, str]:
    """Measure, then train and evaluate all contestants that are not done yet.

    One that fails is left for another day, and the next one begins. An interrupt or SIGTERM lets the running one
    save a checkpoint, and ends.

    Parameters
    ----------
    study : Study
        Checked.

    Returns
    -------
    dict
        By the names of those that failed, why.
    """
    failures: dict[str, str] = {}

    def run(module: str, name: str, until: int) -> None:
        words = [f"speechbrain_tasnet.study.{module}", str(study.folder(name)), *study.argv(name)]
        reason = _run(words, study.folder(name), study, heads[name], until)
        if reason is not None:
            failures[name] = f"{reason} (all it said: {study.folder(name) / OUTPUT})"
            print(f"{heads[name]}: {reason}", file=sys.stderr)

    heads = {name: f"[{n}/{len(study.contestants)}] {name}" for n, name in enumerate(study.contestants, start=1)}
    done = {name for name in study.contestants if (study.folder(name) / EXAMPLES).exists()}
    for name in study.contestants:
        if name in done:
            print(f"{heads[name]}: done before")
        elif not (study.folder(name) / COSTS).exists():
            run("costs", name, until=0)
    for turn in range(1, study.turns + 1):
        until = study.validations * turn // study.turns
        for name in study.contestants:
            if name in done or name in failures:
                continue
            if turn == study.turns or _validations(study.folder(name)) < until:
                run("contestant", name, until)
    return failures


def run_in_jobs(study: Study, launcher: Launcher) -> dict[str, str]:
    """Run contestants as `run_contestants` does, divided among jobs. There are no turns then.

    Parameters
    ----------
    study : Study
        Checked.
    launcher : Launcher
        Of the jobs.

    Returns
    -------
    dict
        By the names of those that failed, why.
    """
    left = [name for name in study.contestants if not (study.folder(name) / EXAMPLES).exists()]
    reasons = launcher.share_out(partial(_run_some, study), left, study.name)
    failures = {name: reason for name, reason in zip(left, reasons, strict=True) if reason}
    for name, reason in failures.items():
        print(f"{name}: {reason}", file=sys.stderr)
    return failures


def _run_some(study: Study, names: list[str]) -> list[str | None]:
    """Run some of the contestants; returns why each failed, if it did."""
    some = replace(study, contestants={name: study.contestants[name] for name in names}, turns=1)
    failures = run_contestants(some)
    return [failures.get(name) for name in names]


def _validations(folder: Path) -> int:
    """Count the validations that a contestant has completed."""
    ledger = folder / "ledger.json"
    return len(json.loads(ledger.read_text(encoding="utf-8"))["curve"]) if ledger.exists() else 0


def _run(words: Sequence[str], folder: Path, study: Study, head: str, until: int) -> str | None:
    """Run a module until it ends or has completed so many validations; returns why it failed, if it did."""
    folder.mkdir(parents=True, exist_ok=True)
    said, stopped = "", False
    with ExitStack() as opened:
        log = opened.enter_context(open(folder / OUTPUT, "a", encoding="utf-8", opener=no_links))
        process = opened.enter_context(_process(words, study.threads))
        bar = tqdm(
            desc=head,
            total=study.validations,
            unit="validation",
            dynamic_ncols=True,
            disable=until == 0,  # costs are not validated
        )
        with bar:
            for line in process.stdout:
                log.write(line)
                log.flush()
                said = line.strip() or said
                if found := VALIDATED.search(line):
                    bar.set_postfix_str(f"SI-SNR {-float(found[2]):.2f} dB")
                    bar.update(int(found[1]) - bar.n)
                    if until <= int(found[1]) < study.validations and not stopped:
                        stopped = True
                        ask_to_end(process)  # it saves, and resumes at its next turn
        status = process.wait()
    if status == 0 or (stopped and status == STATUS):
        return None
    if status < 0:
        return f"killed by {signal.Signals(-status).name}; out of memory?"
    return said.removeprefix("tasnet: error: ") or f"exit status {status}"


@contextmanager
def _process(words: Sequence[str], threads: int) -> Iterator[subprocess.Popen]:
    """Start a process; however the context is left, it is asked to end and given time to save."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    environment |= {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    process = subprocess.Popen(
        [sys.executable, "-m", *words],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        **apart(),  # a terminal's interrupt is for us; the contestant is asked to end, and saves
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            ask_to_end(process)
            process.communicate()
