"""Compare making training mixtures with SpeechBrain's: ``python -m benchmarks.speed.data_loading``.

The dynamic mixing of SpeechBrain is part of its recipe for wsj0-mix, not of its package; `toolkit_dataset` takes
the same steps with the functions of the package. It needs all files at the sampling rate.
"""

import argparse
import os
import random
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

# A process of a loader has one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from speechbrain.dataio import audio_io
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.processing.signal_processing import rescale
from speechbrain.utils.data_pipeline import provides, takes
from torch.utils.data import DataLoader, Dataset

from benchmarks.speed.rounds import Rounds, alternate
from speechbrain_tasnet.data.dynamic_mixing.dataset import DynamicMixing
from speechbrain_tasnet.data.dynamic_mixing.room_bank import RoomBank
from speechbrain_tasnet.data.folders.speech import find_speakers
from speechbrain_tasnet.generate.synthetic_voices import synthesize_speech

SPEAKERS, BATCH = 2, 4
ROUNDS = Rounds(least=5, most=15, seconds=60, warm_up=True)
SPEEDS = (0.95, 1.0, 1.05)
TOOLKIT, OURS = "SpeechBrain's recipe", "speechbrain_tasnet"
MIXTURE = "mixture"


def toolkit_dataset(
    speech: Path, num_spks: int, sample_rate: int, segment: float, length: int, noise: Path | None = None
) -> Dataset:
    """Make SpeechBrain's dynamic mixing: levels are mean amplitudes, mixtures as long as the shortest source."""
    files = {name: [str(path) for path in paths] for name, paths in find_speakers(speech).items()}
    if any(audio_io.info(path).sample_rate != sample_rate for paths in files.values() for path in paths):
        raise SystemExit(f"{speech}: a file is not at {sample_rate} Hz, which SpeechBrain's dynamic mixing needs")
    speakers, counts = list(files), [len(paths) for paths in files.values()]
    weights = [count / sum(counts) for count in counts]
    noises = [] if noise is None else [str(path) for path in noise.rglob("*") if path.suffix in (".wav", ".flac")]
    first, step = partial(random.normalvariate, -27.43, 2.57), partial(random.normalvariate, -2.51, 2.66)

    def cut(path: str, size: int) -> torch.Tensor:
        whole = audio_io.info(path).num_frames
        start = np.random.randint(0, whole - size) if whole > size else 0
        return audio_io.load(path, frame_offset=start, num_frames=size)[0][0]

    @takes("number")
    @provides(MIXTURE, *(f"s{i}" for i in range(num_spks)))
    def mix(number: str):
        chosen = np.random.choice(speakers, num_spks, replace=False, p=weights)
        background = audio_io.load(np.random.choice(noises, 1)[0])[0].squeeze() if noises else None
        paths = [np.random.choice(files[name], 1, False)[0] for name in chosen]
        size = min(*(audio_io.info(path).num_frames for path in paths), round(segment * sample_rate))
        sources, loudest = [], None
        for path in paths:
            samples = cut(path, size)
            level = np.clip(first() if loudest is None else loudest + step(), -45, 0)
            loudest = level if loudest is None else loudest
            sources.append(rescale(samples, torch.tensor(len(samples)), level, scale="dB"))
        sources = torch.stack(sources)
        mixture = torch.sum(sources, 0)
        if noises:
            mixture = mixture[: len(background)] + background[:size]
        peak = max(mixture.abs().max().item(), *(p.item() for p in sources.abs().max(dim=-1)[0]))
        yield 0.9 / peak * mixture
        yield from 0.9 / peak * sources

    dataset = DynamicItemDataset({f"item {i}": {"number": str(i)} for i in range(length)})
    dataset.add_dynamic_item(mix)
    dataset.set_output_keys(["id", MIXTURE, *(f"s{i}" for i in range(num_spks))])
    return dataset


def make_epoch(dataset: Dataset | Callable[[], Dataset], rate: int) -> tuple[float, None]:
    """Go through a dataset; return the seconds that a second of its mixtures took, and no reason for a failure."""
    random.seed(0)
    np.random.seed(0)
    start, samples = time.perf_counter(), 0
    dataset = dataset() if callable(dataset) else dataset
    for batch in DataLoader(dataset, batch_size=BATCH, collate_fn=PaddedBatch):
        mixtures = batch[MIXTURE]
        samples += int((mixtures.lengths * mixtures.data.shape[1]).round().sum())
    return (time.perf_counter() - start) / samples * rate, None


def measure(options: argparse.Namespace, speech: Path) -> dict[str, float]:
    """Measure all datasets by turns; return the median of the seconds of mixtures made in a second, by name."""
    shape = {"sample_rate": options.rate, "segment": options.segment, "length": options.items}
    ours, theirs = (partial(make, speech, SPEAKERS, **shape) for make in (DynamicMixing, toolkit_dataset))
    datasets = {TOOLKIT: theirs(), OURS: ours(), f"{OURS}, scan and first epoch": ours}
    datasets[f"{OURS}, speeds"] = ours(speeds=SPEEDS)
    if options.noise:
        datasets[f"{TOOLKIT}, noise"] = theirs(noise=options.noise)
        datasets[f"{OURS}, noise"] = ours(noise=options.noise)
    if options.rooms:
        rooms = RoomBank.load(options.rooms)
        datasets[f"{OURS}, rooms"] = ours(rooms=rooms)
        datasets[f"{OURS}, speeds, noise, rooms"] = ours(speeds=SPEEDS, noise=options.noise, rooms=rooms)
    turns = {name: partial(make_epoch, dataset, options.rate) for name, dataset in datasets.items()}
    return {name: 1 / median(outcome.times) for name, outcome in alternate(turns, ROUNDS).items()}


def table(speeds: dict[str, float]) -> str:
    """Write a table of seconds of mixtures made in a second, and the ratio to those of SpeechBrain's recipe."""
    lines = [f"| {name} | {speed:,.0f} | {speed / speeds[TOOLKIT]:.2f} |" for name, speed in speeds.items()]
    return "\n".join(["| | audio s/s | ratio to the recipe |", "|---|--:|--:|", *lines])


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.data_loading", description=__doc__)
    parser.add_argument("--speech", type=Path, help="speech folder, all files at the rate (synthetic voices)")
    parser.add_argument("--noise", type=Path, help="folder of noise")
    parser.add_argument("--rooms", type=Path, help="bank of impulse responses, from `tasnet generate rooms`")
    parser.add_argument("--rate", type=int, default=8000, help="sampling rate in Hz (%(default)s)")
    parser.add_argument("--segment", type=float, default=4.0, help="seconds of a mixture (%(default)s)")
    parser.add_argument("--items", type=int, default=500, help="mixtures of a turn (%(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        speech = options.speech or Path(name) / "speech"
        if options.speech is None:
            synthesize_speech(speech, num_speakers=(40, 2, 2), rate=options.rate)
        print(table(measure(options, speech)))


if __name__ == "__main__":
    main()
