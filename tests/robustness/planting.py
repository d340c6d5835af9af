"""Bugs planted in a copy of the project, and the tests that run there."""

import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = "speechbrain_tasnet"
ROOT = Path(__file__).parents[2]
PLANTED = Path(__file__).parent / "planted.txt"
COPIED = (PACKAGE, "tests", "hparams", "recipes", "pyproject.toml")
PATIENCE = 900  # seconds; a bug may make a loop endless


class Bug(NamedTuple):
    """One bug: the file in the package, what it breaks, the lines that go and those that come, and its tests."""

    file: str
    breaks: str
    old: tuple[str, ...]
    new: tuple[str, ...]
    tests: tuple[str, ...]

    def plant(self, source: str) -> str:
        """Return the text of the file with the bug in it.

        Raises
        ------
        ValueError
            The old lines do not stand there exactly once.
        """
        lines, size = source.splitlines(), len(self.old)
        stripped = [line.strip() for line in lines]
        places = [i for i in range(len(lines)) if stripped[i : i + size] == [line.strip() for line in self.old]]
        if len(places) != 1:
            raise ValueError(f"{self.file}: {len(places)} places, expected one, of: {' / '.join(self.old)}")
        (place,) = places
        indent = lines[place].removesuffix(stripped[place])
        lines[place : place + size] = [f"{indent}{line}" for line in self.new]
        return "\n".join(lines) + "\n"


def read_bugs(path: Path = PLANTED) -> Iterator[Bug]:
    """Read the list: a section a file, a paragraph a bug."""
    for section in path.read_text(encoding="utf-8").split("\n== ")[1:]:
        head, *paragraphs = section.strip().split("\n\n")
        file, tests = head.split("\ntests: ")
        for paragraph in paragraphs:
            breaks, *lines = paragraph.splitlines()
            old, new = (tuple(line[2:] for line in lines if line.startswith(sign)) for sign in "-+")
            yield Bug(file, breaks, old, new, tuple(shlex.split(tests)))


class Project:
    """A copy of the project, with a bug in it now and then.

    Each run of tests is a fork of a server process that has loaded all libraries, which takes seconds, and that no
    test has used before.

    Parameters
    ----------
    home : Path
        Empty folder for the copy.
    """

    def __init__(self, home: Path):
        self.home = home
        for name in COPIED:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, home / name)
        # Where an installed package has them.
        (home / PACKAGE / "hparams").symlink_to("../hparams")
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload(["pytest", f"{PACKAGE}.experiment.workflow"])
        self._sound: set[tuple[str, ...]] = set()

    @contextmanager
    def planted(self, bug: Bug) -> Iterator[None]:
        """Keep a bug in the copy for a while."""
        path = self.home / PACKAGE / bug.file
        source = path.read_text(encoding="utf-8")
        path.write_text(bug.plant(source), encoding="utf-8")
        try:
            yield
        finally:
            path.write_text(source, encoding="utf-8")

    def first_failure(self, tests: Sequence[str]) -> str | None:
        """Run tests until the first one fails; return its name, or None if none does.

        A file that cannot be imported counts as a test, as do a crash and a run that does not end.
        """
        receiver, sender = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_send_first_failure, args=(self.home, tests, sender))
        process.start()
        sender.close()
        process.join(PATIENCE)
        if process.is_alive():
            process.kill()
            process.join()
            return "the time limit"
        try:
            status, name = receiver.recv()
        except EOFError:
            return f"a crash of the tests (status {process.exitcode})"
        if name is None and status != pytest.ExitCode.OK:
            raise ValueError(f"pytest {shlex.join(tests)} ended with {status}")
        return name

    def is_sound(self, name: str, tests: Sequence[str]) -> bool:
        """Return whether what has caught a bug passes without it.

        Parameters
        ----------
        name : str
            As `first_failure` returned it.
        tests : sequence of str
            That it ran.
        """
        if "::" in name:
            tests = [name]
        elif name.endswith(".py"):
            tests = ["--collect-only", name]
        key = tuple(tests)
        if key not in self._sound and self.first_failure(tests) is None:
            self._sound.add(key)
        return key in self._sound


class _FirstFailure:
    """A plugin of pytest that keeps the name of the first test that fails, or file that cannot be imported."""

    name: str | None = None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._keep(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._keep(report)

    def _keep(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.failed and self.name is None:
            self.name = report.nodeid.partition("[")[0]


def _send_first_failure(home: Path, tests: Sequence[str], sender: Connection) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
        del sys.modules[name]
    os.chdir(home)
    sys.path.insert(0, str(home))
    # Also for the processes that tests start. A source changed twice in a second may be as long as before, and
    # Python would then take the old byte code.
    os.environ |= {"PYTHONPATH": str(home), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    sys.dont_write_bytecode = True
    first = _FirstFailure()
    with (
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
        redirect_stdout(nowhere),
        redirect_stderr(nowhere),
    ):
        status = pytest.main(["-x", "-q", "--tb=no", "-p", "no:cacheprovider", *tests], plugins=[first])
    sender.send((status, first.name))
