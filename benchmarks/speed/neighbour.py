"""Measure how much speed is left beside a busy program: ``python -m benchmarks.speed.neighbour``.

Each works in its own process, started as a user's program is: alone, beside a Python loop of the same priority,
and alone on one thread. They take turns, so that whatever else the machine does affects them all.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

from benchmarks.page import DOCS, write_section

PAGE = "speed.md"
MINUTES = 0.4  # of training in a demo
TEXT = """\
## Beside a busy program

`python -m benchmarks.speed.neighbour`: what is left of the quiet speed while a loop in Python of the same priority
keeps one of {cores} cores busy, medians of {rounds} turns. Training takes steps of 4 x 3 s and separation windows
of 10 s of a recording, both with {sizes}; "from Python" is a program that does not call
`tune_process`. Where two threads and the loop share two cores fairly, 67 % are left.

| | quiet | beside a busy program | on one thread, quiet |
|---|--:|--:|--:|
{rows}"""


class Way(NamedTuple):
    """A name for the table, the unit of its speeds, and how they are measured in an environment."""

    name: str
    unit: str
    rate: Callable[[dict[str, str]], float]


def main() -> None:
    """Measure, print the table and write it into the documentation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each (%(default)s)")
    rounds = parser.parse_args().rounds
    with TemporaryDirectory() as folder:
        section = measure(_ways(Path(folder)), rounds)
    print(section)
    write_section(DOCS / PAGE, section)


def _ways(folder: Path) -> list[Way]:
    steps, audio = "steps a second", "s of audio a second"
    return [
        Way("training, command line", steps, _work("training", "convtasnet", "--tuned")),
        Way("training, from Python", steps, _work("training", "convtasnet")),
        Way("training, torchaudio", steps, _work("training", "torchaudio")),
        Way("separation, command line", audio, _work("separation", "convtasnet", "--tuned")),
        Way("separation, from Python", audio, _work("separation", "convtasnet")),
        Way("separation, torchaudio", audio, _work("separation", "torchaudio")),
        Way("`tasnet demo`", steps, lambda environment: _demo(folder, environment)),
    ]


def measure(ways: list[Way], rounds: int) -> str:
    """Let all work in turns and write the section."""
    from benchmarks.speed.sizes import SIZES

    one = os.environ | {"OMP_NUM_THREADS": "1"}
    turns: dict[str, list[tuple[float, float, float]]] = {way.name: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            quiet = way.rate(dict(os.environ))
            with busy_program():
                beside = way.rate(dict(os.environ))
            turns[way.name].append((quiet, beside, way.rate(one)))
    rows = ""
    for way in ways:
        quiet = median(turn[0] for turn in turns[way.name])
        beside, alone = (median(turn[i] / turn[0] for turn in turns[way.name]) for i in (1, 2))
        rows += f"| {way.name} | {quiet:.3g} {way.unit} | {beside:.0%} | {alone:.0%} |\n".replace("%", " %")
    return TEXT.format(cores=os.cpu_count(), rounds=rounds, sizes=SIZES["shipped"], rows=rows)


@contextmanager
def busy_program():
    """Keep a processor busy."""
    program = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        program.kill()
        program.wait()


def _work(*words: str) -> Callable[[dict[str, str]], float]:
    """Return what starts `work` and returns the number that it prints."""

    def rate(environment: dict[str, str]) -> float:
        command = [sys.executable, "-m", "benchmarks.speed.work", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        return float(done.stdout.splitlines()[-1])

    return rate


def _demo(folder: Path, environment: dict[str, str]) -> float:
    """Return the steps a second of a demo; its corpus is made once."""
    command = [
        sys.executable,
        "-m",
        "speechbrain_tasnet.cli",
        "demo",
        "--out",
        str(folder),
        "--minutes",
        f"{MINUTES}",
    ]
    subprocess.run(command, capture_output=True, check=True, env=environment)
    (ledger,) = (folder / "run").rglob("ledger.json")
    steps = json.loads(ledger.read_text(encoding="utf-8"))["steps"]
    rmtree(folder / "run")
    return steps / (60 * MINUTES)


if __name__ == "__main__":
    main()
