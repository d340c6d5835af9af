"""Shared parts of recipes in files of their own: ``<<: !include:shared/training.yaml`` includes another's keys.

HyperPyYAML includes a file as the value of a key. Here its keys become the recipe's own, as YAML's ``<<`` does
with a mapping, so that the command line overrides them by name; the recipe's own values take precedence.
"""

import re
from pathlib import Path
from urllib.parse import quote, unquote

from speechbrain_tasnet.configuration.packaged import PACKAGED
from speechbrain_tasnet.configuration.yaml_text import entries

MERGE = "<<"
TAG = "!include:"


def whole_text(path: Path) -> str:
    """Read a recipe with what it shares with others.

    Parameters
    ----------
    path : Path
        Of the recipe. A file that it includes is beside it or, failing that, among the packaged ones.

    Returns
    -------
    str
        YAML without ``<<``, in which files are included by absolute paths.

    Raises
    ------
    OSError
        A file cannot be read.
    InputError
        It is not a mapping.
    """
    text = path.read_text(encoding="utf-8")
    text = re.sub(rf"{TAG}(\S+)", lambda found: TAG + _absolute(found[1], path.parent), text)
    if not re.search(rf"^{MERGE}:", text, re.MULTILINE):
        return text
    own = entries(text)
    shared = entries(whole_text(Path(unquote(own.pop(MERGE).node.tag.removeprefix(TAG)))))
    # Shared keys keep their order, because a seed must be set before anything is built.
    return "".join(line for entry in (shared | own).values() for line in (*entry.above, *entry.body))


def _absolute(name: str, folder: Path) -> str:
    """Find an included file. A tag takes letters such as a space in their quoted form alone."""
    for home in (folder, PACKAGED):
        if (home / unquote(name)).is_file():
            return quote(str((home / unquote(name)).resolve()))
    return name
