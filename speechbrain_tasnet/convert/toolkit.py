"""What must be known about a toolkit, and what its checkpoints leave open."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import nn

from speechbrain_tasnet.convert.layout import Layout, State
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.network.model import Model
from speechbrain_tasnet.network.norms import find_norm

# Arguments of our modules, by name; ``sample_rate`` may stand among what a checkpoint says.
Settings = dict[str, object]

# What a checkpoint may leave open and the user can say.
QUESTIONS = ("norm", "causal", "mask_activation", "X")


@dataclass(frozen=True)
class Toolkit:
    """One toolkit's Conv-TasNet.

    Parameters
    ----------
    name : str
        How the user asks for it.
    read : callable
        From a checkpoint's content to its tensors and what it says itself of the settings.
    layout : callable
        From these tensors' names to their `Layout`.
    fixed : dict
        Settings that it has no choice in.
    usual : dict
        Settings that hold unless the checkpoint or the user says otherwise.
    hints : dict of str
        What to show a user who must answer one of `QUESTIONS`.
    adapt : callable, optional
        Changes tensors (under our names) and settings where its mathematics is other than ours.
    express : callable, optional
        From our modules and a sample rate to its own form.
    """

    name: str
    read: Callable[[object], tuple[dict[str, object], Settings]]
    layout: Callable[[Mapping[str, object]], Layout]
    fixed: Settings = field(default_factory=dict)
    usual: Settings = field(default_factory=dict)
    hints: Mapping[str, str] = field(default_factory=dict)
    adapt: Callable[[State, Settings], None] | None = None
    express: Callable[[Model, int | None], object] | None = None

    def settle(self, stated: Settings, answers: Settings) -> Settings:
        """Join what the toolkit fixes, what the checkpoint states and what the user answers.

        Raises
        ------
        InputError
            Something is still open, or an answer contradicts the checkpoint.
        """
        answers = {name: value for name, value in answers.items() if value is not None}
        if "norm" in answers:
            answers["norm"] = find_norm(answers["norm"], causal=False).name
        known = self.fixed | stated
        for name, value in answers.items():
            if known.get(name, value) != value:
                raise InputError(f"{name}={value!r}: this is a model with {name}={known[name]!r}; leave it out")
        settings = self.usual | known | answers
        if missing := [name for name in QUESTIONS if name not in settings]:
            hints = "; ".join(f"{name} ({self.hints[name]})" for name in missing)
            raise InputError(f"{', '.join(missing)}: not in this checkpoint of {self.name}; give {hints}")
        return settings


def carry_over(toolkit: str, option: str, value: object, table: Mapping[object, object]) -> object:
    """Translate the value of a toolkit's option.

    Raises
    ------
    InputError
        There is nothing like it here.
    """
    if value not in list(table):  # a list has no hash
        raise InputError(
            f"{option}={value!r} of this {toolkit} model: it has no equivalent here; known are {list(table)}"
        )
    return table[value]


def blocks_in_repeat(model: nn.Module) -> Settings:
    """Return X, as a setting, from the dilations of a network's depthwise convolutions.

    Raises
    ------
    InputError
        They do not double from block to block.

    Example
    -------
    >>> blocks_in_repeat(nn.Sequential(*(nn.Conv1d(4, 4, 3, dilation=d, groups=4) for d in (1, 2, 4, 1, 2, 4))))
    {'X': 3}
    """
    convs = [layer for layer in model.modules() if isinstance(layer, nn.Conv1d) and layer.groups > 1]
    dilations = [conv.dilation[0] for conv in convs]
    X = next((i for i, d in enumerate(dilations[1:], start=1) if d == 1), len(dilations))
    if dilations != [2 ** (i % X) for i in range(len(dilations))] if X else []:
        raise InputError(f"dilations {dilations}: expected 1, 2, 4, ... over again")
    return {"X": X} if X else {}
