"""How good a separator is under which conditions: scores by level difference, by length and by voices."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import inf

from speechbrain_tasnet.evaluation.confidence import describe

SCORE = "si-snr_i"

# Name of the condition: its column, its unit, and where one group ends and the next begins.
CONDITIONS = {
    "level difference": ("level_difference", "dB", (1, 2.5, 5, 10, 20)),
    "length": ("duration", "s", (2, 3, 5, 10)),
}
VOICES = "voices"  # a condition and its column: how high they are, see `pitch.voices_of`


def by_condition(rows: Sequence[Mapping[str, str | float | None]]) -> dict[str, dict[str, dict]]:
    """Describe the SI-SNR improvement of utterances in groups.

    Parameters
    ----------
    rows : sequence of mapping
        `Evaluator.rows`. The level difference is between the loudest and the softest source, by their mean power.
        Voices are low or high, as those of men or of women and children are.

    Returns
    -------
    dict
        Condition, group, `confidence.describe`; groups without utterances are left out.

    Example
    -------
    >>> rows = [{"si-snr_i": gain, "level_difference": 0.5, "duration": 4.0} for gain in (7.0, 9.0)]
    >>> by_condition(rows)["length"]["3 to 5 s"]["mean"]
    8.0
    """
    groups: dict[str, dict[str, dict]] = {}
    for condition, (column, unit, edges) in CONDITIONS.items():
        scored = [(row[column], row[SCORE]) for row in rows if None not in (row[column], row[SCORE])]
        for low, high in pairwise((0, *edges, inf)):
            scores = [score for value, score in scored if low <= value < high]
            if scores:
                groups.setdefault(condition, {})[_name(low, high, unit)] = describe(scores)
    for kind in sorted({row.get(VOICES) for row in rows} - {None}):
        scores = [row[SCORE] for row in rows if row.get(VOICES) == kind and row[SCORE] is not None]
        if scores:
            groups.setdefault(VOICES, {})[kind] = describe(scores)
    return groups


def _name(low: float, high: float, unit: str) -> str:
    if low == 0:
        return f"below {high:g} {unit}"
    return f"{low:g} {unit} and more" if high == inf else f"{low:g} to {high:g} {unit}"
