"""From a manifest to the Brain's batches: one ``mixture`` [time] and one ``sources`` [time, C] per item."""

from contextlib import ExitStack
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np
import soundfile
import torch
from numpy.lib.stride_tricks import sliding_window_view
from speechbrain.dataio.dataset import DynamicItemDataset
from torch import Tensor

from speechbrain_tasnet.audio.audio_file import WAY_OUT
from speechbrain_tasnet.audio.pcm import full_scale
from speechbrain_tasnet.audio.random_access import open_random
from speechbrain_tasnet.data.dynamic_mixing.recordings import unreadable
from speechbrain_tasnet.data.epoch_dataset import EpochDataset
from speechbrain_tasnet.data.read_manifest import read_manifest
from speechbrain_tasnet.data.segments import nobody_speaks
from speechbrain_tasnet.data.skipping import blaming
from speechbrain_tasnet.data.speed import resampler
from speechbrain_tasnet.errors import InputError

# Speeds are distinguished to a hundredth: 1.05 becomes the resampling ratio 105 : 100.
SPEED_STEPS = 100

# Seconds in a row at full scale, which unclipped speech never reaches.
CLIPPED = 0.001


class CorpusItems(EpochDataset, DynamicItemDataset):
    """SpeechBrain's dataset, whose dynamic items may take the ``place`` of an item: epoch and index."""

    def __init__(self, *args, **kwargs):
        EpochDataset.__init__(self)
        DynamicItemDataset.__init__(self, *args, **kwargs)
        self.pipeline.add_static_keys(["place"])

    def at(self, epoch: int, index: int) -> dict:
        """Make an item."""
        data_id = self.data_ids[index]
        return self.pipeline.compute_outputs({"id": data_id, "place": (epoch, index), **self.data[data_id]})


def make_dataset(
    manifest: Path | str,
    data_folder: Path | str,
    num_spks: int,
    sample_rate: int,
    segment: float | None = None,
    speeds: tuple[float, ...] = (1.0,),
    seed: int = 0,
    mics: int = 1,
    reference: int = 0,
    outputs: str = "reference",
) -> CorpusItems:
    """Make a dataset of mixtures and their sources from a manifest.

    Parameters
    ----------
    manifest : path-like
        CSV with the columns ``ID,mix_wav,s1_wav,...``, see `read_manifest`.
    data_folder : path-like
        What ``$data_root`` stands for in it.
    num_spks : int
        Sources to read, C.
    sample_rate : int
        In Hz.
    segment : float, optional
        Seconds to cut out of each mixture at a random place, another one each time; None: whole mixtures.
    speeds : tuple of float
        Speed perturbation: each source is played at a speed drawn from these, and mixed again.
    seed : int
        Of these draws, which depend on the seed, the epoch and the index of the item alone.
    mics : int
        Channels of a mixture.
    reference : int
        Which of them the sources are taken at, where their files have as many.
    outputs : str
        ``each`` for sources at all of them; otherwise they are those at the reference.

    Returns
    -------
    CorpusItems
        Items with ``id``, ``mixture`` [time], or [time, mics] of several, and ``sources`` [time, C], or
        [time, C, mics] at each microphone. One whose files are gone, damaged, of another rate or of several
        lengths, clipped, or in which nothing sounds although the manifest's ``segments`` do not say that nobody
        speaks, raises `skipping.BadItemError`.

    Raises
    ------
    InputError
        The manifest is missing, or of another rate or number of sources, or a value is out of range.
    """
    if segment is not None and segment <= 0:
        raise InputError(f"segment={segment}: expected seconds above 0, or null for whole mixtures")
    if not speeds or min(speeds) <= 0:
        raise InputError(f"speeds={list(speeds)}: expected factors above 0, such as [0.95, 1.0, 1.05]")
    if mics > 1 and set(speeds) != {1.0}:
        raise InputError(
            f"speeds={list(speeds)}: expected [1.0] with mics={mics}, as delays between microphones would change"
        )
    size = None if segment is None else round(segment * sample_rate)
    signals = _Signals(sample_rate, size, tuple(speeds), seed, mics, reference, outputs == "each")
    items = read_manifest(manifest, data_folder, num_spks, sample_rate)
    dataset = CorpusItems({name: {"segments": ""} | item for name, item in items.items()})
    columns = ["mix_wav", *(f"s{i}_wav" for i in range(1, num_spks + 1))]
    dataset.add_dynamic_item(signals, takes=["id", "place", "segments", *columns], provides=["mixture", "sources"])
    dataset.set_output_keys(["id", "mixture", "sources"])
    return dataset


@dataclass(frozen=True)
class _Signals:
    """Makes mixture and sources of an item from its files.

    No function within another one, which could not be sent to loading processes that begin empty, as they do on
    Windows, macOS and Python 3.14. Not a generator: SpeechBrain would continue a broken one at the next item.
    """

    rate: int
    size: int | None  # samples
    speeds: tuple[float, ...]
    seed: int
    mics: int
    reference: int
    at_each: bool

    def __call__(
        self, utterance_id: str, place: tuple[int, int], segments: str, *files: str
    ) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng([self.seed, *place])
        with blaming(utterance_id):
            stretch = self._read(files, segments, rng)
        mixture, sources = stretch[:, : self.mics], stretch[:, self.mics :]
        if self.mics == 1:
            mixture = mixture[:, 0]
        if self.at_each:
            sources = sources.unflatten(1, (-1, self.mics))
        if set(self.speeds) != {1.0}:
            mixture, sources = _perturb_speed(mixture, sources, self.speeds, rng)
        return mixture[: self.size], sources[: self.size]

    def _read(self, files: tuple[str, ...], segments: str, rng: np.random.Generator) -> Tensor:
        """Read the same stretch of mixture and sources, a channel each, long enough to be sped up."""
        with ExitStack() as stack:
            signals = [stack.enter_context(_open(file, self.rate)) for file in files]
            channels = self._channels(signals)
            lengths = {signal.name: signal.frames for signal in signals}
            start, count = 0, signals[0].frames
            if set(lengths.values()) != {count} or not count:
                raise InputError(f"samples in its files {lengths}, expected one length above 0")
            if self.size is not None:
                wanted = ceil(self.size * max(1.0, *self.speeds))
                start = int(rng.integers(max(count - wanted, 0) + 1))
                count = min(wanted, count)
            stretch = _stretch(signals, channels, start, count)
            _check_unclipped([signal.name for signal, _ in channels], stretch, self.rate)
            silent = not (stretch[:, : self.mics].any() and stretch[:, self.mics :].any())
            if silent and not (segments and nobody_speaks(Path(segments))):
                # In a pause it is as it should be.
                _check_audible(signals, _stretch(signals, channels, 0, signals[0].frames), self.mics)
        return torch.from_numpy(stretch)

    def _channels(self, signals: list[soundfile.SoundFile]) -> list[tuple[soundfile.SoundFile, int]]:
        """List which channels of which file are wanted: the mixture's, and the reference's of each source."""
        mixture, *sources = signals
        for signal in signals:
            if signal.channels != self.mics and (signal is mixture or self.at_each or signal.channels != 1):
                expected = "one channel" if self.mics == 1 else f"mics={self.mics} channels"
                raise InputError(f"{signal.name}: {signal.channels} channels, expected {expected}")
        every = range(self.mics)
        if self.at_each:
            return [(signal, channel) for signal in signals for channel in every]
        of_sources = ((source, self.reference if source.channels > 1 else 0) for source in sources)
        return [*((mixture, channel) for channel in every), *of_sources]


def _open(file: str, rate: int) -> soundfile.SoundFile:
    """Open one of an item's files, which must have the right rate."""
    try:
        signal = open_random(file)
    except (soundfile.LibsndfileError, OSError) as error:
        raise unreadable(Path(file), error) from None
    if signal.samplerate != rate:
        found = signal.samplerate
        signal.close()
        raise InputError(f"{file}: {found} Hz, expected {rate} Hz")
    return signal


def _stretch(
    signals: list[soundfile.SoundFile], channels: list[tuple[soundfile.SoundFile, int]], start: int, count: int
) -> np.ndarray:
    """Read the same stretch of several channels, [time, channels]."""
    read = {}
    for signal in signals:
        try:
            signal.seek(start)
            samples = read[signal] = signal.read(count, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise unreadable(Path(signal.name), error) from None
        if len(samples) != count:
            raise InputError(f"{signal.name}: cut short, no samples after {start + len(samples)}; {WAY_OUT}")
        if not np.isfinite(samples).all():
            raise InputError(f"{signal.name}: holds NaN or infinite samples; {WAY_OUT}")
    return np.stack([read[signal][:, channel] for signal, channel in channels], axis=1)


def _check_audible(signals: list[soundfile.SoundFile], whole: np.ndarray, mics: int) -> None:
    """Refuse an item [time, channels] whose mixture, or all of whose sources, are silent."""
    if not whole[:, :mics].any():
        raise InputError(f"{signals[0].name}: silent; {WAY_OUT}")
    if not whole[:, mics:].any():
        raise InputError(f"{signals[1].name}: silent, as are all sources of its mixture; {WAY_OUT}")


def _check_unclipped(names: list[str], stretch: np.ndarray, rate: int) -> None:
    """Refuse an item [time, channels] of which a file is clipped: its mixture is not the sum of its sources."""
    at_limit = np.abs(np.abs(stretch) - 1) <= 2 / full_scale()
    run = ceil(CLIPPED * rate)
    if at_limit.sum() < run or len(stretch) < run:
        return
    for name, flat in zip(names, at_limit.T, strict=True):
        if sliding_window_view(flat, run).all(axis=1).any():
            raise InputError(f"{name}: clipped, {run} samples in a row at full scale; {WAY_OUT}")


def _perturb_speed(
    mixture: Tensor, sources: Tensor, speeds: tuple[float, ...], rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Play each source at a random speed, and mix again with whatever the mixture holds besides the sources."""
    rest = mixture - sources.sum(1)
    drawn = [speeds[rng.integers(len(speeds))] for _ in range(sources.shape[1])]
    played = [
        resampler(round(f * SPEED_STEPS), SPEED_STEPS)(source) for f, source in zip(drawn, sources.T, strict=True)
    ]
    length = min(len(signal) for signal in (*played, rest))
    sources = torch.stack([signal[:length] for signal in played], dim=1)
    return sources.sum(1) + rest[:length], sources
