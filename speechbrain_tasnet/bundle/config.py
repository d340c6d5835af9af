"""``config.json`` of a bundle: what the network is and where it comes from, trusted only after it is checked."""

import inspect
import json
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from reprlib import repr as short
from typing import Any

import torch
from torch import nn

from speechbrain_tasnet.bundle.about import check_about
from speechbrain_tasnet.errors import InputError, whole_number
from speechbrain_tasnet.network.encoder_decoder import Decoder, Encoder
from speechbrain_tasnet.network.mask_network import MaskNet
from speechbrain_tasnet.network.model import Model

CONFIG = "config.json"
FORMAT = "speechbrain_tasnet separator"
VERSION = 1
KEYS = {"format", "version", "sample_rate", "num_spks", "modules", "dtype", "sha256", "about"}
# Tells the Hugging Face hub which class of SpeechBrain it shows under "Use this model". It knows a few classes, of
# which this one reads our bundles. May be missing: bundles were made before there was such a key.
INTERFACE = "speechbrain_interface"
SEPFORMER = "SepformerSeparation"
MODULES = {"encoder": Encoder, "masknet": MaskNet, "decoder": Decoder}
DTYPES = {"float32": torch.float32, "float16": torch.float16}
# What a module need not say, and what is then meant: a bundle for one microphone is as before there were more.
OPTIONAL = {"mics": 1, "reference": 0, "outputs": "reference"}

# What nobody trains.
LARGEST_SIZE = 2**20


@dataclass(frozen=True)
class Config:
    """The configuration of a bundle.

    Parameters
    ----------
    modules : dict of dict
        Arguments of ``encoder``, ``masknet`` and ``decoder``.
    sample_rate : int
        In Hz.
    dtype : str
        ``float32`` or ``float16``: the weights' type on disk.
    sha256 : str
        Of the file of the weights.
    about : dict
        Where it comes from, see `about.ABOUT`.

    Raises
    ------
    InputError
        A value is of the wrong type, out of range, or does not fit another.
    """

    modules: dict[str, dict[str, Any]]
    sample_rate: int
    dtype: str = "float32"
    sha256: str = ""
    about: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        whole_number("sample_rate", self.sample_rate, maximum=LARGEST_SIZE)
        if not isinstance(self.dtype, str) or self.dtype not in DTYPES:
            raise InputError(f"dtype={short(self.dtype)}: expected one of {', '.join(DTYPES)}")
        if not isinstance(self.sha256, str):
            raise InputError(f"sha256={short(self.sha256)}: expected 64 hexadecimal digits")
        _check_modules(self.modules)
        check_about(self.about)

    @property
    def num_spks(self) -> int:
        """Sources that come out."""
        return self.modules["masknet"]["C"]

    @property
    def mics(self) -> int:
        """Microphones that it listens to."""
        return self.modules["encoder"].get("mics", OPTIONAL["mics"])

    @property
    def outputs(self) -> int:
        """Microphones that sources are estimated at."""
        return self.mics if self.modules["encoder"].get("outputs") == "each" else 1

    @property
    def counts_voices(self) -> bool:
        """Whether outputs are quiet for which nobody speaks, so that those who speak can be counted."""
        return self.about.get("silence") == "power"

    @property
    def interface(self) -> str | None:
        """The class of SpeechBrain's own that separates a file with it.

        None for several microphones, whose channels SpeechBrain's would mix down to one.
        """
        return SEPFORMER if self.mics == 1 else None

    @property
    def identity(self) -> str:
        """What decides the samples that come out, beside the weights; these carry it too."""
        return json.dumps({"sample_rate": self.sample_rate, "modules": self.modules}, sort_keys=True)

    def to_json(self) -> str:
        """Write it as the text of ``config.json``."""
        values = {
            "format": FORMAT,
            "version": VERSION,
            **({} if self.interface is None else {INTERFACE: self.interface}),
            "sample_rate": self.sample_rate,
            "num_spks": self.num_spks,
            "modules": self.modules,
            "dtype": self.dtype,
            "sha256": self.sha256,
            "about": self.about,
        }
        return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: bytes) -> "Config":
        """Read it from the bytes of ``config.json``.

        Raises
        ------
        InputError
            They are no JSON, of a newer version, or something in them is missing, unknown or impossible.
        """
        values = strict_json(text)
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            raise InputError(f"does not begin with the format {FORMAT!r}; expected the bundle of a separator")
        version = whole_number("version", values.get("version"))
        if version > VERSION:
            raise InputError(
                f"version={version}: made by a newer speechbrain_tasnet; upgrade this one, which reads {VERSION}"
            )
        expect_keys(values, KEYS | {INTERFACE}, optional={INTERFACE})
        if values.get(INTERFACE, SEPFORMER) != SEPFORMER:
            raise InputError(f"{INTERFACE}={short(values[INTERFACE])}: expected {SEPFORMER}")
        config = cls(*(values[name] for name in ("modules", "sample_rate", "dtype", "sha256", "about")))
        if whole_number("num_spks", values["num_spks"]) != config.num_spks:
            raise InputError(f"num_spks={values['num_spks']}: the mask network has C={config.num_spks}")
        return config

    def build(self) -> Model:
        """Build the network without memory for its weights: on torch's ``meta`` device."""
        with torch.device("meta"):
            return Model(*(kind(**self.modules[name]) for name, kind in MODULES.items()))


def arguments_of(modules: Mapping[str, nn.Module]) -> dict[str, dict[str, Any]]:
    """Return what modules were built with, for `Config.modules`."""
    return {
        name: {
            key: value
            for key, value in modules[name].config.items()
            if key not in OPTIONAL or value != OPTIONAL[key]
        }
        for name in MODULES
    }


def strict_json(text: bytes) -> Any:
    """Read JSON that says everything once, and nothing that JSON has no word for.

    Example
    -------
    >>> strict_json(b'{"N": 1, "N": 2}')
    Traceback (most recent call last):
    speechbrain_tasnet.errors.InputError: has the key 'N' twice
    """

    def once(pairs: list[tuple[str, Any]]) -> dict:
        values = {}
        for key, value in pairs:
            if key in values:
                raise InputError(f"has the key {short(key)} twice")
            values[key] = value
        return values

    def refuse(word: str) -> None:
        raise InputError(f"has {word}, which is not a number in JSON")

    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=once, parse_constant=refuse)
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(f"is not JSON ({' '.join(str(error).split())[:100]})") from None


def expect_keys(values: Any, keys: set[str], where: str = "", optional: Set[str] = frozenset()) -> None:
    """Refuse anything but a mapping with exactly these keys, of which some may be missing."""
    if not isinstance(values, dict):
        raise InputError(f"{where or 'it'} is {type(values).__name__}: expected a mapping of names to values")
    missing, unknown = sorted(keys - optional - values.keys()), sorted(values.keys() - keys)
    if missing:
        raise InputError(f"{where}{' ' if where else ''}has no {missing[0]!r}")
    if unknown:
        raise InputError(f"{where}{' ' if where else ''}has the unknown key {short(unknown[0])}")


def _check_modules(modules: Any) -> None:
    """Compare the arguments of the three modules with what these take, and with each other."""
    expect_keys(modules, set(MODULES), "modules")
    for module, kind in MODULES.items():
        parameters = inspect.signature(kind).parameters
        expect_keys(modules[module], set(parameters), module, OPTIONAL.keys())
        for name, value in modules[module].items():
            expected = parameters[name].annotation
            if not isinstance(value, expected) or isinstance(value, bool) != (expected is bool):
                word = getattr(expected, "__name__", expected)
                raise InputError(f"{module} has {name}={short(value)}: expected {word}")
            if expected is int:
                whole_number(f"{module} has {name}", value, minimum=0, maximum=LARGEST_SIZE)
    encoder, masknet, decoder = (modules[name] for name in MODULES)
    for name, one, other in (
        ("N", encoder, masknet),
        ("N", encoder, decoder),
        ("L", encoder, decoder),
        ("edge_padding", encoder, decoder),
        ("mics", encoder, masknet),
        ("outputs", encoder, masknet),
    ):
        here, there = (module.get(name, OPTIONAL.get(name)) for module in (one, other))
        if here != there:
            raise InputError(f"{name}={here!r} in one module and {there!r} in another: expected the same")
