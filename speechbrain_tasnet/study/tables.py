"""The results as files for other programs: ``results.csv``, ``pairs.csv``, ``results.tex``."""

from collections.abc import Mapping, Sequence

from speechbrain_tasnet.study.columns import COLUMNS, GAIN, METRICS, SDR
from speechbrain_tasnet.study.outcomes import Outcome
from speechbrain_tasnet.study.statistics import Pair
from speechbrain_tasnet.system.csv_text import csv_text


def results_csv(outcomes: Sequence[Outcome]) -> str:
    """Write one row a contestant: every column, intervals, what is its own, and why it failed.

    Parameters
    ----------
    outcomes : sequence of Outcome
        In the order of the study.
    """
    rows = []
    for outcome in outcomes:
        row: dict[str, object] = {"contestant": outcome.name}
        for key, column in COLUMNS.items():
            row[key] = column.of(outcome)
            if key in METRICS:
                ci95 = None if outcome.error else outcome.metrics.get(METRICS[key], {}).get("ci95")
                row[f"{key}_low"], row[f"{key}_high"] = ci95 or (None, None)
        row["mixtures"] = None if outcome.error else len(outcome.scores("si-snr_i"))
        rows.append(row | {"error": outcome.error, "own": outcome.own})
    return _csv(rows)


def pairs_csv(pairs: Sequence[Pair]) -> str:
    """Write one row a pair of contestants, by SI-SNR improvement."""
    return _csv([pair._asdict() | {"differ": pair.differ} for pair in pairs])


def results_tex(outcomes: Sequence[Outcome], caption: str) -> str:
    """Write a table for LaTeX with the package booktabs; contestants that failed are named in a comment.

    Parameters
    ----------
    outcomes : sequence of Outcome
        In the order of the study.
    caption : str
        Plain text.
    """
    keys = ("parameters_millions", "gmacs_per_second", "real_time_factor", GAIN, SDR)
    heads = ["Network", "Param.~(M)", "GMAC/s", "RTF", "SI-SNRi (dB)", "SDRi (dB)"]
    lines = [r"% \usepackage{booktabs}", r"\begin{table}", r"\centering", rf"\caption{{{escape(caption)}}}"]
    lines += [r"\begin{tabular}{lrrrrr}", r"\toprule", " & ".join(heads) + r" \\", r"\midrule"]
    for outcome in outcomes:
        if outcome.error:
            lines.append(f"% {outcome.name}: {' '.join(outcome.error.split())}")
        else:
            cells = [_tex_cell(outcome, key) for key in keys]
            lines.append(" & ".join([escape(outcome.name), *cells]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _tex_cell(outcome: Outcome, key: str) -> str:
    """Write a figure, scores with half of their interval."""
    column = COLUMNS[key]
    value = column.of(outcome)
    if value is None:
        return "--"
    ci95 = outcome.metrics[METRICS[key]]["ci95"] if key in METRICS else None
    text = f"{value:.{column.digits}f}"
    return rf"${text} \pm {(ci95[1] - ci95[0]) / 2:.{column.digits}f}$" if ci95 else f"${text}$"


def escape(text: str) -> str:
    r"""Write plain text so that LaTeX prints it as it is.

    Examples
    --------
    >>> print(escape("5 % of a_b"))
    5 \% of a\_b
    """
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(special.get(c, f"\\{c}" if c in "&%$#_{}" else c) for c in text)


def _csv(rows: Sequence[Mapping[str, object]]) -> str:
    return csv_text([rows[0], *([_cell(value) for value in row.values()] for row in rows)] if rows else [])


def _cell(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {each}" for key, each in value.items())
    if isinstance(value, tuple):
        return f"{value[0]:.6g} to {value[1]:.6g}"
    return "" if value is None else value
