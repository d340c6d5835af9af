"""From a command line to hyperparameters: find the YAML file, check its values, and only then build."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path

import ruamel.yaml
import yaml
from hyperpyyaml import load_hyperpyyaml, resolve_references
from ruamel.yaml.error import YAMLError
from speechbrain.utils.run_opts import RunOptions

from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.recipe_checks import PACKAGED, check_built, check_device, check_names, check_values


def load(argv: Sequence[str]) -> tuple[Path, RunOptions, dict, str]:
    """Load a recipe as the toolkit's scripts do.

    Parameters
    ----------
    argv : sequence of str
        A YAML file, the name of a packaged one (``demo``) or the folder of an earlier run; then the
        toolkit's run options (``--device cpu``) and overrides of any YAML key (``--batch_size 4``).

    Returns
    -------
    tuple
        The YAML file, the run options, the hyperparameters and the overrides as YAML text.

    Raises
    ------
    InputError
        The file is not there, is no valid recipe, or a value in it or on the command line is not possible.
    """
    path, run_opts, overrides, _ = _read(argv)
    with _one_line(path), path.open(encoding="utf-8") as file:
        hparams = load_hyperpyyaml(file, overrides)
        check_built(hparams)
        return path, run_opts, hparams, overrides


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


def _read(argv: Sequence[str]) -> tuple[Path, RunOptions, str, dict]:
    """Find, read and check: the file, the run options, the overrides and the plain values."""
    for word in argv:
        # In --key=value the first one is not part of the value.
        if word.count("=") > word.startswith("--"):
            raise InputError(f"{word}: the toolkit splits values at '='; write this one into the YAML file")
    name, run_opts, overrides = _run_options(argv)
    path = find(name)
    with _one_line(path):
        check_names(path.read_text(encoding="utf-8"), argv)
        with path.open(encoding="utf-8") as file:
            recipe = yaml.load(resolve_references(file, overrides), Loader=_PlainLoader)
        check_values(recipe)
        options = recipe | {key: run_opts[key] for key in run_opts["overridden_args"]}
        half = [options.get(key) == "fp16" for key in ("precision", "eval_precision")]
        check_device(options.get("device"), any(half) or bool(options.get("auto_mix_prec")))
    return path, run_opts, overrides, recipe


def _run_options(argv: Sequence[str]) -> tuple[str, RunOptions, str]:
    """Let the toolkit take the command line apart: recipe, its own options, overrides as YAML text."""
    said = StringIO()
    try:
        with redirect_stderr(said):
            return RunOptions.from_command_line_args(list(argv))
    except SystemExit as end:
        if not end.code:  # help was asked for
            raise
        # Its last line, behind the usage of all options.
        raise InputError(said.getvalue().strip().rpartition("error: ")[2]) from None


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    """Name the file in what is wrong with it, in one line."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from None
    except (
        ArithmeticError, ValueError, LookupError, TypeError, AttributeError, ImportError, OSError, YAMLError,
    ) as error:  # fmt: skip
        raise InputError(f"{path}: {' '.join(str(error).split())}") from error
    except RuntimeError as error:
        if "memory" not in str(error):  # which is how torch says that there is not enough
            raise
        raise InputError(f"{path}: the network does not fit into memory; lower its sizes") from None


def find(name: str) -> Path:
    """Find a recipe: a file, a packaged one by its name, or what an earlier run has saved in its folder."""
    for path in (Path(name), Path(name) / "hyperparams.yaml", PACKAGED / name, PACKAGED / f"{name}.yaml"):
        if path.is_file():
            return path
    packaged = ", ".join(sorted(file.stem for file in PACKAGED.glob("*.yaml")))
    raise InputError(f"{name}: no such YAML file, nor the folder of a run; packaged recipes are: {packaged}")


class _PlainLoader(ruamel.yaml.SafeLoader):
    """Reads the plain values of a recipe as the toolkit does, and passes over what would be built."""


_PlainLoader.add_multi_constructor("!", lambda loader, tag, node: None)
