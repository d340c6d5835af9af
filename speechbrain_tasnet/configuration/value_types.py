"""The types of a recipe's values, each with its description in messages."""

import math
import re
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, Field, WrapValidator
from speechbrain.utils.checkpoints import Checkpointer
from speechbrain.utils.epoch_loop import EpochCounter
from speechbrain.utils.train_logger import TrainLogger
from torch import nn

from speechbrain_tasnet.evaluation.metrics import METRICS
from speechbrain_tasnet.network.model import PARTS
from speechbrain_tasnet.training import budget

MOST_HERTZ = 2**20  # a larger number is a mistake


class Expected(NamedTuple):
    """A description, for messages, of what a value should be."""

    words: str


def _holds(condition: Callable[[Any], object]) -> AfterValidator:
    """Refuse values for which the condition is false or cannot be evaluated."""

    def check(value: Any) -> Any:
        try:
            if condition(value):
                return value
        except (TypeError, OverflowError) as error:
            raise ValueError(str(error)) from None
        raise ValueError("is not so")

    return AfterValidator(check)


def _any_bytes(value: Any, handler: Callable[[Any], str]) -> str:
    """Allow paths with bytes that are not UTF-8; Python escapes them as surrogates, which pydantic refuses."""
    handler(_without_halves(value) if isinstance(value, str) else value)
    return value


def _without_halves(text: str) -> str:
    return re.sub(r"[\udc80-\udcff]", "?", text)


def one_of(*values: str) -> Any:
    """Return the type of one word among several."""
    words = f"one of {', '.join(values)}" if len(values) > 2 else " or ".join(values)
    return Annotated[Literal[values], Expected(words)]


def _whole(minimum: int) -> Any:
    words = f"a whole number of at least {minimum}, below 2^31"
    return Annotated[int, Field(ge=minimum, lt=2**31), Expected(words)]


Natural, Positive = _whole(0), _whole(1)
Truth = Annotated[bool, Expected("True or False")]
Name = Annotated[str, WrapValidator(_any_bytes)]
Text = Annotated[
    Name, Field(min_length=1), _holds(lambda v: _without_halves(v).isprintable()), Expected("one line of text")
]
Folder = Annotated[
    Text, _holds(lambda v: not Path(v).is_file()), Expected("a folder, existing or not, but not a file")
]
File = Annotated[
    Text, _holds(lambda v: not Path(v).is_dir()), Expected("a file, existing or not, but not a folder")
]
ExistingFolder = Annotated[Name, _holds(lambda v: Path(v).is_dir()), Expected("an existing folder")]
OptionalFolder = Annotated[ExistingFolder | None, Expected("an existing folder, or null")]
OptionalFile = Annotated[
    Annotated[Name, _holds(lambda v: Path(v).is_file())] | None, Expected("an existing file, or null")
]
Rate = Annotated[int, Field(ge=1, le=MOST_HERTZ), Expected("a rate in Hz")]
LearningRate = Annotated[float, Field(gt=0, lt=1), Expected("a learning rate between 0 and 1")]
Seconds = Annotated[
    Annotated[float, Field(gt=0, lt=math.inf)] | None, Expected("seconds above 0, or null for whole mixtures")
]
Minutes = Annotated[float, Field(ge=0), Expected("minutes, or 0 for none")]
Decibels = Annotated[Annotated[float, Field(lt=0)] | None, Expected("dB below 0, or null")]
Bound = Annotated[float, Field(gt=0), Expected("a number above 0")]
Share = Annotated[float, Field(ge=0, le=1), Expected("a share from 0 to 1")]
LevelRange = Annotated[
    list[Annotated[float, Field(ge=-100, le=100)]],
    _holds(lambda v: len(v) == 2 and v[0] <= v[1]),
    Expected("two levels in dB, such as [-3, 6]"),
]
ShareRange = Annotated[
    list[Annotated[float, Field(ge=0, le=1)]],
    _holds(lambda v: len(v) == 2 and v[0] <= v[1]),
    Expected("two shares from 0 to 1, such as [0.0, 1.0]"),
]
Speeds = Annotated[
    list[Annotated[float, Field(ge=0.1, le=10)]],
    Field(min_length=1),
    Expected("a list such as [0.95, 1.0, 1.05]"),
]
Metrics = Annotated[list[Literal[tuple(METRICS)]], Expected(f"a list of {', '.join(METRICS)}")]
Splits = Annotated[list[Text], Field(min_length=1), Expected("a list, such as [train-360]")]
Spending = Annotated[Annotated[str, _holds(budget.parse)] | None, Expected(f"null, or {budget.EXPECTED}")]
Start = Annotated[Name | None, Expected("a folder, or null")]
LoaderOptions = Annotated[dict[str, Any], Expected("a mapping of options to values")]
Modules = Annotated[
    dict[str, nn.Module],
    _holds(lambda v: v.keys() >= set(PARTS)),
    Expected(f"a mapping of {', '.join(sorted(PARTS))}"),
]
Scheduler = Annotated[Callable[..., Any] | None, Expected("a scheduler, or null")]
Function = Annotated[Callable[..., Any], _holds(signature), Expected("a function, by !name:")]
OptimizerClass = Annotated[Callable[..., Any], _holds(signature), Expected("an optimizer, by !name:")]
Epochs = Annotated[EpochCounter, Expected("an EpochCounter")]
Checkpoints = Annotated[Checkpointer, Expected("a Checkpointer")]
Log = Annotated[TrainLogger, Expected("a TrainLogger")]
