"""The report of a study: one HTML page that holds its charts and players itself."""

import json
from collections.abc import Mapping, Sequence

from speechbrain_tasnet.charts import number, page_template
from speechbrain_tasnet.exhibits import DYNAMIC_RANGE_DB, PEAK
from speechbrain_tasnet.study.columns import METRICS, told
from speechbrain_tasnet.study.definition import Study
from speechbrain_tasnet.study.figures import COSTS, curves, scatter
from speechbrain_tasnet.study.listening import MAX_SECONDS, boards
from speechbrain_tasnet.study.outcomes import Outcome, common_batches
from speechbrain_tasnet.study.statistics import LEVEL, Pair, either_way

MOST_NAMED = 2  # beside the best, in the headline


def study_page(study: Study, outcomes: Sequence[Outcome], pairs: Sequence[Pair]) -> str:
    """Write the page.

    Parameters
    ----------
    study : Study
        Whose results they are.
    outcomes : sequence of Outcome
        In its order.
    pairs : sequence of Pair
        Of those that did not fail, by SI-SNR improvement.
    """
    both = either_way(pairs)
    done = [outcome for outcome in outcomes if not outcome.error]
    columns = told(done)
    return page_template("study/report.html.j2").render(
        study=study,
        headline=headline(done, both),
        groups=_groups(columns),
        columns=columns,
        rows=[_row(outcome, outcomes[0].name, columns, both) for outcome in outcomes],
        baseline=outcomes[0].name,
        colours=_colours(outcomes),
        scatters=[chart for key in COSTS if (chart := scatter(outcomes, key))],
        curves=curves(outcomes),
        done=done,
        pairs=both,
        level=LEVEL,
        boards=boards(done),
        facts=_facts(study, done),
        batches=common_batches(done),
        mixtures=len(done[0].scores("si-snr_i")) if done else 0,
        peak=PEAK,
        dynamic_range=DYNAMIC_RANGE_DB,
        max_seconds=MAX_SECONDS,
    )


def headline(done: Sequence[Outcome], pairs: Mapping[tuple[str, str], Pair]) -> str:
    """Say which contestant is ahead, no more strongly than the tests allow."""
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


def _groups(columns: Sequence) -> list[tuple[str, int]]:
    """Count the columns of each group, in their order."""
    names = dict.fromkeys(column.group for column in columns)
    return [(name, sum(column.group == name for column in columns)) for name in names]


def _row(outcome: Outcome, baseline: str, columns: Sequence, pairs: Mapping[tuple[str, str], Pair]) -> dict:
    """Prepare a line of the table."""
    cells = []
    for column in columns:
        value = column.of(outcome)
        metric = outcome.metrics.get(METRICS.get(column.key, ""), {})
        half = (metric["ci95"][1] - metric["ci95"][0]) / 2 if metric.get("ci95") and value is not None else None
        cells.append({"value": value, "digits": column.digits, "half": half})
    own = ", ".join(f"{key} {value}" for key, value in outcome.own.items() if key != "model")
    return {
        "name": outcome.name,
        "model": outcome.own.get("model", "convtasnet"),
        "own": own,
        "error": outcome.error,
        "cells": cells,
        "pair": pairs.get((outcome.name, baseline)),
    }


def _colours(outcomes: Sequence[Outcome]) -> dict[str, str]:
    """Give each contestant a hue, those that are neighbours in the study far from each other."""
    hues = [round(250 + 137.5 * place) % 360 for place in range(len(outcomes))]
    return {o.name: f"oklch(var(--tone) .15 {hue})" for o, hue in zip(outcomes, hues, strict=True)}


def _facts(study: Study, done: Sequence[Outcome]) -> dict[str, str]:
    """Say under which conditions all this was."""
    facts = {
        "Recipe": study.recipe,
        "For all": ", ".join(f"{key} {value}" for key, value in study.overrides.items()) or "as the recipe says",
        "Budget": f"{study.budget} each, {study.validations} validations",
        "Seed, threads": f"{study.seed}, {study.threads}",
    }
    for outcome in done[:1]:
        start = json.loads((study.folder(outcome.name) / "runs.json").read_text(encoding="utf-8"))[-1]
        machine = start["machine"]
        facts["Machine"] = ", ".join([machine["system"], f"{machine['cores']} cores", *machine["gpus"]])
        facts["Versions"] = ", ".join(
            f"{name} {version}" for name, version in start["versions"].items() if version
        )
        energy = outcome.ledger["energy"]
        facts["Energy"] = ", ".join(energy) if energy else "not told by this machine"
    return facts
