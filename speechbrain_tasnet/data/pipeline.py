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
        Items with ``id``, ``mixture`` [time] and ``sources`` [time, C].

    Raises
    ------
    InputError
        The manifest is missing or of another number of sources, or a value is out of range.
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
        found = next(csv.reader(file))
    if not set(columns) <= set(found):
        raise InputError(f"{manifest}: columns {found}, expected {columns} for num_spks={num_spks}")
    size = None if segment is None else round(segment * sample_rate)

    @takes(*columns)
    @provides("mixture", "sources")
    def signals(mixture_file: str, *source_files: str):
        mixture, sources = _read(mixture_file, source_files, size, max(1.0, *speeds))
        if set(speeds) != {1.0}:
            mixture, sources = _perturb_speed(mixture, sources, speeds)
        yield mixture[:size]
        yield sources[:size]

    dataset = DynamicItemDataset.from_csv(manifest, replacements={"data_root": str(data_folder)})
    dataset.add_dynamic_item(signals)
    dataset.set_output_keys(["id", "mixture", "sources"])
    return dataset


def _read(mixture: str, sources: tuple[str, ...], size: int | None, longest: float) -> tuple[Tensor, Tensor]:
    """Read the same stretch of the mixture [time] and its sources [time, C], long enough to be sped up."""
    start, stop = 0, None
    if size is not None:
        length, wanted = soundfile.info(mixture).frames, ceil(size * longest)
        start = int(torch.randint(max(length - wanted, 0) + 1, ()))
        stop = min(start + wanted, length)
    files = (mixture, *sources)
    signals = [soundfile.read(file, start=start, stop=stop, dtype="float32")[0] for file in files]
    signals = torch.from_numpy(np.stack(signals, axis=1))
    return signals[:, 0], signals[:, 1:]


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
