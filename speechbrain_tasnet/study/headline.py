"""The result of a study, in one sentence."""

from collections.abc import Mapping, Sequence

from speechbrain_tasnet.report.charts import number
from speechbrain_tasnet.study.outcomes import Outcome
from speechbrain_tasnet.study.statistics import Pair

MOST_NAMED = 2  # beside the best


def headline(done: Sequence[Outcome], pairs: Mapping[tuple[str, str], Pair]) -> str:
    """Return which contestant is ahead, no more strongly than the tests allow."""
    ranked = sorted((o for o in done if o.metrics["si-snr_i"]["count"]), key=_gain, reverse=True)
    if not ranked:
        return "No contestant has finished."
    best, *others = ranked
    score = f"{number(_gain(best), signed=True)} dB SI-SNR{_interval(best)}"
    if not others:
        return f"{best.name} gains {score}."
    level = [o for o in others if (best.name, o.name) in pairs and not pairs[best.name, o.name].differ]
    if not level:
        ahead = number(pairs[best.name, others[0].name].difference)
        return f"{best.name} is ahead with {score}, {ahead} dB more than {others[0].name}."
    if len(level) > MOST_NAMED:
        return f"{best.name} has {score}, but {len(level)} of {len(others)} others cannot be told apart from it."
    names = _listed([best.name, *(o.name for o in level)])
    gains = _listed([number(_gain(o), signed=True) for o in (best, *level)])
    ahead = " are ahead and" if len(others) > len(level) else ""
    return f"{names}{ahead} cannot be told apart: {gains} dB SI-SNR."


def _gain(outcome: Outcome) -> float:
    return outcome.metrics["si-snr_i"]["mean"]


def _interval(outcome: Outcome) -> str:
    ci95 = outcome.metrics["si-snr_i"]["ci95"]
    return f" (95 % interval {number(ci95[0])} to {number(ci95[1])})" if ci95 else ""


def _listed(words: Sequence[str]) -> str:
    """Join words as a sentence does.

    Examples
    --------
    >>> _listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
