"""``python -m benchmarks.mutations``: bugs planted in the package one by one, and the tests that catch them.

The bugs stand in ``planted.txt``. Each is planted in a copy of the project, where the tests of its file run until
the first one fails. A bug that no test catches is a missing test.
"""

import argparse
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import pytest

from benchmarks.page import RESULTS, write_section

PACKAGE = "speechbrain_tasnet"

ROOT = Path(__file__).parents[1]
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
        """Change the text of the file.

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


class _FirstFailure:
    """A plugin of pytest that notes which test fails first, or which file cannot even be read."""

    name: str | None = None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.failed and self.name is None:
            self.name = report.nodeid.partition("[")[0]


def run_tests(home: Path, tests: tuple[str, ...]) -> str | None:
    """Run tests of the copy until the first one fails; returns its name, or None if none does.

    A fork of this process runs them: it has loaded all libraries, and forgets the package alone.
    """
    context = get_context("fork")
    told, teller = context.Pipe(duplex=False)
    process = context.Process(target=_tell_first_failure, args=(home, tests, teller))
    process.start()
    teller.close()
    process.join(PATIENCE)
    if process.is_alive():
        process.kill()
        return "the time limit"
    if not told.poll():  # it ended without a word
        return f"a crash of the tests (status {process.exitcode})"
    status, name = told.recv()
    if name is None and status != pytest.ExitCode.OK:
        raise SystemExit(f"pytest {shlex.join(tests)} ended with {status}")
    return name


def _tell_first_failure(home: Path, tests: tuple[str, ...], teller: Connection) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
        del sys.modules[name]
    os.chdir(home)
    sys.path.insert(0, str(home))
    os.environ["PYTHONPATH"] = str(home)  # for the processes that tests start
    first = _FirstFailure()
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        status = pytest.main(["-x", "-q", "--tb=no", "-p", "no:cacheprovider", *tests], plugins=[first])
    teller.send((status, first.name))


def campaign(home: Path, bugs: list[Bug]) -> list[str | None]:
    """Plant the bugs one by one; returns who catches each.

    Raises
    ------
    SystemExit
        A test that has caught a bug fails without any.
    """
    caught = []
    for bug in bugs:
        path = home / PACKAGE / bug.file
        source = path.read_text(encoding="utf-8")
        path.write_text(bug.plant(source), encoding="utf-8")
        caught.append(run_tests(home, bug.tests))
        path.write_text(source, encoding="utf-8")
        print(f"{bug.file}: {bug.breaks} {caught[-1] or 'NOT CAUGHT'}", flush=True)
    catchers = sorted({test for test in caught if test})
    tests = [test for test in catchers if "::" in test]
    files = [test for test in catchers if test.endswith(".py")]  # that could not even be read
    for again in (tests, files and ["--collect-only", *files]):
        if again and (failed := run_tests(home, tuple(again))):
            raise SystemExit(f"{failed} fails without any bug")
    return caught


def table(bugs: list[Bug], caught: list[str | None]) -> str:
    """Write the section of the page."""
    survivors = caught.count(None)
    end = f"{survivors} of them NOT caught" if survivors else "each caught by tests"
    head = f"`python -m benchmarks.mutations`: {len(bugs)} bugs, {end}, of which the first is named here."
    lines = [
        f"| `{bug.file}` | {bug.breaks.removesuffix('.')} | {f'`{test}`' if test else 'nobody'} |"
        for bug, test in zip(bugs, caught, strict=True)
    ]
    return "\n".join(["## Planted bugs\n", f"{head}\n", "| file | bug | caught by |", "|---|---|---|", *lines, ""])


def main() -> None:
    """Run the campaign and write the page's section."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutations", description=__doc__)
    parser.add_argument(
        "--only", default="", metavar="FILE", help="files whose names hold this; writes no section"
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help="page to write the table into (%(default)s)")
    options = parser.parse_args()
    bugs = [bug for bug in read_bugs() if options.only in bug.file]
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    # A source changed twice in a second may be as long as before, and Python would take the old byte code.
    sys.dont_write_bytecode = True
    import_module(f"{PACKAGE}.experiment")  # for the libraries
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for name in COPIED:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, home / name)
        # Where an installed package has them.
        (home / PACKAGE / "hparams").symlink_to("../hparams")
        caught = campaign(home, bugs)
    text = table(bugs, caught)
    print(text)
    if not options.only:
        write_section(options.out, text)
    raise SystemExit(None in caught)


if __name__ == "__main__":
    main()
