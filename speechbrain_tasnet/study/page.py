"""The report of a study: one self-contained HTML page with charts and players, and a table in Markdown."""

import json
from collections.abc import Mapping, Sequence

from speechbrain_tasnet.report.charts import page_template
from speechbrain_tasnet.report.media import DYNAMIC_RANGE_DB, PEAK
from speechbrain_tasnet.study.columns import METRICS, non_empty_columns
from speechbrain_tasnet.study.definition import Study
from speechbrain_tasnet.study.figures import colours, curves, scatters
from speechbrain_tasnet.study.headline import headline
from speechbrain_tasnet.study.listening import MAX_SECONDS, boards
from speechbrain_tasnet.study.outcomes import Outcome, common_batches
from speechbrain_tasnet.study.statistics import LEVEL, Pair, either_way


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
    done = [outcome for outcome in outcomes if not outcome.error]
    table = _table(study, outcomes, pairs)
    return page_template("study/report.html.j2").render(
        table,
        groups=_groups(table["columns"]),
        colours=colours(outcomes),
        scatters=scatters(outcomes),
        curves=curves(outcomes),
        done=done,
        boards=boards(done),
        facts=_facts(study, done),
        batches=common_batches(done),
        mixtures=len(done[0].scores("si-snr_i")) if done else 0,
        peak=PEAK,
        dynamic_range=DYNAMIC_RANGE_DB,
        max_seconds=MAX_SECONDS,
    )


def study_markdown(study: Study, outcomes: Sequence[Outcome], pairs: Sequence[Pair]) -> str:
    """Write table and `figures.pictures` for places that show Markdown; parameters as for `study_page`."""
    return page_template("study/results.md.j2").render(_table(study, outcomes, pairs))


def _table(study: Study, outcomes: Sequence[Outcome], pairs: Sequence[Pair]) -> dict:
    """Prepare the table and what is said of it."""
    both, columns = either_way(pairs), non_empty_columns(outcomes)
    return {
        "study": study,
        "headline": headline([outcome for outcome in outcomes if not outcome.error], both),
        "columns": columns,
        "rows": [_row(outcome, outcomes[0].name, columns, both) for outcome in outcomes],
        "baseline": outcomes[0].name,
        "pairs": both,
        "level": LEVEL,
    }


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


def _facts(study: Study, done: Sequence[Outcome]) -> dict[str, str]:
    """Describe under which conditions all this was."""
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
        facts["Energy"] = ", ".join(energy) if energy else "not reported by this machine"
    return facts
