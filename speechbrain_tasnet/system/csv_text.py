"""CSV cells that a spreadsheet would run as formulas, made harmless."""

import csv
import io
from collections.abc import Iterable


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    r"""Write the text of a CSV file with harmless cells.

    Examples
    --------
    >>> csv_text([["id", "score"], ["=1+1", -2.5]])
    "id,score\n'=1+1,-2.5\n"
    """
    lines = []
    for row in rows:
        line = io.StringIO()
        # With this end of lines cells are quoted that hold either of the two characters.
        csv.writer(line, lineterminator="\r\n").writerow([spreadsheet_cell(cell) for cell in row])
        lines.append(line.getvalue().removesuffix("\r\n") + "\n")
    return "".join(lines)


def spreadsheet_cell(value: object) -> object:
    """Keep a spreadsheet from running a text in a CSV file as a formula, by putting an apostrophe before it.

    Parameters
    ----------
    value : object
        A cell. What is no text, and a text that is a number, stay as they are.

    Examples
    --------
    >>> [spreadsheet_cell(value) for value in ("=1+1", "@SUM(A1)", "-a.wav", "-3.5", "a=b", -3.5)]
    ["'=1+1", "'@SUM(A1)", "'-a.wav", '-3.5', 'a=b', -3.5]
    """
    return f"'{value}" if isinstance(value, str) and _is_formula(value.lstrip("'")) else value


def original_cell(text: str) -> str:
    """Undo `spreadsheet_cell`.

    Examples
    --------
    >>> [original_cell(spreadsheet_cell(text)) for text in ("=1+1", "'=1+1", "'a'")]
    ['=1+1', "'=1+1", "'a'"]
    """
    return text[1:] if text.startswith("'") and _is_formula(text.lstrip("'")) else text


def _is_formula(text: str) -> bool:
    """Return whether a spreadsheet may take a text for more than a text or a number."""
    if not text.startswith(("=", "+", "-", "@", "\t", "\r")):
        return False
    try:
        float(text)
    except ValueError:
        return True
    return False
