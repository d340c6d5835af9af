"""Which packages are needed, in which versions, and what to do if one of them cannot be imported.

It imports hardly anything but the standard library, so that it can report problems when nothing else works.
"""

import re
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution, version
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from packaging.requirements import Requirement

DISTRIBUTION = "speechbrain-tasnet"

# In the order in which they need each other: the first that does not import is to blame. Without numba everything
# works, but slowly.
NEEDED = ("numpy", "scipy", "soundfile", "torch", "torchaudio", "torchmetrics", "speechbrain")
ALL_NEEDED = (*NEEDED, "numba")

# Modules whose package has another name, or other versions.
PACKAGES = {"yaml": "pyyaml", "ruamel": "ruamel.yaml", "PIL": "pillow", "pkg_resources": "'setuptools<81'"}

# With whom each must agree.
PARTNERS = {
    "torchaudio": "torch",
    "numba": "numpy",
    "scipy": "numpy",
    "torch": "numpy",
    "speechbrain": "torchaudio",
}

CPU_INDEX = "https://download.pytorch.org/whl/cpu"


class Broken(NamedTuple):
    """A package that does not import: its name, why, and the command that repairs it."""

    name: str
    reason: str
    command: str

    def __str__(self) -> str:
        """Return one line with the versions of the package and its partner, the reason and the command."""
        partner = PARTNERS.get(self.name)
        beside = f" beside {partner} {installed(partner)}" if partner and installed(partner) else ""
        found = installed(self.name)
        what = f"{self.name} {found} does not import{beside}" if found else f"{self.name} is not installed"
        return f"{what} ({self.reason}); run: {self.command}" if found else f"{what}; run: {self.command}"


def installed(package: str) -> str | None:
    """Return the version of an installed package; None where it is not installed.

    Examples
    --------
    >>> installed("no such package")
    """
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def first_broken(packages: Iterable[str] = NEEDED) -> Broken | None:
    """Import packages one after the other, and return the first that cannot be imported.

    Parameters
    ----------
    packages : iterable of str
        Names of packages that are needed, in the order in which they need each other.

    Returns
    -------
    Broken or None
        What is wrong and how to repair it; None if all can be imported.
    """
    for name in packages:
        try:
            import_module(name)
        # A library of another version makes of an import whatever it likes: torchaudio has raised OSError,
        # ImportError and RuntimeError.
        except Exception as error:
            return Broken(name, _reason(error), _repair(name, error))
    return None


def explain(error: Exception) -> str | None:
    """Return one line about the package whose import an error comes from.

    Parameters
    ----------
    error : Exception
        Whatever was raised.

    Returns
    -------
    str or None
        What is wrong and the command that repairs it; None where every package can be imported, so that the error
        has another cause.
    """
    broken = first_broken()
    if broken is None and isinstance(error, ModuleNotFoundError) and error.name:
        module = error.name.partition(".")[0]
        package = PACKAGES.get(module, module)
        if package in requirements():
            broken = Broken(package, _reason(error), _repair(package, error))
    return None if broken is None else str(broken)


def torchaudio_for(torch: str) -> str:
    """Return the version of torchaudio that imports beside a version of torch.

    Up to 2.11 each torch has a torchaudio of its own number. 2.12 has none and takes the one before it; 2.11.1 is
    built against what torch promises to keep from 2.13 on. All of these pairs were tried.

    Examples
    --------
    >>> [torchaudio_for(torch) for torch in ("2.7.1", "2.11.0", "2.12.1", "2.13.0", "2.15.0+cpu")]
    ['2.7.1', '2.11.0', '2.11.0', '2.11.1', '2.11.1']
    """
    number = re.match(r"\d+\.\d+(\.\d+)?", torch)[0]
    major, minor = (int(part) for part in number.split(".")[:2])
    if (major, minor) >= (2, 13):
        return "2.11.1"
    return "2.11.0" if (major, minor) in ((2, 11), (2, 12)) else number


@cache
def requirements() -> dict[str, str]:
    """Return the versions that each needed package may have, by its name, as packages' metadata writes ranges.

    Empty where the package runs from a folder that is not installed.
    """
    try:
        from packaging.requirements import Requirement

        lines = distribution(DISTRIBUTION).requires or []
    except (PackageNotFoundError, ModuleNotFoundError):
        return {}
    needed = (Requirement(line) for line in lines)
    return {
        each.name: str(each.specifier) for each in needed if not each.marker or each.marker.evaluate({"extra": ""})
    }


def extras() -> dict[str, list["Requirement"]]:
    """Return the packages that each extra brings, by its name; empty where `requirements` is."""
    try:
        from packaging.requirements import Requirement

        found = distribution(DISTRIBUTION)
    except (PackageNotFoundError, ModuleNotFoundError):
        return {}
    optional = [each for line in found.requires or [] if (each := Requirement(line)).marker]
    packages = {
        extra: [each for each in optional if each.marker.evaluate({"extra": extra})]
        for extra in found.metadata.get_all("Provides-Extra") or ()
    }
    for brought in packages.values():
        for each in brought:
            each.marker = None  # what is left reads as on a command line: onnx>=1.16
    return packages


def _reason(error: Exception) -> str:
    """Return the innermost reason for an error, in one short line."""
    while error.__cause__ is not None:
        error = error.__cause__
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return re.sub(r"/\S*/", "", line)[:160]


def _repair(name: str, error: Exception) -> str:
    """Return the command that repairs a package which does not import."""
    if name == "torchaudio":
        return _pair()
    if installed(name) is None:
        return f"pip install '{name}{requirements().get(name, '')}'"
    if isinstance(error, ModuleNotFoundError) and error.name and error.name != name:
        module = error.name.partition(".")[0]
        return f"pip install {PACKAGES.get(module, module)}"
    return f"pip install --force-reinstall {name}"


def _pair() -> str:
    """Return the command that installs the torchaudio which fits the torch that is there."""
    torch = installed("torch")
    if torch is None:
        return f"pip install {DISTRIBUTION}"
    index = f" --index-url {CPU_INDEX}" if torch.endswith("+cpu") else ""
    return f"pip install --force-reinstall --no-deps torchaudio=={torchaudio_for(torch)}{index}"
