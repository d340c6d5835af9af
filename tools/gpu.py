"""Run every check that needs a GPU, in a quarter of an hour: ``python -m tools.gpu --out FOLDER``.

Tests of the kernels, the doctor, a comparison of the paths through a block, the benchmark beside the other
toolkits, and a training. Each step is ended at its limit; what it has printed by then is in the folder, as
``STEP.log``. ``--only`` runs some of them, if the machine is available for less time.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
ROUND_THE_TRAINING = 2.0  # minutes: its corpus before, its evaluation after it


class Step(NamedTuple):
    """A command of Python's, and the minutes it may take."""

    minutes: float
    words: list[str]


def main() -> None:
    """Run the steps in order; ends with status 1 if one failed or was ended."""
    options = _parser().parse_args()
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    steps = plan(out, options.minutes)
    results = {name: run(steps[name], out / f"{name}.log") for name in options.only or steps}
    raise SystemExit(int(any(status != 0 for status in results.values())))


def plan(out: Path, minutes: float) -> dict[str, Step]:
    """List the steps, of about 15 minutes with a training of four.

    Parameters
    ----------
    out : Path
        Folder of what they write.
    minutes : float
        Of the training.

    Example
    -------
    >>> sum(step.minutes for step in plan(Path("out"), 4.0).values())
    15.0
    """
    tests = ["tests/test_gpu.py", "tests/test_gpu_trust.py"]
    speed = ["benchmarks.speed", "--device", "cuda", "--out", str(out / "speed")]
    demo = ["demo", "--out", str(out / "demo"), "--minutes", f"{minutes:g}"]
    return {
        "tests": Step(1.5, ["pytest", "-q", "-p", "no:cacheprovider", *tests]),
        "doctor": Step(1.0, ["speechbrain_tasnet.cli", "doctor"]),
        "blocks": Step(1.5, ["benchmarks.training.gpu_block"]),
        "speed": Step(4.5, [*speed, "--minutes", "2"]),
        # Where the benchmark was ended, of what it has measured.
        "report": Step(0.5, ["benchmarks.speed", "report", *speed[1:]]),
        "training": Step(minutes + ROUND_THE_TRAINING, ["speechbrain_tasnet.cli", *demo]),
    }


def run(step: Step, log: Path) -> int | None:
    """Run a step with all that it starts, and print how it ended; None: it was ended."""
    start = time.monotonic()
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with (
        log.open("w", encoding="utf-8") as file,
        subprocess.Popen(
            [sys.executable, "-m", *step.words],
            cwd=ROOT,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        try:
            status = process.wait(60 * step.minutes)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            status = None
    end = "ended at its limit" if status is None else f"status {status}"
    print(f"{log.stem:9} {time.monotonic() - start:5.0f} s  {end}, {log}", flush=True)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.gpu", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/gpu"), metavar="FOLDER", help="(%(default)s)")
    parser.add_argument(
        "--only", nargs="+", metavar="STEP", choices=list(plan(Path(), 0.0)), help="some of the steps"
    )
    parser.add_argument("--minutes", type=float, default=4.0, help="how long the training lasts (%(default)s)")
    return parser


if __name__ == "__main__":
    main()
