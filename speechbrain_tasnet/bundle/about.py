"""What a bundle says about where it comes from: recipe, training data, scores, licence."""

import json
from collections.abc import Mapping
from pathlib import Path
from reprlib import repr as short
from typing import Any

from speechbrain_tasnet.errors import InputError

# Everything may be left out. Texts are of one line; no entry is ever used as a path.
ABOUT: dict[str, type] = {
    "name": str,
    "licence": str,  # as the Hugging Face hub writes it: apache-2.0, cc-by-4.0
    "language": str,  # a code such as en
    "datasets": list,  # names of data sets on the hub
    "data": str,  # what the speech is, whose, and under which licence
    "recipe": str,
    "experiment": str,
    "seed": int,
    "corpus": str,  # name of the folder
    "silence": str,  # what an output gives for which nobody speaks, see `SeparationLoss`
    "task": str,
    "hours": float,  # of mixtures to train on, on disk
    "speech": str,  # name of the folder that dynamic mixing drew from
    "audio_hours": float,  # that the training has gone through, with those before it; what is heard again counts
    "energy": float,  # kWh that its own steps took, where the machine measures them
    "started_from": str,  # name of the folder of the separator that fine-tuning began with
    "epochs": int,
    "test_voices": str,
    "not_improved": int,  # mixtures of the test set with an SI-SNR improvement at or below 0 dB
    "scores": dict,  # metric: mean, ci95 (low and high, or null) and count
    "speakers": dict,  # how many speak: ``found``, how often so many were found, and scores by metric
    "conditions": dict,  # condition: group: the same of the SI-SNR improvement
    "elsewhere": dict,  # other test set: metric: the same
    "revision": str,  # commit of the code that gave the scores
    "versions": dict,  # package: version
}

LARGEST_NUMBER = 1e9
SCORE = {"mean", "ci95", "count"}


def check_about(about: Any) -> None:
    """Refuse anything that `ABOUT` does not describe.

    Example
    -------
    >>> check_about({"name": "two voices", "seed": True})
    Traceback (most recent call last):
    speechbrain_tasnet.errors.InputError: about has seed=True: expected int
    """
    if not isinstance(about, dict):
        raise InputError(f"about is {type(about).__name__}: expected a mapping of names to values")
    for name, value in about.items():
        if name not in ABOUT:
            raise InputError(f"about has the unknown key {short(name)}; expected any of {', '.join(ABOUT)}")
        expected = ABOUT[name]
        if not (_number(value) if expected is float else isinstance(value, expected)) or isinstance(value, bool):
            raise InputError(f"about has {name}={short(value)}: expected {expected.__name__}")
    texts = [(name, value) for name, value in about.items() if isinstance(value, str)]
    names = ("datasets", "versions", "scores", "speakers", "conditions", "elsewhere")
    texts += [(name, value) for name in names for value in about.get(name, ())]
    texts += [("versions", value) for value in about.get("versions", {}).values()]
    for name, value in texts:
        if not isinstance(value, str) or not value.isprintable():
            raise InputError(f"about has {name}={short(value)}: expected one line of text")
    for metric, score in about.get("scores", {}).items():
        _check_score(metric, score)
    for speakers, facts in about.get("speakers", {}).items():
        _check_speakers(speakers, facts)
    for key, by in (("conditions", "group"), ("elsewhere", "metric")):
        for name, scores in about.get(key, {}).items():
            if not isinstance(scores, dict) or not all(inner.isprintable() for inner in scores):
                raise InputError(f"{key}: {short(name)} is {short(scores)}: expected scores by {by}")
            for inner, score in scores.items():
                _check_score(f"{name}, {inner}", score)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST_NUMBER


def _check_speakers(speakers: str, facts: Any) -> None:
    """Refuse anything but counts of the speakers found among this many, and their separation scores."""
    found = facts.get("found") if isinstance(facts, dict) else None
    names = (speakers, *(found if isinstance(found, dict) else ()))
    if len(names) < 2 or not all(isinstance(name, str) and name.isdecimal() for name in names):
        raise InputError(f"{short(speakers)} speakers are {short(facts)}: expected how often how many were found")
    for metric, score in facts.items():
        if metric != "found":
            _check_score(metric, score)
    if not all(isinstance(count, int) and _number(count) and count > 0 for count in found.values()):
        raise InputError(f"{short(speakers)} speakers: found is {short(found)}: expected numbers of mixtures")


def _check_score(metric: str, score: Any) -> None:
    """Refuse a score that is not a mean with its interval and its count."""
    expected = (
        f"score {short(metric)} is {short(score)}: expected a mean, ci95 of two numbers or null, and a count"
    )
    if not isinstance(score, dict) or score.keys() != SCORE:
        raise InputError(expected)
    interval = [] if score["ci95"] is None else score["ci95"]
    if not isinstance(interval, list) or len(interval) not in (0, 2):
        raise InputError(expected)
    if not all(_number(value) for value in (score["mean"], score["count"], *interval)):
        raise InputError(expected)


def scores_elsewhere(folder: Path) -> dict[str, Any]:
    """Read the scores of a separator on another test set.

    Parameters
    ----------
    folder : Path
        That `tasnet evaluate` has written.

    Returns
    -------
    dict
        By metric: mean, interval and count.

    Raises
    ------
    InputError
        There are none.
    """
    path = folder / "test_results.json"
    try:
        return scores_of(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        raise InputError(f"{path}: no scores; expected the folder of a `tasnet evaluate`") from None


def scores_of(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Keep of `Evaluator.summary()` what the card shows, by metric."""
    return {metric: score_of(value) for metric, value in summary["metrics"].items() if value["count"]}


def speakers_of(talk: Mapping[str, Any]) -> dict[str, Any]:
    """Keep of ``Evaluator.summary()["talk"]`` what the card shows, by number of speakers."""
    kept = {"si-snr", "si-snr_i", "silence"}
    return {
        speakers: {"found": found}
        | {name: score_of(value) for name, value in talk["by speakers"][speakers].items() if name in kept}
        for speakers, found in talk["confusion"].items()
    }


def score_of(described: Mapping[str, Any]) -> dict[str, Any]:
    """Keep of a described score what the card shows."""
    return {name: described[name] for name in sorted(SCORE)}
