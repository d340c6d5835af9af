"""From a command line to hyperparameters: find the YAML file, check its values, and only then build."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import yaml
from hyperpyyaml import load_hyperpyyaml, resolve_references
from ruamel.yaml.error import YAMLError
from speechbrain.utils.run_opts import RunOptions

from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.finetuning import sizes_of_start
from speechbrain_tasnet.models import with_model
from speechbrain_tasnet.recipe_checks import PACKAGED, check_device, check_names, check_values, top_level

YAML_ERRORS = (YAMLError, yaml.YAMLError)  # of ruamel.yaml, which HyperPyYAML reads with, and of PyYAML


class Recipe(NamedTuple):
    """A recipe as it was found: its file, and its YAML with all references, includes and overrides resolved."""

    path: Path
    text: str


def load(argv: Sequence[str]) -> tuple[Recipe, RunOptions, dict]:
    """Load a recipe as the toolkit's scripts do.

    Parameters
    ----------
    argv : sequence of str
        A YAML file, the name of a packaged one (``demo``) or the folder of an earlier run; then the
        toolkit's run options (``--device cpu``), overrides of any YAML key (``--batch_size 4``) and, as
        ``--model NAME``, another network than the recipe's (see `models.with_model`). With ``--pretrained`` the
        sizes of the network are that separator's, where the command line does not give them.

    Returns
    -------
    tuple
        The recipe, the run options and the hyperparameters.

    Raises
    ------
    InputError
        The file is not there, is no valid recipe, or a value in it or on the command line is not possible.
    """
    recipe, run_opts, _ = _read(argv)
    with _one_line(recipe.path):
        return recipe, run_opts, load_hyperpyyaml(recipe.text)


def read(argv: Sequence[str]) -> dict:
    """Read and check the plain values of a recipe, and build nothing.

    Parameters
    ----------
    argv : sequence of str
        As for `load`.

    Returns
    -------
    dict
        Values by name; None where something would be built.

    Raises
    ------
    InputError
        As `load` does.
    """
    return _read(argv)[-1]


def _read(argv: Sequence[str]) -> tuple[Recipe, RunOptions, dict]:
    """Find, read and check: the recipe, the run options and the plain values."""
    for word in argv:
        # In --key=value the first one is not part of the value.
        if word.count("=") > word.startswith("--"):
            raise InputError(f"{word}: the toolkit splits values at '='; write this one into the YAML file")
    argv, model = _take_out(list(argv), "--model")
    name, run_opts, overrides = RunOptions.from_command_line_args(argv)
    path = find(name)
    with _one_line(path):
        text = path.read_text(encoding="utf-8")
        if model is not None:
            text = with_model(text, model)
        check_names(text, argv)
        overrides = _with_sizes_of_start(text, overrides)
        stream = io.StringIO(text)
        stream.name = str(path)  # what it includes lies beside it
        resolved = resolve_references(stream, overrides, overrides_must_match=True).getvalue()
        recipe = yaml.load(resolved, Loader=_PlainLoader)
        check_values(recipe)
        chosen = {key: run_opts[key] for key in run_opts["overridden_args"]}
        options = {key: (recipe | chosen).get(key) for key in ("device", "precision")}
        check_device(options["device"], options["precision"])
    return Recipe(path, resolved), run_opts, recipe


def _with_sizes_of_start(text: str, overrides: str) -> str:
    """Override the sizes of a recipe by those of the separator that the command line starts from."""
    given = yaml.load(overrides, Loader=_PlainLoader) or {}
    start = given.get("pretrained")
    if not isinstance(start, str):
        return overrides
    try:
        sizes = sizes_of_start(start)
    except InputError:
        return overrides  # which is a mistake at a fresh start alone, and said there
    taken = {name: value for name, value in sizes.items() if name not in given and name in top_level(text)}
    return f"{overrides}\n{yaml.safe_dump(taken)}" if taken else overrides


def _take_out(argv: list[str], option: str) -> tuple[list[str], str | None]:
    """Part an option and its value, the last one where there are several, from the other words."""
    rest, value = [], None
    words = iter(argv)
    for word in words:
        if word == option:
            value = next(words, "")
        elif word.startswith(f"{option}="):
            value = word.partition("=")[2]
        else:
            rest.append(word)
    return rest, value


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    """Name the file in what is wrong with it, in one line."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from None
    except (
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        ImportError,
        OSError,
        YAMLError,
        yaml.YAMLError,
    ) as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}") from error


def find(name: str) -> Path:
    """Find a recipe: a file, a packaged one by its name, or what an earlier run has saved in its folder."""
    for path in (Path(name), Path(name) / "hyperparams.yaml", PACKAGED / name, PACKAGED / f"{name}.yaml"):
        if path.is_file():
            return path
    packaged = ", ".join(sorted(file.stem for file in PACKAGED.glob("*.yaml")))
    raise InputError(f"{name}: no such YAML file, nor the folder of a run; packaged recipes are: {packaged}")


class _PlainLoader(yaml.SafeLoader):
    """Reads the plain values of a recipe and passes over what would be built."""


_PlainLoader.add_multi_constructor("!", lambda loader, tag, node: None)
