"""``make matrix``: try the wheel in empty environments, for all Pythons here and three sets of versions.

``lock`` is what locks/ pins, ``newest`` and ``lowest`` are the ends of the ranges in setup.py. In each environment
the wheel is used as its users do: the doctor, a file separated, a training, its resume, an export. Prints a table
in Markdown, and ends with status 1 if anything failed.
"""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.parser import Parser
from pathlib import Path
from typing import NamedTuple

from speechbrain_tasnet.generate.mixing import make_mixtures
from speechbrain_tasnet.generate.synthetic_voices import synthesize_speech
from tools.wheel import ROOT, build_wheel

UV = Path(sys.executable).with_name("uv")
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
VERSIONS = ("lock", "newest", "lowest")
SHOWN = ("torch", "torchaudio", "numba", "numpy")
TINY = shlex.split(
    "--N 16 --L 16 --B 8 --H 16 --Sc 8 --X 2 --R 1 --batch_size 2 --segment 0.5 --num_workers 0 --device cpu "
    "--noprogressbar"
)


class Cell(NamedTuple):
    """One environment: a Python and a set of versions."""

    python: str
    versions: str


def main() -> None:
    """Run the matrix."""
    options = _parser().parse_args()
    pythons = [python for python in options.python if _works(python)]
    print(f"| Python | versions | {' | '.join(SHOWN)} | {' | '.join(CHECKS)} |")
    print(f"|{'---|' * (2 + len(SHOWN) + len(CHECKS))}", flush=True)
    failed = False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel, corpus = build_wheel(folder / "dist"), _make_corpus(folder)
        cells = [Cell(python, versions) for python in pythons for versions in options.versions]
        with ThreadPoolExecutor(options.workers) as pool:
            for row in pool.map(lambda cell: _row(cell, wheel, corpus, folder / "-".join(cell)), cells):
                failed |= any(mark != "ok" for mark in row[-len(CHECKS) :])
                print(f"| {' | '.join(row)} |", flush=True)
    raise SystemExit(int(failed))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make matrix", description=__doc__)
    parser.add_argument(
        "--python", nargs="+", default=PYTHONS, help="as in 3.11; those that are not there are left out"
    )
    parser.add_argument("--versions", nargs="+", default=VERSIONS, choices=VERSIONS)
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="environments at once (%(default)s)")
    return parser


def _works(python: str) -> bool:
    """Return whether there is such a Python: a launcher of that name may be there without it."""
    program = shutil.which(f"python{python}")
    return program is not None and _run([program, "--version"]).returncode == 0


def _make_corpus(folder: Path) -> Path:
    """Make a corpus of some seconds of synthetic voices."""
    second = 1 / 3600
    synthesize_speech(folder / "speech", num_speakers=(4, 3, 3), utterances=3, workers=1)
    hours = {"hours": 20 * second, "valid_hours": 8 * second, "test_hours": 8 * second}
    make_mixtures(folder / "speech", folder / "corpus", **hours, workers=1)
    return folder / "corpus"


def _row(cell: Cell, wheel: Path, corpus: Path, folder: Path) -> list[str]:
    """Make an environment, use the wheel in it and remove it; what fails is marked with its last line."""
    folder.mkdir()
    try:
        return _use(cell, wheel, corpus, folder)
    finally:
        shutil.rmtree(folder)


def _use(cell: Cell, wheel: Path, corpus: Path, folder: Path) -> list[str]:
    python = folder / "env/bin/python"
    problem = _install(cell, wheel, python)
    if problem:
        return [*cell, *("" for _ in SHOWN), problem, *("-" for _ in list(CHECKS)[1:])]
    code = (
        "import importlib.metadata as m, json, sys; print(json.dumps([m.version(name) for name in sys.argv[1:]]))"
    )
    versions = json.loads(_run([python, "-c", code, *SHOWN]).stdout)
    return [*cell, *versions, *(check(python.with_name("tasnet"), corpus, folder) for check in CHECKS.values())]


def _install(cell: Cell, wheel: Path, python: Path) -> str:
    """Install the wheel and its needs into an empty environment; returns what went wrong."""
    install = [UV, "pip", "install", "--quiet", "--python", python]
    commands: list[list[str | Path]] = [[UV, "venv", "--quiet", "--python", cell.python, python.parents[1]]]
    if cell.versions == "lock":
        commands.append([*install, "--require-hashes", "--requirement", ROOT / "locks/test.txt"])
        commands.append([*install, "--no-deps", wheel])
    else:
        strategy = "highest" if cell.versions == "newest" else "lowest-direct"
        # Named one by one, what the wheel needs is direct; what that needs in turn may be as new as it likes. The
        # lowest version of a package is the lowest that has a wheel for this Python.
        ranges = ["--only-binary", ":all:", f"{wheel}[export]", *_needs(wheel)]
        if cell.versions == "lowest":  # torchmetrics 0.11, which Asteroid brings, wants pkg_resources
            ranges.append("setuptools>=77,<81")
        commands.append([*install, "--resolution", strategy, *ranges])
    return next((_last(done) for command in commands if (done := _run(command)).returncode), "")


def _needs(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith("METADATA"))
        lines = Parser().parsestr(archive.read(name).decode()).get_all("Requires-Dist")
    return [line for line in lines if "extra ==" not in line]


def _doctor(tasnet: Path, corpus: Path, folder: Path) -> str:
    done = _run([tasnet, "doctor", "--json"], folder)
    return _mark(done) if not done.stdout else "; ".join(json.loads(done.stdout)["problems"]) or "ok"


def _separate(tasnet: Path, corpus: Path, folder: Path) -> str:
    mixture = min((corpus / "wav8k/min/tt/mix").glob("*.wav"))
    return _mark(_run([tasnet, "separate", mixture, "--out", "separated"], folder))


def _train(tasnet: Path, corpus: Path, folder: Path) -> str:
    return _mark(_run(_training(tasnet, corpus, epochs=1), folder))


def _resume(tasnet: Path, corpus: Path, folder: Path) -> str:
    done = _run(_training(tasnet, corpus, epochs=2), folder)
    epochs = (folder / "run/train_log.txt").read_text().count("train loss") if done.returncode == 0 else 0
    return _mark(done) if epochs in (0, 2) else f"{epochs} epochs in the log"


def _onnx(tasnet: Path, corpus: Path, folder: Path) -> str:
    return _mark(_run([tasnet, "export", "onnx", "run", "--out", "separator.onnx"], folder))


CHECKS: dict[str, Callable[[Path, Path, Path], str]] = {
    "doctor": _doctor,
    "separate": _separate,
    "train": _train,
    "resume": _resume,
    "ONNX": _onnx,
}


def _training(tasnet: Path, corpus: Path, epochs: int) -> list[str | Path]:
    options = ["--data_folder", corpus, "--output_folder", "run", "--number_of_epochs", str(epochs)]
    return [tasnet, "train", "wsj0mix", *options, *TINY]


def _run(command: list[str | Path], folder: Path | None = None) -> subprocess.CompletedProcess:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}  # other cells run beside it
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def _mark(done: subprocess.CompletedProcess) -> str:
    return "ok" if done.returncode == 0 else _last(done)


def _last(done: subprocess.CompletedProcess) -> str:
    lines = (done.stderr or done.stdout).strip().splitlines()
    return f"status {done.returncode}: {lines[-1] if lines else ''}".replace("|", "/")


if __name__ == "__main__":
    main()
