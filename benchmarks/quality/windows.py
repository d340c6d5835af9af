"""Compare windows of some seconds with separating a long mixture whole: ``python -m benchmarks.quality.windows``.

Two test speakers talk for minutes, one 0 to 5 dB above the other, with pauses of up to a second. The table has the
SI-SNRi of the whole, what a window changes in it on average and at most, memory and time.
"""

import argparse
import random
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.page import DOCS, write_section
from speechbrain_tasnet.audio.reading import read_audio
from speechbrain_tasnet.data.folders.speech import split_speakers
from speechbrain_tasnet.losses import Targets
from speechbrain_tasnet.separation.pretrained import TasNetSeparation
from speechbrain_tasnet.separation.windows import cut_windows, join_windows, separate_channels
from speechbrain_tasnet.system.memory import peak_memory_increase

PAGE = DOCS / "separate.md"
PAUSE = 1.0  # seconds between two utterances, at most


def talk(utterances: Sequence[Path], rate: int, num_samples: int, rng: random.Random) -> Tensor:
    """Join utterances in random order to a signal [num_samples] with a standard deviation of 1."""
    pieces, length = [], 0
    while length < num_samples:
        speech = read_audio(rng.choice(utterances), rate)
        pieces += [speech, np.zeros(round(rng.uniform(0, PAUSE) * rate), np.float32)]
        length += len(pieces[-2]) + len(pieces[-1])
    samples = torch.from_numpy(np.concatenate(pieces)[:num_samples])
    return samples / samples.std()


def separate_in(separator: TasNetSeparation, mixture: Tensor, window: float | None) -> Tensor:
    """Separate a mixture [1, time] in windows of some seconds, or whole: [1, time, C]."""
    size = None if window is None else round(window * separator.hparams.sample_rate)
    windows = cut_windows(mixture.split(2**16, dim=1), size)
    separated = ((window, separate_channels(separator.separate_batch, window.mixture)) for window in windows)
    return torch.cat([sources for _, sources in join_windows(separated)], dim=1)


def improvement(mixture: Tensor, sources: Tensor, estimates: Tensor) -> float:
    """Return the mean SI-SNRi in dB."""
    targets = Targets(sources)
    return float((-targets.loss(estimates) - targets.si_snr_of_mixture(mixture)).mean())


def measure(separator: TasNetSeparation, mixture: Tensor, sources: Tensor, window: float | None) -> list[float]:
    """Measure SI-SNRi in dB, memory in bytes and time in seconds."""
    start = time.perf_counter()
    estimates = separate_in(separator, mixture, window)
    seconds = time.perf_counter() - start
    memory = peak_memory_increase(lambda: separate_in(separator, mixture, window), "cpu")
    return [improvement(mixture, sources, estimates), memory, seconds]


def section(results: np.ndarray, windows: Sequence[float], seconds: float) -> str:
    """Write the section of the page.

    Parameters
    ----------
    results : numpy.ndarray
        [mixtures, 1 + windows, 3], as `measure` returns them; the whole comes first.
    windows : sequence of float
        Seconds.
    seconds : float
        Length of a mixture.
    """
    lines = [
        "## Long recordings in windows",
        "",
        f"`python -m benchmarks.quality.windows`: {len(results)} mixtures of {seconds:g} s separated "
        f"on {torch.get_num_threads()} thread(s), whole and in windows. Memory is the increase "
        "beyond the libraries and the model.",
        "",
        "| window, s | SI-SNRi, dB | change on average | at most | memory, MB | real-time factor |",
        "|--:|--:|--:|--:|--:|--:|",
    ]
    for i, window in enumerate(["whole", *windows]):
        change = results[:, i, 0] - results[:, 0, 0]
        mean, memory, time_taken = results[:, i].mean(axis=0)
        lines.append(
            f"| {window} | {mean:.2f} | {change.mean():+.3f} | {np.abs(change).max():.3f} | {memory / 1e6:.0f} "
            f"| {time_taken / seconds:.3f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and write the section of the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality.windows", description=__doc__)
    parser.add_argument("run", type=Path, help="output folder of a training run")
    parser.add_argument("--speech", type=Path, required=True, help="speech folder, as for tasnet mix")
    parser.add_argument("--mixtures", type=int, default=10, help="%(default)s")
    parser.add_argument("--seconds", type=float, default=120, help="of a mixture (%(default)g)")
    parser.add_argument("--windows", type=float, nargs="+", default=[5, 10, 20, 30], help="seconds (%(default)s)")
    parser.add_argument("--out", type=Path, default=PAGE, metavar="PAGE", help="page to write into (%(default)s)")
    options = parser.parse_args()
    separator = TasNetSeparation.from_bundle(options.run)
    rate = separator.hparams.sample_rate
    speakers = list(split_speakers(options.speech, 2, seed=0)["tt"].values())
    rng = random.Random(0)
    table = []
    for _ in range(options.mixtures):
        voices = [talk(files, rate, round(options.seconds * rate), rng) for files in rng.sample(speakers, 2)]
        sources = 0.05 * torch.stack([voices[0], voices[1] * 10 ** (-rng.uniform(0, 5) / 20)], dim=1).unsqueeze(0)
        mixture = sources.sum(2)
        table.append([measure(separator, mixture, sources, window) for window in [None, *options.windows]])
    text = section(np.array(table), options.windows, options.seconds)
    write_section(options.out, text)
    print(text)


if __name__ == "__main__":
    main()
