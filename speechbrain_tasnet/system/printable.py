"""Text from outside, made harmless for the programs that show it."""


def printable(text: str) -> str:
    r"""Write a text so that it is one line and cannot steer a terminal.

    Examples
    --------
    >>> print(printable("gone \x1b[2J"))
    gone \x1b[2J
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
