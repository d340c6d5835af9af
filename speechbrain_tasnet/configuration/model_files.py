"""Networks as files, ``hparams/model/NAME.yaml``, and replacing a recipe's network by another.

A model file defines ``encoder``, ``masknet`` and ``decoder``. Its plain keys are its sizes: those with a value
keep it, those that say ``!PLACEHOLDER`` take the recipe's.
"""

import json
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import yaml

from speechbrain_tasnet.configuration.packaged import MODELS, names_in
from speechbrain_tasnet.configuration.yaml_text import Entry, entries
from speechbrain_tasnet.errors import InputError, similar

# What the recipe knows of itself, by the name that a model file has for it.
FROM_RECIPE = {"C": "num_spks", "sample_rate": "sample_rate", "mics": "mics", "reference": "reference"}
FROM_RECIPE["outputs"] = "outputs"

PLACEHOLDER = "!PLACEHOLDER"


def find_model(name: str) -> Path:
    """Find a model: a YAML file, or a packaged one by its name.

    Raises
    ------
    InputError
        There is none.
    """
    for path in (Path(name), MODELS / f"{name}.yaml"):
        if path.is_file():
            return path.resolve()
    packaged = names_in(MODELS)
    hint = similar(name, packaged)
    raise InputError(f"model={name}: no such YAML file; packaged models are: {', '.join(packaged)}{hint}")


def sizes_of(model: str) -> dict[str, object]:
    """List the sizes that a model file declares.

    Parameters
    ----------
    model : str
        As for `find_model`.

    Returns
    -------
    dict
        The values it brings along; None for what it takes from the recipe.

    Example
    -------
    >>> sizes_of("causal")["N"] is None
    True
    """
    return {
        name: None if entry.node.tag == PLACEHOLDER else yaml.safe_load("".join(entry.body))[name]
        for name, entry in _sizes(find_model(model)).items()
    }


def with_model(recipe_text: str, model: str, values: Mapping[str, object] | None = None) -> str:
    r"""Replace the network of a recipe.

    The sizes of the new network are at the recipe's top level afterwards, where the command line can override
    them; those of the former network that it does not have are gone. All else stays as it is written.

    Parameters
    ----------
    recipe_text : str
        The recipe's YAML, with a key ``model`` that includes a model file.
    model : str
        As for `find_model`.
    values : mapping, optional
        Sizes to use in place of the model file's and the recipe's.

    Returns
    -------
    str
        The recipe's YAML with the new network. What has no value is a ``!PLACEHOLDER`` that loading complains of.

    Raises
    ------
    InputError
        There is no such model or size, or the recipe includes no model, or uses a size's name for another thing.

    Example
    -------
    >>> recipe = "num_spks: 2\nN: 512\nK: 100\nmodel: !include:model/mine.yaml {N: !ref <N>, K: !ref <K>}"
    >>> with_model(recipe, "causal", {"B": 64}).splitlines()[:4]
    ['num_spks: 2', 'N: 512', 'L: !PLACEHOLDER', 'B: 64']
    """
    path = find_model(model)
    values = dict(values or {})
    recipe, sizes = entries(recipe_text), _sizes(path)
    if "model" not in recipe or not recipe["model"].node.tag.startswith("!include:"):
        raise InputError("model includes no file: only a recipe's network can be exchanged, not that of a run")
    if unknown := sorted(set(values) - set(sizes)):
        raise InputError(f"{unknown[0]}: no size of {path.name}; it has {', '.join(sorted(sizes))}")
    former = _former_sizes(recipe)
    for name in set(sizes) & set(recipe) - former - set(FROM_RECIPE):
        raise InputError(f"{name}: a size of {path.name}, and the recipe has it for another thing")
    kept = {name for name in former & set(sizes) - set(values) if sizes[name].node.tag == PLACEHOLDER}
    declared = [
        f"{name}: {json.dumps(values[name])}\n" if name in values else "".join(entry.body)
        for name, entry in sizes.items()
        if name not in kept and name not in FROM_RECIPE
    ]
    lines = []
    for name, entry in recipe.items():
        if name == "model":
            lines += [*entry.above, *declared, _include(path, sizes)]
        elif name not in former or name in kept:
            lines += [*entry.above, *entry.body]
        else:
            lines += [line for line in entry.above if not line.strip()]
    return "".join(lines)


def _sizes(path: Path) -> dict[str, Entry]:
    """Return the plain values of a model file."""
    return {
        name: entry
        for name, entry in entries(path.read_text(encoding="utf-8")).items()
        if entry.node.tag == PLACEHOLDER or not entry.node.tag.startswith("!")
    }


def _former_sizes(recipe: Mapping[str, Entry]) -> set[str]:
    """List the keys of a recipe that only its network needs."""
    network = recipe["model"].node
    passed = {key.value for key, _ in network.value} if isinstance(network, yaml.MappingNode) else set()
    others = "".join(line for name, entry in recipe.items() if name != "model" for line in entry.body)
    own = passed & set(recipe) - set(FROM_RECIPE.values())
    return {name for name in own if not re.search(rf"<{name}[>\[]", others)}


def _include(path: Path, sizes: Mapping[str, Entry]) -> str:
    """Write the line that includes a model file and passes the recipe's sizes down."""
    passed = ", ".join(f"{name}: !ref <{FROM_RECIPE.get(name, name)}>" for name in sizes)
    indented = textwrap.fill(f"{{{passed}}}", 110, initial_indent="    ", subsequent_indent="     ")
    # A tag takes letters such as a space in their quoted form alone.
    return f"model: !include:{quote(str(path))}\n{indented}\n"
