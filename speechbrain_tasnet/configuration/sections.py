"""The plain values that every recipe has, in sections, each with its type and meaning."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict

from speechbrain_tasnet.audio.speech_level import NOISE_SNR_DB
from speechbrain_tasnet.configuration.value_types import (
    Bound,
    Decibels,
    ExistingFolder,
    Expected,
    File,
    Folder,
    LearningRate,
    LevelRange,
    Metrics,
    Minutes,
    Natural,
    OptionalFile,
    OptionalFolder,
    Positive,
    Rate,
    Seconds,
    Share,
    ShareRange,
    Speeds,
    Spending,
    Splits,
    Start,
    Text,
    Truth,
    one_of,
)
from speechbrain_tasnet.data.tasks import REVERBERANT, TARGETS
from speechbrain_tasnet.losses.separation_loss import RATIOS, SILENCES
from speechbrain_tasnet.training.optimizers import OPTIMIZERS


class Section(BaseModel):
    """Values of a recipe that belong together."""

    model_config = ConfigDict(
        strict=True, extra="allow", arbitrary_types_allowed=True, use_attribute_docstrings=True
    )


class Data(Section):
    """The corpus: where it lies, what comes of it, where the run writes."""

    data_folder: ExistingFolder
    """Folder of the corpus, in the layout that the recipe's comment shows."""
    num_spks: Positive
    """Sources that come out of the network: as many as there are speakers, or 1 for the tasks that enhance."""
    sample_rate: Rate
    """Rate of the audio, in Hz; files of another rate are refused."""
    mode: one_of("min", "max") = "min"
    """Whether the corpus's mixtures are cut to the shorter utterance, or last as long as the longer one."""
    task: one_of(*REVERBERANT) = ""
    """What goes into the network and what should come out, in WHAM!, WHAMR! and LibriMix."""
    target: one_of(*TARGETS) = "anechoic"
    """Sources as their direct sound alone, or as the room has them."""
    train_splits: Splits = ()
    """Parts of LibriMix to train on."""
    skip_prep: Truth = False
    """Take the manifests that are there as they are."""
    experiment_name: Text
    """Name of the run in its folder, its logs and its report."""
    output_folder: Folder
    """All that the run writes."""
    save_folder: Folder
    """Checkpoints and manifests."""
    train_log: File
    """SpeechBrain's log, a line an epoch."""
    tensorboard: Truth = False
    """Whether to write TensorBoard's events, too."""
    train_data: File
    """Manifest of the training set."""
    valid_data: File
    """Manifest of the validation set."""
    test_data: File
    """Manifest of the test set."""
    seed: Natural = 0
    """Of the weights and, with `data_seed`, of everything that is drawn."""


class Mixing(Section):
    """Dynamic mixing: new mixtures for every item, in place of the corpus's own."""

    speech_folder: OptionalFolder
    """Speech to mix, a subfolder for each speaker."""
    noise_folder: OptionalFolder
    """Noise to add."""
    rooms: OptionalFile
    """Rooms to place the speakers in: a bank from `tasnet generate rooms`."""
    noise_share: Share = 1.0
    """Share of the items that get noise."""
    noise_snr: LevelRange = [*NOISE_SNR_DB]
    """From where to where the first speaker may lie above the noise, in dB."""
    room_share: Share = 1.0
    """Share of the items that are heard in a room."""
    channel_share: Share = 0.0
    """Share of the items that come through different microphones, a telephone's band or a codec."""
    wide_level_share: Share = 0.0
    """Share of the items whose first speaker may lie up to 20 dB above the last one, in place of 5 dB."""
    similar_voice_share: Share = 0.0
    """Share of the items whose speakers' voices are about equally high."""
    min_spks: Annotated[Positive | None, Expected("a whole number of at least 1, or null")] = None
    """Fewest speakers of an item; by default all have `num_spks`. The sources of the others are silent."""
    talk_share: Share = 0.0
    """Share of the items that are stretches of conversations."""
    talk_pause: Bound = 1.0
    """Mean pause between two turns of a conversation, in seconds."""
    talk_overlap: Bound = 2.0
    """Mean overlap of two turns that overlap, in seconds."""
    talk_overlap_probability: ShareRange = [0.0, 1.0]
    """From where to where the share of turns may lie that begin before the last one ends."""
    epoch_items: Positive
    """Mixtures in an epoch."""
    data_seed: Natural | None = None
    """Of all that is drawn for training items; by default `seed`."""


class Training(Section):
    """How the network is trained and evaluated."""

    pretrained: Start = None
    """Separator to start from: a bundle, or the folder of the run that trained it. Read at a fresh start only."""
    number_of_epochs: Positive
    """Passes through the training set, a validation after each."""
    budget: Spending = None
    """What the training may cost instead, such as `20000 steps`, `60 minutes` or `1e15 macs`: it is spent in
    `number_of_epochs` equal parts, and the learning rate falls to zero at its end."""
    batch_size: Positive
    """Mixtures in a step, on each process."""
    grad_accumulation_factor: Positive = 1
    """Batches that are added up before the weights change."""
    optimizer: one_of(*OPTIMIZERS) = "adam"
    """`muon` is faster per hour of audio: it takes orthogonal steps of the matrices, and Adam's of the rest."""
    lr: LearningRate
    """Learning rate to begin with."""
    segment: Seconds
    """Length of training items, cut at random."""
    speeds: Speeds
    """Speeds that training items are played at; drawn for each source."""
    max_grad_norm: Bound = 5.0
    """Norm that gradients are clipped to."""
    max_bad_items: Natural = 100
    """So many items that cannot be used are tolerated; they are listed in `bad_items.csv`."""
    nonfinite_patience: Natural = 3
    """Steps of an epoch whose gradient may be not finite, before the training ends."""
    loss: one_of(*RATIOS) = "si-snr"
    """What voices are compared by: `snr` counts the level, too, `sa-sdr` is one ratio of all voices together."""
    loss_silence: Annotated[one_of(*SILENCES) | None, Expected("power, mixture or null")] = None
    """What an output for nobody is to have: little `power`, or the `mixture` itself; null: anything."""
    loss_cap: Annotated[Bound | None, Expected("dB above 0, or null")] = None
    """Ratio in dB that the loss comes near to and does not reach."""
    loss_level: Annotated[Bound | None, Expected("dB a dB, above 0, or null")] = None
    """What each dB costs that a voice is too loud or too soft, with `loss` `si-snr`; null: nothing."""
    loss_threshold: Decibels
    """Items whose loss is below teach nothing more and are left out."""
    precision: one_of("fp32", "bf16", "fp16", "auto") = "fp32"
    """Arithmetic of the training; `auto` is bfloat16 where that is faster on this machine."""
    ckpt_interval_minutes: Minutes = 0.0
    """Time between checkpoints within an epoch."""
    num_workers: Natural
    """Processes that load items."""
    metrics: Metrics
    """What the test reports beside SI-SNR."""
    test_voices: Text
    """Whose voices the report says that the test set holds."""


class Network(Section):
    """What all networks have in common; their sizes are those of the file in ``hparams/model``."""

    causal: Truth = False
    """Whether the network does without the future, so that it separates while it listens."""
    mics: Positive = 1
    """Microphones that the network hears."""
    reference: Natural = 0
    """Which of them the sources are estimated at, from 0 on."""
    outputs: one_of("reference", "each") = "reference"
    """Where the sources are estimated: at the reference, or at each microphone."""
    mixture_channels: Annotated[Positive | None, Expected("a whole number of at least 1, or null")] = None
    """Channels of the mixtures, of which the network hears the first `mics`; null: as many as `mics`."""
