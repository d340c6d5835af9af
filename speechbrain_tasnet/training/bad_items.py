"""A record of items that could not be used: in the log, in a file, up to a limit."""

import csv
import logging
from pathlib import Path

from speechbrain.utils.distributed import if_main_process

from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.system.csv_text import csv_text, original_cell
from speechbrain_tasnet.system.files import write_text
from speechbrain_tasnet.training.distributed import gather

logger = logging.getLogger(__name__)


class BadItems:
    """What was bad in a run; each item counts once, however often it is met.

    Parameters
    ----------
    path : path-like
        CSV file with the columns ``split,id,reason``, kept up to date; there is none while nothing is bad. What
        it holds already is taken over.
    limit : int
        How many are tolerated.
    """

    def __init__(self, path: Path | str, limit: int):
        self.path, self.limit = Path(path), limit
        self._reasons: dict[tuple[str, str], str] = {}
        if self.path.exists():
            with self.path.open(newline="", encoding="utf-8") as file:
                rows = [{key: original_cell(cell) for key, cell in row.items()} for row in csv.DictReader(file)]
            self._reasons = {(row["split"], row["id"]): row["reason"] for row in rows}

    def __len__(self) -> int:
        return len(self._reasons)

    def names(self, split: str) -> list[str]:
        """List the bad items of a split, sorted."""
        return sorted(name for found, name in self._reasons if found == split)

    def forget(self, *splits: str) -> None:
        """Clear some splits: what an earlier start found bad may have been fixed."""
        self._reasons = {key: reason for key, reason in self._reasons.items() if key[0] not in splits}
        if if_main_process():
            self._write()

    def add(self, split: str, name: str, reason: str) -> None:
        """Record an item.

        Parameters
        ----------
        split : str
            ``train``, ``valid`` or ``test``.
        name : str
            Its id, or the file that it is made of.
        reason : str
            What is wrong with it.

        Raises
        ------
        InputError
            It is one too many.
        """
        if (split, name) in self._reasons:
            return
        self._reasons[split, name] = reason
        if if_main_process():
            self._write()
        if len(self) > self.limit:
            raise InputError(
                f"{len(self)} bad items, more than max_bad_items={self.limit}, listed in {self.path}; fix them "
                f"or raise the limit; the last is {name}: {reason}"
            )
        logger.warning(
            "Bad item skipped (%d of at most %d), %s %s: %s", len(self), self.limit, split, name, reason
        )

    def gather(self) -> None:
        """Record what the other processes of this training have met; all must call it."""
        for (split, name), reason in gather(list(self._reasons.items())):
            self.add(split, name, reason)

    def log_all(self) -> None:
        """List them at the end of a run."""
        for (split, name), reason in sorted(self._reasons.items()):
            logger.warning("Bad item, %s %s: %s", split, name, reason)
        if self._reasons:
            logger.warning("%d bad items were skipped; they are listed in %s", len(self), self.path)

    def _write(self) -> None:
        if not self._reasons:
            self.path.unlink(missing_ok=True)
            return
        rows = [(*key, reason) for key, reason in sorted(self._reasons.items())]
        write_text(self.path, csv_text([("split", "id", "reason"), *rows]))
