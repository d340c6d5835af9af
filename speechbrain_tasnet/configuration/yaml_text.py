"""A YAML mapping split by lines, so that keys can be replaced and no comment is lost.

A parser that keeps comments attaches those above a key to the previous key, and would move or drop them with it.
"""

import re
from typing import NamedTuple

import yaml

from speechbrain_tasnet.errors import InputError


class Entry(NamedTuple):
    """A top-level key: the comments above it, its own lines, and what they say."""

    above: list[str]
    body: list[str]
    node: yaml.Node


def entries(text: str) -> dict[str, Entry]:
    """Split a mapping into its entries.

    Parameters
    ----------
    text : str
        YAML.

    Returns
    -------
    dict
        By key; joined again, ``above`` and ``body`` of all are the text, less what stands behind the last key.

    Raises
    ------
    InputError
        It is not a mapping.
    """
    root = yaml.compose(text)
    if not isinstance(root, yaml.MappingNode):
        raise InputError("expected a mapping of names to values")
    lines = [line + "\n" for line in text.splitlines()]
    starts = [key.start_mark.line for key, _ in root.value]
    found, above = {}, lines[: starts[0]]
    for (key, node), start, end in zip(root.value, starts, [*starts[1:], len(lines)], strict=True):
        last = end
        while re.match(r"\s*(#|$)", lines[last - 1]):
            last -= 1
        found[key.value] = Entry(above, lines[start:last], node)
        above = lines[last:end]
    return found
