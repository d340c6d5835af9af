"""Which versions are installed, whether they fit, and what the optional parts would add."""

from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from speechbrain_tasnet.installation import DISTRIBUTION, extras, installed, requirements, torchaudio_for

# What each extra adds; which packages it brings is in the package's own metadata.
ADDS = {
    "app": "`tasnet app`",
    "cluster": "--launcher slurm",
    "corpora": "`tasnet generate sparselibrimix`",
    "demo": "the synthetic voices of `tasnet demo`",
    "docs": "the documentation as a site: `mkdocs serve`",
    "export": "`tasnet export onnx`",
    "live": "`tasnet live`",
    "media": "m4a, aac, webm, wma and films",
    "quality": "--metrics pesq, stoi, der",
    "rooms": "`tasnet generate rooms` and `tasnet mix --reverb`",
    "study": "Asteroid as a contestant of `tasnet study`, the energy of GPUs",
    "tensorboard": "--tensorboard True",
}
# Those for work on the package itself, which `make` installs.
WORK = {"bench", "test"}


class Part(NamedTuple):
    """An optional part: what it adds, and which of its packages are missing or of a version that does not fit."""

    adds: str
    missing: list[str]


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


def optional_parts() -> dict[str, Part]:
    """Return by extra, of all that the package's metadata has, what it adds and which packages it lacks."""
    return {
        extra: Part(ADDS.get(extra, ""), [str(needed) for needed in packages if not _fits(needed)])
        for extra, packages in sorted(extras().items())
        if extra not in WORK
    }


def _fits(needed: Requirement) -> bool:
    version = installed(needed.name)
    return version is not None and needed.specifier.contains(version, prereleases=True)
