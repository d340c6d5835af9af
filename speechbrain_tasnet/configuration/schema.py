"""What a recipe says, described once: for the checks, their messages, the reference and editors."""

from collections.abc import Mapping
from inspect import signature
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import ValidationError, model_validator
from torch.utils.data import DataLoader

from speechbrain_tasnet.configuration.sections import Data, Mixing, Network, Section, Training
from speechbrain_tasnet.configuration.value_types import (
    Checkpoints,
    Epochs,
    Expected,
    Function,
    LoaderOptions,
    Log,
    Modules,
    OptimizerClass,
    Scheduler,
)
from speechbrain_tasnet.errors import InputError, similar
from speechbrain_tasnet.losses import SeparationLoss
from speechbrain_tasnet.network.model import Model

NONE = ("null", "~", "")  # what YAML writes for nothing
SHOWN = 200  # letters of a value in a message


class Settings(Data, Mixing, Training, Network):
    """The plain values of a recipe; it may have others of its own, which become attributes, too."""

    @model_validator(mode="after")
    def _segment_holds_a_frame(self) -> "Settings":
        segment, window = self.segment, self.model_extra.get("L")
        if segment is not None and isinstance(window, int) and segment * self.sample_rate < window:
            samples = f"{segment * self.sample_rate:g} samples"
            raise InputError(f"segment={segment}: {samples}, fewer than the encoder's L={window}")
        return self

    @model_validator(mode="after")
    def _mixing_suits_the_task(self) -> "Settings":
        """Check that what is mixed while training is what the task of the corpus needs."""
        task, noise, rooms = self.task, self.noise_folder, self.rooms
        if self.speech_folder is None:
            for name, value in (("noise_folder", noise), ("rooms", rooms)):
                if value is not None:
                    raise InputError(f"{name}={value}: only used in dynamic mixing; set speech_folder, too")
            return self
        if self.segment is None:
            raise InputError("segment=None: dynamic mixing needs a length, such as 4.0 seconds")
        if task in ("enh_both", "enh_both_reverb", "dereverb_both"):
            raise InputError(f"task={task!r}: dynamic mixing has no such target; leave speech_folder out")
        if ("noisy" in task or task.startswith("enh")) and noise is None:
            raise InputError(f"task={task!r}: training without noise; set noise_folder, or no speech_folder")
        if "reverb" in task and rooms is None:
            raise InputError(f"task={task!r}: training without rooms; set rooms, or no speech_folder")
        return self

    @model_validator(mode="after")
    def _loader_knows_its_options(self) -> "Settings":
        known = {*signature(DataLoader).parameters, "looped_nominal_epoch"}
        for options in ("dataloader_opts", "valid_dataloader_opts"):
            for name in sorted(set(dict(self).get(options) or ()) - known):
                raise InputError(f"{options}: {name} is not an option of a DataLoader{similar(name, known)}")
        for name in ("sampler", "batch_sampler", "looped_nominal_epoch"):
            if (dict(self).get("dataloader_opts") or {}).get(name) is not None:
                raise InputError(
                    f"dataloader_opts: {name}: an epoch takes each item once, in an order that a resumed training "
                    "can continue; leave it out (shuffle: False takes them as they are)"
                )
        return self

    @model_validator(mode="after")
    def _speakers_fit(self) -> "Settings":
        if self.min_spks is not None and self.min_spks > self.num_spks:
            raise InputError(f"min_spks={self.min_spks}: expected at most num_spks={self.num_spks}")
        _ = self.separation_loss
        return self

    @model_validator(mode="after")
    def _channels_suffice(self) -> "Settings":
        if self.mixture_channels is not None and self.mixture_channels < self.mics:
            raise InputError(f"mixture_channels={self.mixture_channels}: expected at least mics={self.mics}")
        if self.outputs == "each" and self.mixture_channels not in (None, self.mics):
            raise InputError(
                f"outputs='each' with mixture_channels={self.mixture_channels}: the sources have all channels; "
                f"expected mics={self.mixture_channels}"
            )
        return self

    @model_validator(mode="after")
    def _locations_are_known(self) -> "Settings":
        if self.source_order == "location" and (self.mics == 1 or self.speech_folder is None):
            raise InputError(
                "source_order='location': expected mics above 1 and a speech_folder, for only dynamic mixing "
                "knows where speakers are; or use 'best'"
            )
        return self

    @property
    def separation_loss(self) -> SeparationLoss:
        """What is validated and reported: sources in their best order."""
        return self._loss()

    @property
    def training_loss(self) -> SeparationLoss:
        """What the training minimises: the same, or with sources in the order of their locations."""
        return self._loss(in_order=self.source_order == "location")

    def _loss(self, in_order: bool = False) -> SeparationLoss:
        return SeparationLoss(self.loss, self.loss_silence, self.loss_cap, self.loss_level, in_order)

    @property
    def item_seed(self) -> int:
        """The seed of everything random in training items."""
        return self.seed if self.data_seed is None else self.data_seed


class Built(Section):
    """What a recipe builds."""

    prepare: Function
    """Makes the manifests of the corpus."""
    modules: Modules
    """The network; SpeechBrain's Brain trains all that is in it."""
    opt_class: OptimizerClass
    """Makes the optimizer of parameters."""
    lr_scheduler: Scheduler
    """Changes the learning rate after a validation."""
    step_scheduler: Scheduler
    """Changes the learning rate after a step."""
    epoch_counter: Epochs
    """Counts the epochs."""
    checkpointer: Checkpoints
    """Saves what a training needs to resume."""
    train_logger: Log
    """Writes `train_log`."""
    dataloader_opts: LoaderOptions
    """Of PyTorch's DataLoader in training."""
    valid_dataloader_opts: LoaderOptions
    """Of PyTorch's DataLoader in validation and test."""


class Hparams(Built, Settings):
    """A recipe whose objects are built: SpeechBrain's ``hparams``, typed."""

    @model_validator(mode="after")
    def _network_has_all_microphones(self) -> "Hparams":
        found = getattr(self.modules.get("encoder"), "mics", 1)
        if found != self.mics:
            raise InputError(f"mics={self.mics}: the network has {found}; choose another model, or leave mics out")
        masked = {"each": "outputs", "sum": "summed"}.get(self.outputs)
        if masked and getattr(self.modules["encoder"], masked, 1) != found:
            raise InputError(f"outputs={self.outputs!r}: the network was not built for them; choose another model")
        return self

    @property
    def network(self) -> Model:
        """The network that is in `modules`."""
        return Model.of(self.modules)

    def as_written(self) -> dict[str, Any]:
        """Return by name what the recipe says itself, for SpeechBrain's Brain, whose run options fill the rest."""
        return {name: value for name, value in self if name in self.model_fields_set}


def check(values: object) -> Settings:
    """Check the plain values of a recipe, one by one and together.

    Parameters
    ----------
    values : object
        What the YAML file holds, references resolved, nothing built.

    Raises
    ------
    InputError
        A value is missing or impossible, or two contradict each other.
    """
    if not isinstance(values, Mapping):
        raise InputError("expected a mapping of names to values")
    for name, field in Hparams.model_fields.items():
        if field.is_required() and name not in values:
            raise InputError(f"{name} is missing: expected {expected(name)}")
    return _validated(Settings, values)


def check_built(values: dict) -> Hparams:
    """Check that what was built is what it should be.

    Parameters
    ----------
    values : dict
        What the YAML file has become.

    Raises
    ------
    InputError
        Something is not.
    """
    return _validated(Hparams, values)


def expected(name: str) -> str:
    """Return what the value of a key should be, in words.

    Example
    -------
    >>> expected("batch_size")
    'a whole number of at least 1, below 2^31'
    """
    words = [each.words for each in _metadata(Hparams.model_fields[name]) if isinstance(each, Expected)]
    return words[-1]


def text_kind(name: str) -> str | None:
    """Return whether a key holds a text, such as a path, which a command line gives as it is typed.

    Returns
    -------
    str or None
        ``text``; ``optional`` if it may be null, too; None if its values are YAML, or nobody knows the key.

    Example
    -------
    >>> text_kind("output_folder"), text_kind("speech_folder"), text_kind("batch_size")
    ('text', 'optional', None)
    """
    field = Hparams.model_fields.get(name)
    if field is None:
        return None
    alternatives = get_args(field.annotation) if get_origin(field.annotation) in (Union, UnionType) else ()
    kinds = [getattr(kind, "__origin__", kind) for kind in alternatives or [field.annotation]]
    if str not in kinds:
        return None
    return "optional" if type(None) in kinds else "text"


def _metadata(field: Any) -> list:
    """List what stands beside the type of a field; an optional one keeps it at its first type."""
    kinds = getattr(field.annotation, "__args__", ())
    return field.metadata or [each for kind in kinds for each in getattr(kind, "__metadata__", ())]


def _validated(kind: type, values: Mapping[str, Any]) -> Any:
    try:
        return kind.model_validate(values)
    except ValidationError as failure:
        first = failure.errors()[0]
        if not first["loc"]:
            raise InputError(str(first["ctx"]["error"])) from None
        name = str(first["loc"][0])
        if name not in Hparams.model_fields:
            raise InputError(f"{name}: expected a name") from None
        shown = " ".join(repr(values[name]).split())  # a module's has many lines
        shown = shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}..."
        raise InputError(f"{name}={shown}: expected {expected(name)}") from None
