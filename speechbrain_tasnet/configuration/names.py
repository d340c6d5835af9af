"""Names in a recipe and on a command line: which keys there are, and which one a misspelled key may mean."""

import re
from collections.abc import Sequence

from speechbrain.utils.run_opts import RunOptions

from speechbrain_tasnet.configuration.packaged import PACKAGED
from speechbrain_tasnet.errors import InputError, similar


def check_names(text: str, argv: Sequence[str]) -> None:
    """Refuse names that nobody reads, on the command line and in the file.

    In the file only those are refused that look like a known one: a recipe may carry values of its own.

    Parameters
    ----------
    text : str
        The YAML file.
    argv : sequence of str
        The options on the command line, with their dashes.

    Raises
    ------
    InputError
        There is such a name.
    """
    keys = top_level(text)
    options = set(RunOptions().as_dict()) | {"help"}
    for word in argv:
        name = word[2:].split("=")[0]
        if word.startswith("--") and name not in options | keys:
            near = similar(name, options | keys, "--")
            raise InputError(f"--{name}: neither a key of the recipe nor an option of SpeechBrain{near}")
    known = options.union(*(top_level(path.read_text(encoding="utf-8")) for path in PACKAGED.rglob("*.yaml")))
    for name in sorted(keys - known):
        used = re.search(rf"<{name}[>\[]", text)
        if not used and (near := similar(name, known)):
            raise InputError(f"{name}: this key is not used by anything{near}")


def top_level(text: str) -> set[str]:
    """List the keys at the top level of a recipe's text, where a command line can override them."""
    return set(re.findall(r"^(\w+):", text, re.MULTILINE))
