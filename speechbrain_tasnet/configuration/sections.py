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
from speechbrain_tasnet.data.tasks import OUTPUTS, REVERBERANT, SOURCE_ORDERS, TARGETS
from speechbrain_tasnet.losses.separation_loss import RATIOS, SILENCES
from speechbrain_tasnet.network.encoder_decoder import TAILS
from speechbrain_tasnet.network.norms import NORMS
from speechbrain_tasnet.network.tcn import BLOCKS
from speechbrain_tasnet.training.optimizers import OPTIMIZERS


class Section(BaseModel):
    """Values of a recipe that belong together."""

    model_config = ConfigDict(
        strict=True, extra="allow", arbitrary_types_allowed=True, use_attribute_docstrings=True
    )


class Data(Section):
    """The corpus: where it is, what is used of it, where the run writes."""

    data_folder: ExistingFolder
    """Folder of the corpus, in the layout that the recipe's comment shows."""
    num_spks: Positive
    """Sources that the network estimates: one per speaker, or 1 for the enhancement tasks."""
    sample_rate: Rate
    """Rate of the audio, in Hz; files of another rate are refused."""
    mode: one_of("min", "max") = "min"
    """Whether the corpus's mixtures are cut to the shorter utterance, or last as long as the longer one."""
    task: one_of(*REVERBERANT) = ""
    """What goes into the network and what should come out, in WHAM!, WHAMR! and LibriMix."""
    target: one_of(*TARGETS) = "anechoic"
    """Sources as their direct sound alone, or with reverberation."""
    train_splits: Splits = ()
    """Parts of LibriMix to train on."""
    skip_prep: Truth = False
    """Use existing manifests as they are."""
    experiment_name: Text
    """Name of the run in its folder, its logs and its report."""
    output_folder: Folder
    """Everything that the run writes."""
    save_folder: Folder
    """Checkpoints and manifests."""
    train_log: File
    """SpeechBrain's log, one line per epoch."""
    tensorboard: Truth = False
    """Whether to write TensorBoard events as well."""
    train_data: File
    """Manifest of the training set."""
    valid_data: File
    """Manifest of the validation set."""
    test_data: File
    """Manifest of the test set."""
    seed: Natural = 0
    """Seed of the weights and, unless `data_seed` is set, of everything random."""


class Mixing(Section):
    """Dynamic mixing: new mixtures for every item, in place of the corpus's own."""

    speech_folder: OptionalFolder
    """Speech to mix, one subfolder per speaker."""
    noise_folder: OptionalFolder
    """Noise to add."""
    rooms: OptionalFile
    """Rooms to place the speakers in: a bank from `tasnet generate rooms`."""
    noise_share: Share = 1.0
    """Share of the items with voices that get noise."""
    noise_snr: LevelRange = [*NOISE_SNR_DB]
    """Range of the first speaker's level above the noise, in dB."""
    room_share: Share = 1.0
    """Share of the items that are placed in a room."""
    channel_share: Share = 0.0
    """Share of the items that come through different microphones, a telephone's band or a codec."""
    wide_level_share: Share = 0.0
    """Share of the items whose first speaker may be up to 20 dB above the last one, instead of 5 dB."""
    similar_voice_share: Share = 0.0
    """Share of the items whose speakers have about the same pitch."""
    min_spks: Annotated[Natural | None, Expected("a whole number of at least 0, or null")] = None
    """Fewest speakers of an item; by default all have `num_spks`. The remaining sources are silent."""
    silent_share: Share = 0.0
    """Share of the items in which nobody speaks: noise alone, or silence if there is no `noise_folder`."""
    talk_share: Share = 0.0
    """Share of the items that are excerpts of conversations."""
    talk_pause: Bound = 1.0
    """Mean pause between two turns of a conversation, in seconds."""
    talk_overlap: Bound = 2.0
    """Mean overlap of turns that overlap, in seconds."""
    talk_overlap_probability: ShareRange = [0.0, 1.0]
    """Range of the share of turns that begin before the last one ends."""
    talk_overlap_ratio: Annotated[ShareRange | None, Expected("two shares from 0 to 1, or null")] = None
    """Range of the share of speech in which more than one speaks, in place of `talk_overlap`; null: any."""
    epoch_items: Positive
    """Mixtures in an epoch."""
    data_seed: Natural | None = None
    """Seed of everything random in training items; by default `seed`."""


class Training(Section):
    """How the network is trained and evaluated."""

    pretrained: Start = None
    """Separator to start from: a bundle, or the folder of the run that trained it. Only read at a fresh start."""
    number_of_epochs: Positive
    """Passes through the training set, with a validation after each."""
    budget: Spending = None
    """What the training may cost instead, such as `20000 steps`, `60 minutes` or `1e15 macs`: spent in
    `number_of_epochs` equal parts, with a learning rate that falls to zero at its end."""
    batch_size: Positive
    """Mixtures per step, in each process."""
    grad_accumulation_factor: Positive = 1
    """Batches that are summed before the weights change."""
    optimizer: one_of(*OPTIMIZERS) = "adam"
    """`muon` learns faster per hour of audio: it takes orthogonal steps for matrices, and Adam's for the rest."""
    lr: LearningRate
    """Initial learning rate."""
    segment: Seconds
    """Length of training items, cut at random."""
    speeds: Speeds
    """Speeds at which training items are played, drawn for each source."""
    max_grad_norm: Bound = 5.0
    """Norm that gradients are clipped to."""
    max_bad_items: Natural = 100
    """How many items that cannot be used are tolerated; they are listed in `bad_items.csv`."""
    nonfinite_patience: Natural = 3
    """How many steps of an epoch may have a gradient that is not finite before the training ends."""
    loss: one_of(*RATIOS) = "si-snr"
    """How voices are compared: `snr` also counts the level, `sa-sdr` is one ratio of all voices together."""
    loss_silence: Annotated[one_of(*SILENCES) | None, Expected("power, mixture or null")] = None
    """What an unused output should contain: little `power`, or the `mixture` itself; null: anything."""
    loss_cap: Annotated[Bound | None, Expected("dB above 0, or null")] = None
    """Ratio in dB that the loss approaches but does not reach."""
    loss_level: Annotated[Bound | None, Expected("dB a dB, above 0, or null")] = None
    """Penalty per dB that a voice is too loud or too soft, with `loss` `si-snr`; null: none."""
    source_order: one_of(*SOURCE_ORDERS) = "best"
    """Which source each output is trained on: `best`, whichever fits, or `location`, with several microphones:
    from the side of the reference to that of the next."""
    loss_threshold: Decibels
    """Items whose loss is lower are left out of training."""
    precision: one_of("fp32", "bf16", "fp16", "auto") = "fp32"
    """Arithmetic of the training; `auto` is bfloat16 where that is faster on this machine."""
    ckpt_interval_minutes: Minutes = 0.0
    """Time between checkpoints within an epoch."""
    num_workers: Natural
    """Processes that load items."""
    metrics: Metrics
    """Metrics that the test reports besides SI-SNR."""
    aligned_sources: Truth = True
    """Whether the sources are in the mixtures sample by sample, as SI-SNR needs. Those that have not passed
    through the room of the recording are not; the test then scores who was found and when, and nothing else."""
    test_voices: Text
    """How the report describes the voices in the test set."""


class Network(Section):
    """What networks hear, and how ours treats a signal's ends; their sizes are those of ``hparams/model``."""

    causal: Truth = False
    """Whether the network uses no future samples, so that it can separate live."""
    mics: Positive = 1
    """Microphones that the network hears."""
    reference: Natural = 0
    """Which of them the sources are estimated at, counted from 0."""
    outputs: one_of(*OUTPUTS) = "reference"
    """Where the sources are estimated: at the reference, from what it hears or as a sum over all microphones, or
    at each microphone."""
    mixture_channels: Annotated[Positive | None, Expected("a whole number of at least 1, or null")] = None
    """Channels of the mixtures, of which the network hears the first `mics`; null: as many as `mics`."""
    tail: one_of(*TAILS) = "fill"
    """What becomes of the last samples if they fill no stride: zeros `fill` it up; or, as in other toolkits,
    `drop` leaves them out, or zeros fill them up to an `odd` number of strides."""
    edge_padding: Truth = False
    """Whether half a frame of zeros is added at both ends, as in torchaudio."""
    input_norm: Annotated[one_of(*NORMS) | None, Expected(f"one of {', '.join(NORMS)}, or null")] = None
    """Norm of what the encoder gives; null: that of the blocks, `norm`."""
    conv_padding: one_of(*BLOCKS) = "zeros"
    """What the blocks' convolutions see beyond the ends: `zeros`, or, as in SpeechBrain, the reflected signal,
    `reflect`, which takes longer."""
