"""The outcomes of the contestants, read from their folders."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from speechbrain_tasnet.study.contestant import EXAMPLES
from speechbrain_tasnet.study.costs import COSTS
from speechbrain_tasnet.study.definition import Study
from speechbrain_tasnet.system.csv_text import original_cell

SCORES = ("si-snr_i", "sdr_i")


@dataclass
class Outcome:
    """One contestant: what it is, and either its results or why there are none.

    Attributes
    ----------
    name : str
        In the study.
    own : dict
        What only it has, as the study says.
    error : str or None
        Why it failed.
    costs, ledger : dict
        As `contestant.measure` and `Ledger.as_dict` give them.
    metrics : dict
        As `Evaluator.summary` gives them: by score, its mean and interval.
    rows : dict
        By mixture the scores, as in ``test_results.csv``.
    examples : dict
        By mixture the audio file.
    """

    name: str
    own: dict
    error: str | None = None
    costs: dict = field(default_factory=dict)
    ledger: dict = field(default_factory=dict)
    metrics: dict = field(default_factory=dict)
    rows: dict[str, dict[str, str]] = field(default_factory=dict)
    examples: dict[str, Path] = field(default_factory=dict)

    def scores(self, metric: str) -> dict[str, float]:
        """Return one score by mixture, where it is defined."""
        return {name: float(row[metric]) for name, row in self.rows.items() if row.get(metric)}


def read_outcomes(study: Study, failures: Mapping[str, str]) -> list[Outcome]:
    """Read what the contestants have left, in the order of the study.

    Parameters
    ----------
    study : Study
        Whose folders are read.
    failures : mapping
        By name, why one failed.

    Returns
    -------
    list of Outcome
        One that was fed other mixtures than the first that is done has an ``error``.
    """
    outcomes = []
    for name, own in study.contestants.items():
        folder = study.folder(name)
        if name in failures or not (folder / EXAMPLES).exists():
            outcomes.append(Outcome(name, own, failures.get(name, "not done yet")))
        else:
            outcomes.append(_read(name, own, folder))
    done = [outcome for outcome in outcomes if not outcome.error]
    for outcome in done[1:]:
        outcome.error = first_different_batch(done[0].ledger["checksums"], outcome.ledger["checksums"])
    return outcomes


def _read(name: str, own: dict, folder: Path) -> Outcome:
    costs, ledger, summary, examples = (
        json.loads((folder / file).read_text(encoding="utf-8"))
        for file in (COSTS, "ledger.json", "test_results.json", EXAMPLES)
    )
    ledger["checksums"] = {int(batches): digits for batches, digits in ledger["checksums"].items()}
    with (folder / "test_results.csv").open(newline="", encoding="utf-8") as file:
        rows = {original_cell(row["snt_id"]): row for row in csv.DictReader(file)}
    files = {mixture: (folder / EXAMPLES).parent / file for mixture, file in examples.items()}
    return Outcome(name, own, None, costs, ledger, summary["metrics"], rows, files)


def first_different_batch(one: Mapping[int, str], other: Mapping[int, str]) -> str | None:
    """Return where two contestants were fed different mixtures, if they were.

    Parameters
    ----------
    one, other : mapping
        Checksums of all mixtures so far, by the number of batches.

    Examples
    --------
    >>> first_different_batch({1: "aa", 2: "ab", 3: "ac"}, {1: "aa", 2: "ab"})
    >>> first_different_batch({1: "aa", 2: "ab", 3: "ac"}, {1: "aa", 2: "ff", 3: "fe"})
    'not comparable: fed other mixtures than the first contestant, from batch 2 on at the latest'
    """
    for batches in sorted(one.keys() & other.keys()):
        if one[batches] != other[batches]:
            return (
                "not comparable: fed other mixtures than the first contestant, "
                f"from batch {batches} on at the latest"
            )
    return None


def common_batches(outcomes: Sequence[Outcome]) -> int:
    """Return over how many batches the checksums of all contestants were compared; 0 below two of them."""
    if len(outcomes) < 2:
        return 0
    return max(set.intersection(*(set(outcome.ledger["checksums"]) for outcome in outcomes)), default=0)
