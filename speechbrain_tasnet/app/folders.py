"""Folders for results, each under a name that nobody can guess, until the page that shows them is left."""

import shutil
import tempfile
from collections import defaultdict
from pathlib import Path


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
        """Make a folder for a page."""
        folder = Path(tempfile.mkdtemp(prefix="", dir=self.home))
        self._by_page[page].append(folder)
        return folder

    def remove(self, page: str | None) -> None:
        """Remove all folders of a page."""
        for folder in self._by_page.pop(page, ()):
            shutil.rmtree(folder, ignore_errors=True)
