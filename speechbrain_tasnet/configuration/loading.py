"""From a command line to hyperparameters: find the YAML file, check its values, and only then build."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import ruamel.yaml
import yaml
from hyperpyyaml import load_hyperpyyaml, resolve_references
from ruamel.yaml.error import YAMLError
from speechbrain.utils.run_opts import RunOptions

from speechbrain_tasnet.configuration.command_line import Words, put_in, take_apart, typed
from speechbrain_tasnet.configuration.includes import whole_text
from speechbrain_tasnet.configuration.model_files import with_model
from speechbrain_tasnet.configuration.names import check_names, top_level
from speechbrain_tasnet.configuration.packaged import PACKAGED, names_in
from speechbrain_tasnet.configuration.schema import NONE, Hparams, Settings, check, check_built
from speechbrain_tasnet.errors import InputError, similar
from speechbrain_tasnet.network import precision
from speechbrain_tasnet.network.devices import check_device
from speechbrain_tasnet.training.finetuning import sizes_of_start

ALLOW_SLOW = "--allow_slow_precision"
PRECISIONS = ("precision", "eval_precision")


@dataclass(frozen=True)
class Recipe:
    """A recipe that was found, read and checked, and of which nothing is built yet.

    Attributes
    ----------
    path : Path
        Its file.
    text : str
        Its YAML with all references, includes and overrides resolved.
    settings : Settings
        Its plain values.
    run_opts : RunOptions
        SpeechBrain's, from the command line.
    """

    path: Path
    text: str
    settings: Settings
    run_opts: RunOptions

    def build(self) -> Hparams:
        """Build what the recipe describes, with new objects at every call.

        Raises
        ------
        InputError
            Something cannot be built, or is not what it should be.
        """
        with _one_line(self.path):
            return check_built(load_hyperpyyaml(self.text))


def read(argv: Sequence[str]) -> Recipe:
    """Find a recipe as SpeechBrain's scripts do, read it and check its values.

    Parameters
    ----------
    argv : sequence of str
        A YAML file, the name of a packaged one (``demo``) or the folder of an earlier run; then
        SpeechBrain's run options (``--device cpu``), overrides of any YAML key (``--batch_size 4``) and, as
        ``--model NAME``, another network than the recipe's (see `model_files.with_model`). ``--precision auto``
        takes bfloat16 where it is faster here; where it is much slower, ``--allow_slow_precision`` insists on it.
        With ``--pretrained`` the sizes of the network are that separator's, where the command line does not give
        them.

    Raises
    ------
    InputError
        The file is not there, is not valid recipe, or a value in it or on the command line is not possible.
    """
    argv, model = _take_out(list(argv), "--model")
    allow_slow, argv = ALLOW_SLOW in argv, [word for word in argv if word != ALLOW_SLOW]
    argv, automatic = _take_out_automatic(argv)
    words = take_apart(argv)
    name, run_opts = _run_options(words)
    path = find(name)
    with _one_line(path):
        text = whole_text(path)
        automatic |= _automatic_in(text) - run_opts["overridden_args"]
        if automatic:
            fastest = precision.best(check_device(run_opts["device"], half=False))
            words.run_options.extend(f"--{option}={fastest}" for option in sorted(automatic))
            _, run_opts = _run_options(words)
        if model is not None:
            text = with_model(text, model)
        check_names(text, words.names)
        overrides, typed_texts = typed(words.overrides)
        overrides = _with_sizes_of_start(text, overrides, words.overrides.get("pretrained"))
        stream = StringIO(text)
        stream.name = str(path)  # in front of what it includes and is not there
        resolved = resolve_references(stream, overrides, overrides_must_match=True).getvalue()
        resolved = put_in(resolved, typed_texts)
        settings = check(yaml.load(resolved, Loader=_PlainLoader))
        options = dict(settings) | {key: run_opts[key] for key in run_opts["overridden_args"]}
        precisions = {options.get(option, "fp32") for option in PRECISIONS}
        device = check_device(options.get("device"), "fp16" in precisions or bool(options.get("auto_mix_prec")))
        if run_opts["data_parallel_backend"] and not device.startswith("cuda"):
            raise InputError("--data_parallel_backend: spreads a batch over GPUs; there is none, leave it out")
        for each in precisions:
            precision.check(each, device, allow_slow)
    return Recipe(path, resolved, settings, run_opts)


def _take_out_automatic(argv: list[str]) -> tuple[list[str], set[str]]:
    """Separate precision options that are ``auto``, a value that SpeechBrain does not know, from the others."""
    automatic = set()
    for option in PRECISIONS:
        rest, value = _take_out(argv, f"--{option}")
        if value == "auto":
            argv, automatic = rest, automatic | {option}
    return argv, automatic


def _automatic_in(text: str) -> set[str]:
    return {option for option in PRECISIONS if re.search(rf"^{option}: *auto\b", text, re.MULTILINE)}


def _with_sizes_of_start(text: str, overrides: dict[str, Any], start: str | None) -> dict[str, Any]:
    """Override the sizes of a recipe by those of the separator that the command line starts from."""
    if start is None or start in NONE:
        return overrides
    try:
        sizes = sizes_of_start(start)
    except InputError:
        return overrides  # which is a mistake at a fresh start alone, and said there
    return {name: value for name, value in sizes.items() if name in top_level(text)} | overrides


def _take_out(argv: list[str], option: str) -> tuple[list[str], str | None]:
    """Take an option and its value, the last if there are several, out of the other words."""
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


def _run_options(words: Words) -> tuple[str, RunOptions]:
    """Let SpeechBrain read its own options; returns the recipe's name and them."""
    said = StringIO()
    try:
        with redirect_stderr(said):
            return RunOptions.from_command_line_args([*words.recipe, *words.run_options])[:2]
    except SystemExit as end:
        if not end.code:  # help was asked for
            raise
        # Its last line, behind the usage of all options.
        raise InputError(said.getvalue().strip().rpartition("error: ")[2]) from None


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    """Put the name of the file into an error about it, in one line."""
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
    packaged = names_in(PACKAGED)
    raise InputError(
        f"{name}: no such YAML file, nor the folder of a run; packaged recipes are: {', '.join(packaged)}"
        f"{similar(name, packaged)}"
    )


class _PlainLoader(ruamel.yaml.SafeLoader):
    """Reads the plain values of a recipe as SpeechBrain does, and passes over what would be built."""


_PlainLoader.add_multi_constructor("!", lambda loader, tag, node: None)
