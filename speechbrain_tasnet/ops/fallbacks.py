"""Fast paths that are not taken here, and why: each is reported once, and kept for logs and reports."""

import logging
import sys

logger = logging.getLogger(__name__)

_noted: dict[str, str] = {}


def note(path: str, reason: str, cost: str) -> None:
    """Record that a fast path is not taken: once on standard error, and in the log where there is one.

    Parameters
    ----------
    path : str
        Name of the fast path.
    reason : str
        Why it is not taken, and the way out where there is one.
    cost : str
        What that means for the user.
    """
    if path in _noted:
        return
    _noted[path] = f"{reason}; {cost}"
    line = f"{path}: {_noted[path]}"
    print(f"tasnet: warning: {line}", file=sys.stderr)
    logger.info(line)


def noted() -> dict[str, str]:
    """Return reason and cost by the name of the fast path, for those that were not taken so far."""
    return dict(_noted)
