"""Read a checkpoint without running any code that it may hold."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch
from torch import nn
from torch.torch_version import TorchVersion

from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.system import lfs

# SpeechBrain's folders hold these.
PARTS = ("encoder", "masknet", "decoder")


def open_checkpoint(source: object) -> object:
    """Return a module or a dictionary as it is, and what a file or a folder holds.

    Parameters
    ----------
    source : Module, mapping, sequence of modules, or path-like
        A path leads to a file of ``torch.save`` or safetensors, or to a folder with ``encoder.ckpt``,
        ``masknet.ckpt`` and ``decoder.ckpt``.

    Raises
    ------
    InputError
        There is no such file, it is not a checkpoint, or it holds more than weights and plain values.
    """
    if not isinstance(source, str | Path):
        return source
    path = Path(source)
    if path.is_dir():
        return {name: _load(path / f"{name}.ckpt") for name in PARTS}
    return _load(path)


def state_of(content: object) -> dict[str, object]:
    """Find the tensors in a module, a state dict, or a dictionary that has one under ``state_dict``.

    Raises
    ------
    InputError
        There are none.
    """
    state = content.state_dict() if isinstance(content, nn.Module) else content
    if isinstance(state, Mapping):
        state = state.get("state_dict", state)
    if not isinstance(state, Mapping) or not state or not all(isinstance(name, str) for name in state):
        raise InputError(
            f"a checkpoint that is a {type(state).__name__}: expected a dictionary of tensors by name"
        )
    if all(name.startswith("module.") for name in state):  # saved from a wrapper for several devices
        return {name.removeprefix("module."): value for name, value in state.items()}
    return dict(state)


def _load(path: Path) -> object:
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a checkpoint, or a folder with {', '.join(PARTS)}.ckpt")
    if lfs.is_pointer(path):
        raise InputError(f"{path}: {lfs.WAY_OUT}")
    if path.suffix == ".safetensors":
        return _load_safetensors(path)
    try:
        with _plain_values():
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch lets through whatever a damaged file provokes
        if names := _refused(path, error):
            raise InputError(
                f"{path}: holds Python objects ({', '.join(names)}), which could run code; save its state_dict "
                "alone where they are known"
            ) from None
        raise InputError(f"{path}: not a checkpoint, or cut short ({type(error).__name__})") from None


def _load_safetensors(path: Path) -> object:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError:
        raise InputError(f"{path}: needs the package safetensors; pip install safetensors") from None
    try:
        return load_file(path)
    except SafetensorError as error:
        raise InputError(f"{path}: not a safetensors file, or cut short ({error})") from None


@contextmanager
def _plain_values() -> Iterator[None]:
    """Allow NumPy's numbers and torch's version, which Asteroid's files hold: neither runs foreign code."""
    scalar = np.float64(0).__reduce__()[0]
    kinds = [type(np.dtype(code)) for code in "?bhilqBHILQefd"]
    names = [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    with torch.serialization.safe_globals([*names, np.dtype, *kinds, TorchVersion]):
        yield


def _refused(path: Path, error: Exception) -> list[str]:
    """Return what kept a pickle from being loaded."""
    if not isinstance(error, UnpicklingError):
        return []
    try:
        with _plain_values():
            return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception:  # torch can look into its newer format alone
        return re.findall(r"GLOBAL (\S+)", str(error))[:1]
