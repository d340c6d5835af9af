"""From a manifest to the batches of the Brain: one ``mixture`` [time] and one ``sources`` [time, C] an item."""

import csv
from functools import lru_cache
from math import ceil
from pathlib import Path

import numpy as np
import soundfile
import torch
import torchaudio
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.utils.data_pipeline import provides, takes
from torch import Tensor

from speechbrain_tasnet.data.recordings import unreadable
from speechbrain_tasnet.data.skipping import blaming
from speechbrain_tasnet.errors import InputError

# Speeds are told apart to a hundredth: 1.05 becomes the resampling ratio 105 : 100.
SPEED_STEPS = 100


def make_dataset(
    manifest: Path | str,
    data_folder: Path | str,
    num_spks: int,
    sample_rate: int,
    segment: float | None = None,
    speeds: tuple[float, ...] = (1.0,),
) -> DynamicItemDataset:
    """Make a dataset of mixtures and their sources from a manifest.

    Parameters
    ----------
    manifest : path-like
        CSV with the columns ``ID,duration,mix_wav,s1_wav,...``, see `manifest.write_manifest`.
    data_folder : path-like
        What ``$data_root`` stands for in it.
    num_spks : int
        Sources to read, C.
    sample_rate : int
        In Hz.
    segment : float, optional
        Seconds to cut out of each mixture at a random place, anew each time; None: whole mixtures.
    speeds : tuple of float
        Speed perturbation: each source is played at a speed drawn from these, and mixed anew.

    Returns
    -------
    DynamicItemDataset
        Items with ``id``, ``mixture`` [time] and ``sources`` [time, C]. One whose files are gone, damaged, of
        another rate or of several lengths, or in which nothing sounds, raises `skipping.BadItemError`.

    Raises
    ------
    InputError
        The manifest is missing, or of another rate or number of sources, or a value is out of range.
    """
    manifest = Path(manifest)
    if not manifest.is_file():
        raise InputError(f"{manifest}: no such manifest; was the corpus prepared (skip_prep)?")
    if segment is not None and segment <= 0:
        raise InputError(f"segment={segment}: expected seconds above 0, or null for whole mixtures")
    if not speeds or min(speeds) <= 0:
        raise InputError(f"speeds={list(speeds)}: expected factors above 0, such as [0.95, 1.0, 1.05]")
    columns = ["mix_wav", *(f"s{i}_wav" for i in range(1, num_spks + 1))]
    with manifest.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        found, row = reader.fieldnames or [], next(reader, {})
    if not set(columns) <= set(found):
        raise InputError(f"{manifest}: columns {found}, expected {columns} for num_spks={num_spks}")
    if row.get("sample_rate", str(sample_rate)) != str(sample_rate):
        raise InputError(f"{manifest}: {row['sample_rate']} Hz, expected sample_rate={sample_rate}")
    size = None if segment is None else round(segment * sample_rate)

    @takes("id", *columns)
    @provides("mixture", "sources")
    def signals(utterance_id: str, *files: str) -> tuple[Tensor, Tensor]:
        # No generator: the toolkit would go on with a broken one at the next item.
        with blaming(utterance_id):
            mixture, sources = _read(files, sample_rate, size, max(1.0, *speeds))
        if set(speeds) != {1.0}:
            mixture, sources = _perturb_speed(mixture, sources, speeds)
        return mixture[:size], sources[:size]

    dataset = DynamicItemDataset.from_csv(manifest, replacements={"data_root": str(data_folder)})
    dataset.add_dynamic_item(signals)
    dataset.set_output_keys(["id", "mixture", "sources"])
    return dataset


def _read(files: tuple[str, ...], rate: int, size: int | None, longest: float) -> tuple[Tensor, Tensor]:
    """Read the same stretch of the mixture [time] and its sources [time, C], long enough to be sped up."""
    start, stop = 0, None
    if size is not None:
        length, wanted = _count(files[0]), ceil(size * longest)
        start = int(torch.randint(max(length - wanted, 0) + 1, ()))
        stop = min(start + wanted, length)
    signals = _stretch(files, rate, start, stop)
    if not (signals[:, 0].any() and signals[:, 1:].any()):
        # In a pause it is as it should be.
        _check_audible(files, _stretch(files, rate))
    signals = torch.from_numpy(signals)
    return signals[:, 0], signals[:, 1:]


def _count(file: str) -> int:
    """Tell from its header how many samples a file has."""
    try:
        return soundfile.info(file).frames
    except soundfile.LibsndfileError as error:
        raise unreadable(Path(file), error) from None


def _stretch(files: tuple[str, ...], rate: int, start: int = 0, stop: int | None = None) -> np.ndarray:
    """Read the same stretch of several files, [time, files]."""
    signals = []
    for file in files:
        try:
            samples, found = soundfile.read(file, start=start, stop=stop, dtype="float32")
        except (soundfile.LibsndfileError, OSError) as error:
            raise unreadable(Path(file), error) from None
        channels = 1 if samples.ndim == 1 else samples.shape[1]
        if (found, channels) != (rate, 1):
            raise InputError(f"{file}: {found} Hz, channels: {channels}; expected {rate} Hz and one channel")
        signals.append(samples)
    if len({len(samples) for samples in signals}) > 1 or not len(signals[0]):
        lengths = dict(zip(files, map(len, signals), strict=True))
        raise InputError(f"samples from {start} on in its files {lengths}, expected one length above 0")
    signals = np.stack(signals, axis=1)
    if not np.isfinite(signals).all():
        raise InputError(f"{files[0]} or a source of it: holds NaN or infinite samples")
    return signals


def _check_audible(files: tuple[str, ...], signals: np.ndarray) -> None:
    """Refuse whole signals [time, files] that teach nothing; one silent source among others may be."""
    if not signals[:, 0].any():
        raise InputError(f"{files[0]}: silent")
    if not signals[:, 1:].any():
        raise InputError(f"{files[1]}: silent, as are all sources of its mixture")


def _perturb_speed(mixture: Tensor, sources: Tensor, speeds: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    """Play each source at a random speed, and mix anew with whatever the mixture holds besides the sources."""
    rest = mixture - sources.sum(1)
    drawn = [speeds[int(torch.randint(len(speeds), ()))] for _ in range(sources.shape[1])]
    played = [_resampler(round(f * SPEED_STEPS))(source) for f, source in zip(drawn, sources.T, strict=True)]
    length = min(len(signal) for signal in (*played, rest))
    sources = torch.stack([signal[:length] for signal in played], dim=1)
    return sources.sum(1) + rest[:length], sources


@lru_cache
def _resampler(hundredths: int) -> torchaudio.transforms.Resample:
    """Make the resampler for one speed; its filter is computed once."""
    return torchaudio.transforms.Resample(hundredths, SPEED_STEPS)
