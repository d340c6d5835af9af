"""Which of a toolkit's tensors is which of ours, as a table that can be read at a glance."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import NamedTuple

from torch import Tensor

from speechbrain_tasnet.errors import InputError

State = dict[str, Tensor]

NORMS = ("norm", "norm1", "norm2")
PRELUS = ("prelu", "prelu1", "prelu2")


class Renamed(NamedTuple):
    """Another toolkit's tensors under our names."""

    tensors: State
    names: dict[str, str]  # our name -> theirs, of all that such a network may have
    unknown: list[str]
    blocks: int
    X: int | None  # blocks in a repeat, where their names say so


@dataclass(frozen=True)
class Layout:
    """Where a toolkit keeps its tensors.

    Parameters
    ----------
    encoder, decoder : str
        Names of the basis signals.
    net, block : dict of str
        A layer of `MaskNet` or of its blocks, and their name for it. A layer that they lack is left out.
    prefix : str
        What the names of a block begin with: holds ``{i}``, or ``{r}`` and ``{x}`` for repeat and block.
    gain, shift : str
        What their norms call weight and bias.
    biases : bool
        Whether their convolutions have biases.

    Example
    -------
    >>> layout = Layout("enc", "dec", net={"prelu": "act"}, block={"norm1": "n"}, prefix="tcn.{i}.", gain="gamma")
    >>> layout.names([{"i": 0}])["masknet.tcn.blocks.0.norm1.weight"]
    'tcn.0.n.gamma'
    """

    encoder: str
    decoder: str
    prefix: str
    net: Mapping[str, str] = field(default_factory=dict)
    block: Mapping[str, str] = field(default_factory=dict)
    gain: str = "weight"
    shift: str = "bias"
    biases: bool = True

    def names(self, places: Iterable[dict[str, int]]) -> dict[str, str]:
        """List our names and theirs for a network whose blocks are in these places."""
        names = {"encoder.weight": self.encoder, "decoder.weight": self.decoder}
        names |= self._layers(self.net, "masknet.", "")
        for i, place in enumerate(places):
            names |= self._layers(self.block, f"masknet.tcn.blocks.{i}.", self.prefix.format(**place))
        return names

    def _layers(self, layers: Mapping[str, str], ours: str, theirs: str) -> dict[str, str]:
        return {
            f"{ours}{layer}.{mine}": f"{theirs}{name}.{other}"
            for layer, name in layers.items()
            for mine, other in self._parameters(layer).items()
        }

    def _parameters(self, layer: str) -> dict[str, str]:
        if layer in NORMS:
            return {"weight": self.gain, "bias": self.shift}
        return (
            {"weight": "weight", "bias": "bias"} if self.biases and layer not in PRELUS else {"weight": "weight"}
        )

    def places(self, state: Mapping[str, object]) -> list[dict[str, int]]:
        """Find the blocks of a network, in order.

        Raises
        ------
        InputError
            Some are missing.
        """
        letters = re.findall(r"{(\w)}", self.prefix)
        pattern = re.compile(re.sub(r"\\{\w\\}", r"(\\d{1,4})", re.escape(self.prefix)))
        found = {tuple(map(int, match.groups())) for name in state if (match := pattern.match(name))}
        counts = [len(set(numbers)) for numbers in zip(*found, strict=True)]
        places = list(product(*map(range, counts))) if found else []
        if missing := [self.prefix.format(**dict(zip(letters, p, strict=True))) for p in places if p not in found]:
            raise InputError(f"{listed(missing)}: blocks are missing; expected a whole network")
        return [dict(zip(letters, place, strict=True)) for place in places]

    def to_ours(self, state: Mapping[str, object]) -> Renamed:
        """Rename the tensors of a network to our names."""
        places = self.places(state)
        names = self.names(places or [{"i": 0, "r": 0, "x": 0}])
        ours = {theirs: mine for mine, theirs in names.items()}
        usable = {name for name, value in state.items() if isinstance(value, Tensor) and value.is_floating_point()}
        return Renamed(
            tensors={ours[name]: state[name].detach().float() for name in state if name in usable & ours.keys()},
            names=names,
            unknown=[name for name in state if name not in usable & ours.keys()],
            blocks=len(places),
            X=places[-1]["x"] + 1 if places and "x" in places[-1] else None,
        )

    def to_theirs(self, tensors: State, blocks: int) -> State:
        """Rename our tensors to theirs; 1x1 convolutions get their third axis.

        The layout must number its blocks by ``{i}``.
        """
        names = self.names({"i": i} for i in range(blocks))
        copies = {names[name]: tensor.detach().cpu().clone() for name, tensor in tensors.items()}
        return {name: copy.unsqueeze(2) if copy.ndim == 2 else copy for name, copy in copies.items()}


def listed(names: Iterable[object], most: int = 3) -> str:
    """Join the first few.

    Example
    -------
    >>> listed("abcde")
    'a, b, c and 2 more'
    """
    names = [str(name) for name in names]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
