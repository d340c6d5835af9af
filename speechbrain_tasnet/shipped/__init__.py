"""Separators that come with the package: a bundle each, in a folder of its name."""

from pathlib import Path

HOME = Path(__file__).parent

# What `tasnet separate` and `tasnet stream` take by default.
DEFAULT = "convtasnet-8k-2spk"
LIVE = "convtasnet-8k-2spk-live"


def bundled_names() -> list[str]:
    """List the separators.

    Example
    -------
    >>> DEFAULT in bundled_names()
    True
    """
    return sorted(path.parent.name for path in HOME.glob("*/config.json"))
