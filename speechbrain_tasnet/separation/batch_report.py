"""Progress reports while recordings are separated: the names of files, or a line of JSON for programs."""

import json
import sys
from pathlib import Path

from tqdm import tqdm

from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.separation.recording import Written


class Report:
    """Reports nothing; the base of the other reports."""

    def written(self, mixture: Path, written: Written, elapsed: float) -> None:
        """Report a mixture that has been separated, and the seconds it took."""

    def failed(self, mixture: Path, error: InputError) -> None:
        """Report what is wrong with a mixture; for people this is on standard error."""


class Names(Report):
    """Prints the names of what is written on standard output."""

    def written(self, mixture: Path, written: Written, elapsed: float) -> None:
        """Report a mixture that has been separated, and the seconds it took."""
        del mixture, elapsed
        for file in (*written.sources, *written.tables):
            tqdm.write(str(file))


class JsonLines(Report):
    """Prints an object of JSON a line for each mixture on standard output, of those that failed, too."""

    def written(self, mixture: Path, written: Written, elapsed: float) -> None:
        """Report a mixture that has been separated, and the seconds it took."""
        self._print(
            mixture=str(mixture),
            sources=[str(path) for path in written.sources],
            tables=[str(path) for path in written.tables],
            sample_rate=written.rate,
            seconds=round(written.seconds, 3),
            voices=len(written.source_levels),
            mixture_dbfs=_rounded(written.mixture_level),
            source_dbfs=[_rounded(level) for level in written.source_levels],
            elapsed=round(elapsed, 3),
        )

    def failed(self, mixture: Path, error: InputError) -> None:
        """Report what is wrong with a mixture."""
        self._print(mixture=str(mixture), error=str(error))

    def _print(self, **what) -> None:
        tqdm.write(json.dumps(what))
        sys.stdout.flush()  # a program that reads them need not wait for the next


def _rounded(level: float | None) -> float | None:
    return None if level is None else round(level, 2)
