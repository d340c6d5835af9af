"""Durations of a manifest's mixtures: as stated if they agree with the files, else as the files say."""

import logging
from collections.abc import Mapping

import soundfile

from speechbrain_tasnet.data.corpus_checks import evenly_spread
from speechbrain_tasnet.data.read_manifest import Item, duration_of

logger = logging.getLogger(__name__)

TOLERANCE = 0.01  # seconds: what is stated may be rounded


def durations(items: Mapping[str, Item], manifest: object) -> list[float]:
    """Return how long the mixtures are, in seconds.

    SpeechBrain's recipes for separation state 1.0 for each. So what is stated is compared with some files, evenly
    spread over the manifest; where one of them differs, or a duration is missing, all are read from the headers.

    Parameters
    ----------
    items : mapping
        What `read_manifest` returns.
    manifest : object
        What to call it in the log.

    Returns
    -------
    list of float
        In its order. A file that cannot be read, which is reported when its turn comes, counts what is stated for
        it, or nothing.
    """
    rows = list(items.values())
    stated = [duration_of(row) for row in rows]
    known = [(row, seconds) for row, seconds in zip(rows, stated, strict=True) if seconds is not None]
    if len(known) == len(rows) and all(_agrees(*pair) for pair in evenly_spread(known)):
        return [seconds for _, seconds in known]
    logger.info("%s: its durations are missing or are not those of the files, whose headers are read", manifest)
    return [_measured(row) or seconds or 0.0 for row, seconds in zip(rows, stated, strict=True)]


def _agrees(row: Item, stated: float) -> bool:
    measured = _measured(row)
    return measured is None or abs(measured - stated) <= TOLERANCE


def _measured(row: Item) -> float | None:
    """Return the length of a mixture by its header, or None where it cannot be read."""
    try:
        return soundfile.info(row["mix_wav"]).duration
    except (soundfile.LibsndfileError, OSError):
        return None
