"""Folders for results, each under a name that nobody can guess, kept until the page that shows them is closed."""

import shutil
import tempfile
import time
from collections import defaultdict
from pathlib import Path

STAY = 6 * 3600  # seconds, at most: programs leave no page


class Folders:
    """Temporary folders by whose page they are for.

    Parameters
    ----------
    home : Path
        Where they lie.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as home:
    ...     folders = Folders(Path(home))
    ...     mine, yours = folders.new("me"), folders.new("you")
    ...     folders.remove("me")
    ...     mine.exists(), yours.exists()
    (False, True)
    """

    def __init__(self, home: Path):
        self.home = home
        self._by_page: dict[str | None, list[Path]] = defaultdict(list)

    def new(self, page: str | None) -> Path:
        """Make a folder for a page, and remove folders of other pages that have been kept too long."""
        for old in self.home.iterdir():
            if time.time() - old.stat().st_mtime > STAY:
                shutil.rmtree(old, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix="", dir=self.home))
        self._by_page[page].append(folder)
        return folder

    def remove(self, page: str | None) -> None:
        """Remove all folders of a page."""
        for folder in self._by_page.pop(page, ()):
            shutil.rmtree(folder, ignore_errors=True)
