"""A recipe as a whole: names, values and what goes together, checked before anything is built or written."""

import re
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from inspect import signature
from pathlib import Path

import torch
from speechbrain.utils.run_opts import RunOptions
from torch.utils.data import DataLoader

import speechbrain_tasnet.hparams
from speechbrain_tasnet.data.tasks import REVERBERANT, TARGETS
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.evaluation import METRICS

PACKAGED = Path(speechbrain_tasnet.hparams.__file__).parent

Check = tuple[Callable[[object], bool], str]


def _whole(minimum: int) -> Check:
    return lambda v: v == int(v) >= minimum, f"a whole number of at least {minimum}"


def _one_of(*values: str) -> Check:
    return lambda v: v in values, f"one of {', '.join(values)}" if len(values) > 2 else " or ".join(values)


def _optional(exists: Callable[[Path], bool], kind: str) -> Check:
    return lambda v: v is None or exists(Path(v)), f"an existing {kind}, or null"


TRUTH: Check = (lambda v: isinstance(v, bool), "True or False")

# What every recipe must say.
CHECKS: dict[str, Check] = {
    "data_folder": (lambda v: Path(v).is_dir(), "an existing folder"),
    "num_spks": _whole(1),
    "sample_rate": (lambda v: v == int(v) >= 1, "a rate in Hz"),
    # Looked for at a fresh start alone: a run goes on, and is evaluated, without it.
    "pretrained": (lambda v: v is None or isinstance(v, str), "a folder, or null"),
    "number_of_epochs": _whole(1),
    "batch_size": _whole(1),
    "num_workers": _whole(0),
    "lr": (lambda v: 0 < float(v) < 1, "a learning rate between 0 and 1"),
    "segment": (lambda v: v is None or v > 0, "seconds above 0, or null for whole mixtures"),
    "speeds": (lambda v: min(v) > 0, "a list of factors above 0, such as [0.95, 1.0, 1.05]"),
    "metrics": (lambda v: set(v) <= set(METRICS), f"a list of any of {', '.join(METRICS)}"),
    "loss_threshold": (lambda v: v is None or v < 0, "dB below 0, or null"),
    "speech_folder": _optional(Path.is_dir, "folder"),
    "noise_folder": _optional(Path.is_dir, "folder"),
    "rooms": _optional(Path.is_file, "file"),
    "epoch_items": _whole(1),
}

# What only some recipes have.
CHECKS_WHERE_PRESENT: dict[str, Check] = {
    "seed": _whole(0),
    "mode": _one_of("min", "max"),
    "task": _one_of(*REVERBERANT),
    "target": _one_of(*TARGETS),
    "train_splits": (lambda v: isinstance(v, list) and v, "a list, such as [train-360]"),
    "skip_prep": TRUTH,
    "causal": TRUTH,
    "tensorboard": TRUTH,
    "precision": _one_of("fp32", "bf16", "fp16"),
    "max_grad_norm": (lambda v: v > 0, "a number above 0"),
    "max_bad_items": _whole(0),
    "nonfinite_patience": _whole(0),
    "grad_accumulation_factor": _whole(1),
    "ckpt_interval_minutes": (lambda v: v >= 0, "minutes, or 0 for none"),
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
            raise InputError(f"--{name}: neither a key of the recipe nor an option of the toolkit{near}")
    known = options.union(*(top_level(path.read_text(encoding="utf-8")) for path in PACKAGED.rglob("*.yaml")))
    for name in sorted(keys - known):
        used = re.search(rf"<{name}[>\[]", text)
        if not used and (near := _near(name, known)):
            raise InputError(f"{name}: nothing reads this key{near}")


def top_level(text: str) -> set[str]:
    """Name the keys that stand at the top of a recipe's text, where a command line can override them."""
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
    for name, (_, expected) in CHECKS.items():
        if name not in recipe:
            raise InputError(f"{name} is missing: expected {expected}")
    for name, (possible, expected) in (CHECKS | CHECKS_WHERE_PRESENT).items():
        if name not in recipe:
            continue
        try:
            valid = possible(recipe[name])
        except (TypeError, ValueError, OverflowError):
            valid = False
        if not valid:
            raise InputError(f"{name}={recipe[name]!r}: expected {expected}")
    _check_segment(recipe)
    _check_mixing(recipe)
    _check_loader(recipe)


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


def check_device(device: str | None, precision: str) -> None:
    """Refuse a device that is not there, and a precision that it does not have.

    Parameters
    ----------
    device : str, optional
        ``cpu``, ``cuda:0``; None: a GPU if there is one.
    precision : str
        ``fp32``, ``bf16`` or ``fp16``.

    Raises
    ------
    InputError
        It cannot be.
    """
    gpu = torch.cuda.is_available()
    if device is not None and device.startswith("cuda") and not gpu:
        raise InputError(f"device={device}: no such GPU here; leave it out or use cpu")
    if precision == "fp16" and (device or ("cuda" if gpu else "cpu")) == "cpu":
        raise InputError("precision=fp16: the toolkit has float16 on GPUs only; use bf16")
