"""A recipe as a whole: names, values and what goes together, checked before anything is built or written."""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from inspect import signature
from pathlib import Path

import torch
from speechbrain.utils.checkpoints import Checkpointer
from speechbrain.utils.epoch_loop import EpochCounter
from speechbrain.utils.run_opts import RunOptions
from speechbrain.utils.train_logger import TrainLogger
from torch import nn
from torch.utils.data import DataLoader

import speechbrain_tasnet.hparams
from speechbrain_tasnet.data.tasks import REVERBERANT, TARGETS
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.evaluation.evaluator import METRICS
from speechbrain_tasnet.training import budget

PACKAGED = Path(speechbrain_tasnet.hparams.__file__).parent

Check = tuple[Callable[[object], bool], str]

MODULES = {"encoder", "masknet", "decoder"}
SHOWN = 200  # letters of a value in a message
MOST_HERTZ = 2**20  # whoever means more has written something else


def _whole(minimum: int) -> Check:
    return lambda v: _is_whole(v) and minimum <= v < 2**31, f"a whole number of at least {minimum}, below 2^31"


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_list(value: object, empty: bool = False) -> bool:
    return isinstance(value, list) and (empty or bool(value))


def _are_modules(value: dict) -> bool:
    return all(isinstance(module, nn.Module) for module in value.values())


def _one_of(*values: str) -> Check:
    return lambda v: v in values, f"one of {', '.join(values)}" if len(values) > 2 else " or ".join(values)


def _optional(exists: Callable[[Path], bool], kind: str) -> Check:
    return lambda v: v is None or exists(Path(v)), f"an existing {kind}, or null"


TRUTH: Check = (lambda v: isinstance(v, bool), "True or False")
TEXT: Check = (lambda v: isinstance(v, str) and v.isprintable() and bool(v), "a text in one line")
FOLDER: Check = (lambda v: TEXT[0](v) and not Path(v).is_file(), "a folder, there or not, that is no file")
FILE: Check = (lambda v: TEXT[0](v) and not Path(v).is_dir(), "a file, there or not, that is no folder")

# What every recipe must say.
CHECKS: dict[str, Check] = {
    "experiment_name": TEXT,
    "output_folder": FOLDER,
    "save_folder": FOLDER,
    "train_log": FILE,
    "train_data": FILE,
    "valid_data": FILE,
    "test_data": FILE,
    "test_voices": TEXT,
    "data_folder": (lambda v: Path(v).is_dir(), "an existing folder"),
    "num_spks": _whole(1),
    "sample_rate": (lambda v: _is_whole(v) and 1 <= v <= MOST_HERTZ, "a rate in Hz"),
    "number_of_epochs": _whole(1),
    "batch_size": _whole(1),
    "num_workers": _whole(0),
    "lr": (lambda v: 0 < v < 1, "a learning rate between 0 and 1"),
    "segment": (lambda v: v is None or 0 < v < math.inf, "seconds above 0, or null for whole mixtures"),
    "speeds": (lambda v: _is_list(v) and 0.1 <= min(v) <= max(v) <= 10, "a list such as [0.95, 1.0, 1.05]"),
    "metrics": (lambda v: _is_list(v, empty=True) and set(v) <= set(METRICS), f"a list of {', '.join(METRICS)}"),
    "loss_threshold": (lambda v: v is None or v < 0, "dB below 0, or null"),
    "speech_folder": _optional(Path.is_dir, "folder"),
    "noise_folder": _optional(Path.is_dir, "folder"),
    "rooms": _optional(Path.is_file, "file"),
    "epoch_items": _whole(1),
}

# What only some recipes have; a run that began before there was such a key goes on without it.
CHECKS_WHERE_PRESENT: dict[str, Check] = {
    # Looked for at a fresh start alone: a run goes on, and is evaluated, without it.
    "pretrained": (lambda v: v is None or isinstance(v, str), "a folder, or null"),
    "seed": _whole(0),
    "data_seed": _whole(0),
    "budget": (lambda v: v is None or budget.parse(v), f"null, or {budget.EXPECTED}"),
    "mode": _one_of("min", "max"),
    "task": _one_of(*REVERBERANT),
    "target": _one_of(*TARGETS),
    "train_splits": (lambda v: _is_list(v) and all(map(TEXT[0], v)), "a list, such as [train-360]"),
    "skip_prep": TRUTH,
    "causal": TRUTH,
    "tensorboard": TRUTH,
    "precision": _one_of("fp32", "bf16", "fp16", "auto"),
    "max_grad_norm": (lambda v: v > 0, "a number above 0"),
    "max_bad_items": _whole(0),
    "nonfinite_patience": _whole(0),
    "grad_accumulation_factor": _whole(1),
    "ckpt_interval_minutes": (lambda v: v >= 0, "minutes, or 0 for none"),
}


# What every recipe must build, as it is built.
BUILT: dict[str, Check] = {
    "prepare": (lambda v: bool(signature(v)), "a function, by !name:"),
    "modules": (lambda v: set(v) >= MODULES and _are_modules(v), f"a mapping of {', '.join(sorted(MODULES))}"),
    "opt_class": (lambda v: bool(signature(v)), "an optimizer, by !name:"),
    "lr_scheduler": (lambda v: v is None or callable(v), "a scheduler, or null"),
    "step_scheduler": (lambda v: v is None or callable(v), "a scheduler, or null"),
    "epoch_counter": (lambda v: isinstance(v, EpochCounter), "an EpochCounter"),
    "checkpointer": (lambda v: isinstance(v, Checkpointer), "a Checkpointer"),
    "train_logger": (lambda v: isinstance(v, TrainLogger), "a TrainLogger"),
    "dataloader_opts": (lambda v: isinstance(v, dict), "a mapping of options to values"),
    "valid_dataloader_opts": (lambda v: isinstance(v, dict), "a mapping of options to values"),
}


def check_names(text: str, argv: Sequence[str]) -> None:
    """Refuse names that nobody reads, on the command line and in the file.

    In the file only those are refused that look like a known one: a recipe may carry values of its own.

    Parameters
    ----------
    text : str
        The YAML file.
    argv : sequence of str
        The words behind it on the command line.

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
            near = _near(name, options | keys, "--")
            raise InputError(f"--{name}: neither a key of the recipe nor an option of SpeechBrain{near}")
    known = options.union(*(top_level(path.read_text(encoding="utf-8")) for path in PACKAGED.rglob("*.yaml")))
    for name in sorted(keys - known):
        used = re.search(rf"<{name}[>\[]", text)
        if not used and (near := _near(name, known)):
            raise InputError(f"{name}: nothing reads this key{near}")


def top_level(text: str) -> set[str]:
    """List the keys that stand at the top of a recipe's text, where a command line can override them."""
    return set(re.findall(r"^(\w+):", text, re.MULTILINE))


def _near(name: str, known: Iterable[str], prefix: str = "") -> str:
    near = get_close_matches(name, sorted(known), n=1, cutoff=0.75)
    return f"; did you mean {prefix}{near[0]}?" if near else ""


def check_values(recipe: object) -> None:
    """Compare the plain values of a recipe with what is possible, one by one and together.

    Parameters
    ----------
    recipe : object
        What the YAML file holds, references resolved, nothing built.

    Raises
    ------
    InputError
        A value is missing or impossible, or two contradict each other.
    """
    if not isinstance(recipe, dict):
        raise InputError("expected a mapping of names to values")
    for name, (_, expected) in (CHECKS | BUILT).items():
        if name not in recipe:
            raise InputError(f"{name} is missing: expected {expected}")
    _check_each(recipe, CHECKS | CHECKS_WHERE_PRESENT)
    _check_segment(recipe)
    _check_mixing(recipe)
    _check_loader(recipe)


def check_built(hparams: dict) -> None:
    """Check that what was built is what it should be.

    Parameters
    ----------
    hparams : dict
        What the YAML file has become.

    Raises
    ------
    InputError
        Something is not.
    """
    _check_each(hparams, BUILT)


def _check_each(values: dict, checks: dict[str, Check]) -> None:
    for name, (possible, expected) in checks.items():
        if name not in values:
            continue
        try:
            valid = possible(values[name])
        except (TypeError, ValueError, OverflowError):
            valid = False
        if not valid:
            shown = " ".join(repr(values[name]).split())  # a module's has many lines
            shown = shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}..."
            raise InputError(f"{name}={shown}: expected {expected}")


def _check_segment(recipe: dict) -> None:
    segment, rate, window = recipe["segment"], recipe["sample_rate"], recipe.get("L")
    if segment is not None and isinstance(window, int) and segment * rate < window:
        raise InputError(f"segment={segment}: {segment * rate:g} samples, fewer than the encoder's L={window}")


def _check_mixing(recipe: dict) -> None:
    """Check that what is mixed while training is what the task of the corpus needs."""
    task, noise, rooms = recipe.get("task", ""), recipe["noise_folder"], recipe["rooms"]
    if recipe["speech_folder"] is None:
        for name, value in (("noise_folder", noise), ("rooms", rooms)):
            if value is not None:
                raise InputError(f"{name}={value}: only used in dynamic mixing; set speech_folder, too")
        return
    if recipe["segment"] is None:
        raise InputError("segment=None: dynamic mixing needs a length, such as 4.0 seconds")
    if task in ("enh_both", "enh_both_reverb", "dereverb_both"):
        raise InputError(f"task={task!r}: dynamic mixing has no such target; leave speech_folder out")
    if ("noisy" in task or task.startswith("enh")) and noise is None:
        raise InputError(f"task={task!r}: training without noise; set noise_folder, or leave speech_folder out")
    if "reverb" in task and rooms is None:
        raise InputError(f"task={task!r}: training without rooms; set rooms, or leave speech_folder out")


def _check_loader(recipe: dict) -> None:
    known = {*signature(DataLoader).parameters, "looped_nominal_epoch"}
    for options in ("dataloader_opts", "valid_dataloader_opts"):
        for name in sorted(set(recipe.get(options) or ()) - known):
            raise InputError(f"{options}: {name} is no option of a DataLoader{_near(name, known)}")


def check_device(device: str | None, half: bool) -> str:
    """Return the device that a run uses; refuse one that is not there, and a precision that it does not have.

    Parameters
    ----------
    device : str, optional
        ``cpu``, ``cuda:0``; None: a GPU if there is one.
    half : bool
        Whether float16 is wanted.

    Returns
    -------
    str
        Its name.

    Raises
    ------
    InputError
        It cannot be.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if not _is_there(device):
        raise InputError(f"device={device!r}: there is no such device here; leave it out or use cpu")
    if half and torch.device(device).type == "cpu":
        raise InputError("precision=fp16: SpeechBrain has float16 on GPUs only; use bf16")
    return device


def _is_there(device: str) -> bool:
    try:
        found = torch.device(device)
        if found.type == "cuda":  # without taking memory of it, where each process has another
            return (found.index or 0) < torch.cuda.device_count()
        torch.zeros((), device=found).item()
    except (RuntimeError, AssertionError, TypeError, ImportError):
        return False
    return True
