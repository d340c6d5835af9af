"""The words of a command line: which are options of SpeechBrain, which override keys of a recipe, and with what.

SpeechBrain joins all words by spaces and ``=`` into one text and reads that as YAML: ``--output_folder 'run #1'``
becomes ``run``, a folder called ``2024`` a number, and a word too many part of the value before it. Here every
word stays what was typed, and only values that are not text are YAML.
"""

from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any, NamedTuple

import ruamel.yaml
from ruamel.yaml.scalarstring import DoubleQuotedScalarString
from speechbrain.utils.run_opts import RunOptions

from speechbrain_tasnet.configuration.schema import NONE, text_kind
from speechbrain_tasnet.errors import InputError

DEFAULTS = RunOptions().as_dict()
FLAGS = {name for name, default in DEFAULTS.items() if default is False}
LISTS = {"jit_module_keys", "compile_module_keys"}
# Stands for a text while references are resolved, which would take "2024 #1/save" for a sum of numbers.
STAND_IN = "__typed_{}__"


class Words(NamedTuple):
    """A command line, taken apart.

    Attributes
    ----------
    recipe : list of str
        The recipe's name; empty if there is none.
    run_options : list of str
        SpeechBrain's own options, as it takes them.
    overrides : dict
        The other options, by name: the last value of each, as typed.
    """

    recipe: list[str]
    run_options: list[str]
    overrides: dict[str, str]

    @property
    def names(self) -> list[str]:
        """All options, with their dashes."""
        return [word for word in self.run_options if word.startswith("--")] + [
            f"--{key}" for key in self.overrides
        ]


def take_apart(words: Sequence[str]) -> Words:
    """Sort the words of a command line.

    Parameters
    ----------
    words : sequence of str
        A recipe, then ``--KEY VALUE``, ``--KEY=VALUE`` and flags of SpeechBrain.

    Raises
    ------
    InputError
        A word belongs to nothing, or a key has no value.

    Examples
    --------
    >>> words = take_apart(["demo", "--debug", "--output_folder", "run #1", "--lr=0.1", "--device", "cpu"])
    >>> words.run_options, words.overrides
    (['--debug', '--device=cpu'], {'output_folder': 'run #1', 'lr': '0.1'})
    """
    recipe, run_options, overrides = [], [], {}
    rest, before = list(words), None
    while rest:
        word = rest.pop(0)
        if not word.startswith("-") or word == "-":
            if recipe or before:
                raise InputError(_stray(word, before))
            recipe.append(word)
            continue
        name, equals, value = word.removeprefix("--").partition("=")
        before = word
        if not equals and name in FLAGS | {"help", "-h"}:
            run_options.append(word)
        elif not equals and name in LISTS:
            run_options.append(word)
            while rest and not rest[0].startswith("--"):
                run_options.append(rest.pop(0))
        else:
            if not equals:
                if not rest or rest[0].startswith("--"):
                    raise InputError(f"--{name}: expected a value, as --{name} VALUE")
                value = rest.pop(0)
            if name in DEFAULTS:
                run_options.append(f"--{name}={value}")
            else:
                overrides[name] = value
    return Words(recipe, run_options, overrides)


def _stray(word: str, before: str | None) -> str:
    if before and before.removeprefix("--") in FLAGS:
        return f"{word}: {before} is a flag and takes no value; leave {word} out"
    return f"{word}: a word too many; expected --KEY VALUE, and quotes around a value with spaces in it"


def typed(values: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Turn what was typed into values.

    Parameters
    ----------
    values : mapping
        By key.

    Returns
    -------
    tuple of dict and dict
        Overrides for HyperPyYAML; and what the stand-ins among them are for, see `put_in`.
    """
    overrides, texts = {}, {}
    for key, value in values.items():
        kind = text_kind(key)
        if kind is None or (kind == "optional" and value in NONE):
            overrides[key] = ruamel.yaml.YAML().load(f"value: {value}")["value"]
        elif value:
            overrides[key] = STAND_IN.format(key)
            texts[overrides[key]] = value
        else:
            overrides[key] = ""
    return overrides, texts


def put_in(text: str, texts: Mapping[str, str]) -> str:
    """Replace stand-ins by their texts.

    Parameters
    ----------
    text : str
        YAML.
    texts : mapping
        From stand-ins to texts.

    Returns
    -------
    str
        YAML, in which a text stays one whatever it looks like.
    """
    if not texts:
        return text
    yaml, out = ruamel.yaml.YAML(), StringIO()
    yaml.dump(_put_in(yaml.load(text), texts), out)
    return out.getvalue()


def _put_in(node: Any, texts: Mapping[str, str]) -> Any:
    if isinstance(node, dict):
        for key in node:
            node[key] = _put_in(node[key], texts)
    elif isinstance(node, list):
        node[:] = [_put_in(each, texts) for each in node]
    elif isinstance(node, str) and any(stand_in in node for stand_in in texts):
        return DoubleQuotedScalarString(replaced(node, texts))
    return node


def replaced(text: str, texts: Mapping[str, str]) -> str:
    """Replace stand-ins in a text by what was typed.

    Examples
    --------
    >>> replaced("__typed_output_folder__/save", {"__typed_output_folder__": "run #1"})
    'run #1/save'
    """
    for stand_in, value in texts.items():
        text = text.replace(stand_in, value)
    return text
