"""Measure what shifts are worth: ``python -m benchmarks.quality.shifts MODEL ... --corpus FOLDER``.

The mixtures of a corpus of `tasnet mix` are separated with more and more shifts (`separation.shifts`). The table
has the SI-SNRi, the share of mixtures that are not improved, and how many times faster than real time that goes.
"""

import argparse
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from statistics import fmean

import scipy
from torch import Tensor

from benchmarks.quality.corpus import read_mixtures
from speechbrain_tasnet.losses import Targets
from speechbrain_tasnet.losses.ratios import Pairs
from speechbrain_tasnet.separation.pretrained import TasNetSeparation
from speechbrain_tasnet.separation.shifts import average_over_shifts

HEAD = """\
| separator | `--shifts` | SI-SNRi | not improved | times real time |
|---|--:|--:|--:|--:|"""


def gain(mixture: Tensor, sources: Tensor, estimates: Tensor) -> float:
    """Return the SI-SNRi in dB, of as many estimates as there are sources: those that fit best."""
    targets = Targets(sources[None])
    ratios = Pairs(targets.signals, targets.zero_mean(estimates)).si_snr()[0]
    best = scipy.optimize.linear_sum_assignment(ratios.numpy(), maximize=True)
    return float(ratios[best].mean() - targets.si_snr_of_mixture(mixture[None]).mean())


def measure(separate: Callable[[Tensor], Tensor], mixtures: list[tuple[Tensor, Tensor]], rate: int) -> list[str]:
    """Return the cells of a row."""
    start = time.perf_counter()
    estimates = [separate(mixture[None]) for mixture, _ in mixtures]
    elapsed = time.perf_counter() - start
    gains = [gain(*of_it, found) for of_it, found in zip(mixtures, estimates, strict=True)]
    seconds = sum(len(mixture) for mixture, _ in mixtures) / rate
    bad = sum(found <= 0 for found in gains) / len(gains)
    return [f"{fmean(gains):.2f} dB", f"{bad:.1%}", f"{seconds / elapsed:.0f}"]


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality.shifts", description=__doc__)
    parser.add_argument("models", nargs="+", help="folders or names of separators")
    parser.add_argument("--corpus", type=Path, required=True, help="from tasnet mix")
    parser.add_argument("--voices", type=int, default=2, help="in each of its mixtures (%(default)s)")
    parser.add_argument("--split", default="cv", help="tr, cv or tt (%(default)s)")
    parser.add_argument("--mixtures", type=int, default=200, help="%(default)s at most")
    parser.add_argument("--shifts", type=int, nargs="+", default=[1, 2, 4], help="(%(default)s)")
    options = parser.parse_args()
    print(HEAD)
    for model in options.models:
        separator = TasNetSeparation.from_bundle(model)
        rate = separator.hparams.sample_rate
        read = read_mixtures(options.corpus, options.split, options.voices, rate)
        mixtures = list(islice(read, options.mixtures))
        separator.separate_batch(mixtures[0][0][None])  # what is done once
        for shifts in options.shifts:
            separate = average_over_shifts(separator.separate_batch, shifts, separator.hop)
            print(f"| {' | '.join([model, str(shifts), *measure(separate, mixtures, rate)])} |", flush=True)


if __name__ == "__main__":
    main()
