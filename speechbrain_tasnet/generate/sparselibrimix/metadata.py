"""Read SparseLibriMix's metadata: which parts of which utterances are heard when, and how loud."""

import json
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints, TypeAdapter, ValidationError, model_validator

from speechbrain_tasnet.errors import InputError

WHERE = "as metadata/sparse_2_0.2 of github.com/popcornell/SparseLibriMix has it"
FILE = "metadata.json"

Seconds = Annotated[float, Field(ge=0, lt=1e5)]
Name = Annotated[str, StringConstraints(pattern=r"^[\w-][\w.-]{0,199}$")]


class Part(BaseModel):
    """A part of a file, and where it is heard in the mixture."""

    file: str
    start: Seconds  # in the mixture
    stop: Seconds
    orig_start: Seconds  # in the file
    orig_stop: Seconds
    lvl: float = Field(gt=-200, lt=50)  # LUFS
    channel: int = Field(default=0, ge=0)
    spk_id: str = ""
    words: list[str] = []

    @model_validator(mode="after")
    def _check(self) -> "Part":
        if self.orig_stop <= self.orig_start:
            raise ValueError(f"{self.orig_start} to {self.orig_stop} s: expected a start, then an end")
        if Path(self.file).is_absolute() or ".." in Path(self.file).parts:
            raise ValueError(f"{self.file}: expected a path below the corpus")
        return self


class Mixture(BaseModel):
    """One mixture: the utterances of each speaker, and the noise."""

    mixture_name: Name
    sources: dict[
        Annotated[str, StringConstraints(pattern=r"^s[1-9]$")], Annotated[list[Part], Field(min_length=1)]
    ] = Field(min_length=1)
    noise: list[Part] = []

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, values: object) -> dict:
        """Take all keys for speakers that are not the name or the noise."""
        if not isinstance(values, dict):
            raise ValueError("expected an object with mixture_name, s1, s2 and noise")
        values = dict(values)
        named = {name: values.pop(name) for name in ("mixture_name", "noise") if name in values}
        return named | {"sources": dict(sorted(values.items()))}


def find_sets(metadata: Path) -> dict[str, Path]:
    """Find the sets, such as ``sparse_2_0.2``, in a folder, which may be one itself.

    Raises
    ------
    InputError
        There is none.
    """
    if (metadata / FILE).is_file():
        return {metadata.resolve().name: metadata / FILE}
    found = {path.parent.name: path for path in sorted(metadata.glob(f"*/{FILE}"))}
    if not found:
        raise InputError(f"{metadata}: no {FILE} in it, nor in a folder of it; expected it {WHERE}")
    return found


def read_set(path: Path) -> list[Mixture]:
    """Read the mixtures of a set.

    Raises
    ------
    InputError
        It cannot be read, or is not of SparseLibriMix.
    """
    try:
        mixtures = TypeAdapter(list[Mixture]).validate_python(json.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        where = " ".join(map(str, first["loc"]))
        raise InputError(f"{path}: {where}: {first['msg']}; expected it {WHERE}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); expected it {WHERE}") from None
    names = [mixture.mixture_name for mixture in mixtures]
    if not names or len(set(names)) < len(names):
        raise InputError(f"{path}: {len(names)} mixtures with {len(set(names))} names; expected it {WHERE}")
    return mixtures
