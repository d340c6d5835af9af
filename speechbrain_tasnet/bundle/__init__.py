"""A separator as a folder that anybody can load without running code from it.

``config.json`` says what the network is, ``model.safetensors`` holds the weights; these two are read.
``README.md`` is a card for people and for the Hugging Face hub, ``hyperparams.yaml`` is for SpeechBrain's loaders.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace as with_changes
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from speechbrain_tasnet.bundle.config import CONFIG, MODULES, Config, arguments_of
from speechbrain_tasnet.bundle.hyperparams import HPARAMS, write_hparams
from speechbrain_tasnet.bundle.weights_file import WEIGHTS, pack_weights, read_weights
from speechbrain_tasnet.errors import InputError, similar
from speechbrain_tasnet.network.model import Model
from speechbrain_tasnet.shipped import HOME, bundled_names
from speechbrain_tasnet.system.files import new_file, new_folder, write_text

# Where a training run keeps its separator.
PRETRAINED = "pretrained"

CONFIG_LIMIT = 2**20  # bytes


class Bundle(NamedTuple):
    """A separator and what is known of it."""

    model: Model  # on the processor, in float32
    config: Config


def can_hold(modules: Mapping[str, nn.Module]) -> bool:
    """Return whether these are modules that a bundle can describe: this package's own."""
    return all(isinstance(modules[name], kind) for name, kind in MODULES.items())


def save_bundle(
    folder: Path | str,
    modules: Mapping[str, nn.Module],
    sample_rate: int,
    about: Mapping[str, Any] | None = None,
    dtype: str = "float32",
    replace: bool = False,
) -> None:
    """Write a separator as a bundle.

    Parameters
    ----------
    folder : path-like
        Made whole or not at all.
    modules : Model or mapping of Module
        With ``encoder``, ``masknet`` and ``decoder`` in it.
    sample_rate : int
        In Hz.
    about : mapping, optional
        Where the separator comes from, see `about.ABOUT`.
    dtype : str
        ``float32``, or ``float16`` for half the size.
    replace : bool
        Whether it may replace an existing folder.

    Raises
    ------
    InputError
        The folder holds something, `about` has an unknown entry, or a weight does not fit.
    """
    # Nobody who only loads a bundle waits for huggingface_hub, by which cards are written.
    from speechbrain_tasnet.bundle.card import CARD, write_card

    config = Config(arguments_of(modules), sample_rate, dtype, about=dict(about or {}))
    data = pack_weights(_named_weights(modules), dtype, config.identity)
    config = with_changes(config, sha256=hashlib.sha256(data).hexdigest())
    with new_folder(folder, replace=replace) as partial:
        with new_file(partial / WEIGHTS) as file:
            file.write_bytes(data)
        write_text(partial / CONFIG, config.to_json())
        write_text(partial / HPARAMS, write_hparams(config))
        write_text(partial / CARD, write_card(config))


def load_bundle(folder: Path | str) -> Bundle:
    """Load a separator without YAML, pickle or network access, and only if it matches its description.

    Parameters
    ----------
    folder : path-like
        A bundle; a snapshot in the cache of the Hugging Face hub is one too.

    Raises
    ------
    InputError
        There is no bundle, it is damaged, or something in it is not as it should be.
    """
    return read_bundle(_own_file(Path(folder), CONFIG), _own_file(Path(folder), WEIGHTS))


def read_bundle(config_file: Path, weights_file: Path) -> Bundle:
    """Load a separator from its two files, as `load_bundle` does."""
    config = read_config(config_file)
    with _named(config_file):
        model = config.build()
    with _named(weights_file):
        weights = read_weights(weights_file, _named_weights(model), config.dtype, config.identity, config.sha256)
    for name, module in model.items():
        own = {key: weights[f"{name}.{key}"] for key in module.state_dict()}
        module.load_state_dict(own, assign=True)
    return Bundle(model, config)


def read_config(file: Path) -> Config:
    """Read what a bundle says of itself, and believe it only if it is possible."""
    with _named(file):
        with file.open("rb") as opened:
            text = opened.read(CONFIG_LIMIT + 1)
        if len(text) > CONFIG_LIMIT:
            raise InputError(f"has more than {CONFIG_LIMIT} bytes; expected the configuration of a separator")
        return Config.from_json(text)


def find_bundle(folder: Path | str) -> Path:
    """Find a bundle in its folder, in that of the training run that made it, or by its name in the package.

    A folder of that name comes before the package.

    Raises
    ------
    InputError
        There is none.
    """
    names = bundled_names()
    homes = [HOME / str(folder)] if str(folder) in names else []
    for candidate in (Path(folder) / PRETRAINED, Path(folder), *homes):
        if (candidate / CONFIG).is_file():
            return candidate
    raise InputError(
        f"{folder}: holds no separator; expected a folder with {CONFIG} and {WEIGHTS}, that of a finished run, or "
        f"one of {', '.join(names)}{similar(str(folder), names)}"
    )


def _named_weights(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """Return every weight by its module and its name there."""
    return {f"{name}.{key}": tensor for name in MODULES for key, tensor in modules[name].state_dict().items()}


def _own_file(folder: Path, name: str) -> Path:
    """Find a file of a bundle, and nothing that a link leads to elsewhere."""
    try:
        home, file = folder.resolve(strict=True), (folder / name).resolve(strict=True)
    except (OSError, RuntimeError):
        raise InputError(f"{folder}: has no {name}; expected the folder of a separator") from None
    # The hub's cache keeps the files of a snapshot as links to its blobs.
    homes = [home, home.parents[1] / "blobs"] if home.parent.name == "snapshots" else [home]
    if file.parent not in homes or not file.is_file():
        raise InputError(f"{folder / name}: leads out of the folder or is not a file; expected one of the bundle")
    return folder / name  # what it is called, and not the blob that it leads to


@contextmanager
def _named(file: Path) -> Iterator[None]:
    """Put a file's name before its error message."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from None
