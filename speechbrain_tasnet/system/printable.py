"""Texts that come from elsewhere, made harmless for the programs that show them."""


def printable(text: str) -> str:
    r"""Write a text so that it is one line and cannot steer a terminal.

    Examples
    --------
    >>> print(printable("gone \x1b[2J"))
    gone \x1b[2J
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def spreadsheet_cell(value: object) -> object:
    """Keep a text of a CSV file from being run as a formula by a spreadsheet, by an apostrophe before it.

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
