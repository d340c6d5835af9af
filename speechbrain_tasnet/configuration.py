"""From a command line to hyperparameters: find the YAML file, check its values, and only then build."""

from collections.abc import Callable, Sequence
from pathlib import Path

import yaml
from hyperpyyaml import load_hyperpyyaml, resolve_references
from ruamel.yaml.error import YAMLError
from speechbrain.utils.run_opts import RunOptions

import speechbrain_tasnet.hparams
from speechbrain_tasnet.data.tasks import REVERBERANT, TARGETS
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.evaluation import METRICS

PACKAGED = Path(speechbrain_tasnet.hparams.__file__).parent

# What every recipe must say, and what it may say. A value is checked before anything is built or written.
CHECKS: dict[str, tuple[Callable[[object], bool], str]] = {
    "data_folder": (lambda v: Path(v).is_dir(), "an existing folder"),
    "num_spks": (lambda v: v == int(v) >= 1, "a whole number of at least 1"),
    "sample_rate": (lambda v: v == int(v) >= 1, "a rate in Hz"),
    # Looked for at a fresh start alone: a run goes on, and is evaluated, without it.
    "pretrained": (lambda v: v is None or isinstance(v, str), "a folder, or null"),
    "number_of_epochs": (lambda v: v == int(v) >= 1, "a whole number of at least 1"),
    "batch_size": (lambda v: v == int(v) >= 1, "a whole number of at least 1"),
    "num_workers": (lambda v: v == int(v) >= 0, "a whole number of at least 0"),
    "lr": (lambda v: 0 < float(v) < 1, "a learning rate between 0 and 1"),
    "segment": (lambda v: v is None or v > 0, "seconds above 0, or null for whole mixtures"),
    "speeds": (lambda v: min(v) > 0, "a list of factors above 0, such as [0.95, 1.0, 1.05]"),
    "metrics": (lambda v: set(v) <= set(METRICS), f"a list of any of {', '.join(METRICS)}"),
    "loss_threshold": (lambda v: v is None or v < 0, "dB below 0, or null"),
    "speech_folder": (lambda v: v is None or Path(v).is_dir(), "an existing folder, or null"),
    "noise_folder": (lambda v: v is None or Path(v).is_dir(), "an existing folder, or null"),
    "rooms": (lambda v: v is None or Path(v).is_file(), "an existing file, or null"),
    "epoch_items": (lambda v: v == int(v) >= 1, "a whole number of at least 1"),
}

# The same for what only some recipes have.
CHECKS_WHERE_PRESENT: dict[str, tuple[Callable[[object], bool], str]] = {
    "mode": (lambda v: v in ("min", "max"), "min or max"),
    "task": (lambda v: v in REVERBERANT, f"one of {', '.join(REVERBERANT)}"),
    "target": (lambda v: v in TARGETS, " or ".join(TARGETS)),
    "train_splits": (lambda v: isinstance(v, list) and v, "a list, such as [train-360]"),
}


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
    for word in argv:
        # In --key=value the first one is not part of the value.
        if word.count("=") > word.startswith("--"):
            raise InputError(f"{word}: the toolkit splits values at '='; write this one into the YAML file")
    name, run_opts, overrides = RunOptions.from_command_line_args(list(argv))
    path = find(name)
    try:
        with path.open(encoding="utf-8") as file:
            _check(yaml.load(resolve_references(file, overrides), Loader=_PlainLoader))
        with path.open(encoding="utf-8") as file:
            return path, run_opts, load_hyperpyyaml(file, overrides), overrides
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from None
    except (ValueError, LookupError, TypeError, AttributeError, ImportError, OSError, YAMLError) as error:
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


def _check(recipe: object) -> None:
    """Compare the plain values of a recipe with what is possible."""
    if not isinstance(recipe, dict):
        raise InputError("expected a mapping of names to values")
    for name, (_, expected) in CHECKS.items():
        if name not in recipe:
            raise InputError(f"{name} is missing: expected {expected}")
    for name, (possible, expected) in (CHECKS | CHECKS_WHERE_PRESENT).items():
        if name not in recipe:
            continue
        try:
            valid = possible(recipe[name])
        except (TypeError, ValueError):
            valid = False
        if not valid:
            raise InputError(f"{name}={recipe[name]!r}: expected {expected}")
