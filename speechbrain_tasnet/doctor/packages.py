"""Which versions are installed, whether they fit, and what the optional parts would add."""

from importlib.util import find_spec
from typing import NamedTuple

from packaging.specifiers import SpecifierSet

from speechbrain_tasnet.installation import DISTRIBUTION, installed, requirements, torchaudio_for

# By extra: the modules that it brings, and what they are for.
OPTIONAL = {
    "demo": (("espeakng_loader",), "the synthetic voices of `tasnet demo`"),
    "export": (("onnx", "onnxruntime"), "`tasnet export onnx`"),
    "quality": (("pesq", "pystoi"), "--metrics pesq, stoi"),
    "rooms": (("pyroomacoustics",), "`tasnet generate rooms` and `tasnet mix --reverb`"),
    "study": (("asteroid", "pynvml"), "Asteroid as a contestant of `tasnet study`, the energy of GPUs"),
    "tensorboard": (("tensorboard",), "--tensorboard True"),
}


class Package(NamedTuple):
    """A package that is needed: its version, the versions that would do, and how it does not fit, if so."""

    name: str
    version: str | None
    wanted: str
    problem: str | None


def needed_packages() -> list[Package]:
    """Compare the version of each package that is needed with those that were tried."""
    return [_examine(name, wanted) for name, wanted in sorted(requirements().items())]


def _examine(name: str, wanted: str) -> Package:
    version = installed(name)
    problem = None
    if version is None:
        problem = f"{name} is not installed; run: pip install {DISTRIBUTION}"
    elif not SpecifierSet(wanted).contains(version, prereleases=True):
        problem = f"{name} {version} was not tried, {wanted} was; run: pip install '{name}{wanted}'"
    elif name == "torchaudio" and (torch := installed("torch")):
        fitting = torchaudio_for(torch)
        if version.partition("+")[0] != fitting:
            problem = f"torchaudio {version} was not tried beside torch {torch}; {fitting} was"
    return Package(name, version, wanted, problem)


def optional_parts() -> dict[str, tuple[bool, str]]:
    """Return by extra whether all of it is there, and what it adds."""
    return {
        extra: (all(find_spec(module) for module in modules), adds) for extra, (modules, adds) in OPTIONAL.items()
    }
