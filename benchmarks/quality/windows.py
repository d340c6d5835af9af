"""Compare windows with separating long conversations whole: ``python -m benchmarks.quality.windows``.

The conversations are a corpus of `tasnet mix --scene talk --seconds 600`. The table has, for each number of
people, the share of the seconds of speech in which a voice is in the right output (see `talk.in_right_output`),
the SI-SNR, what a window changes in it on average and at most, memory and time.
"""

import argparse
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.page import DOCS, paragraph, write_section
from benchmarks.quality.corpus import read_mixtures
from speechbrain_tasnet.evaluation.talk import score_talk
from speechbrain_tasnet.separation.pretrained import TasNetSeparation
from speechbrain_tasnet.system.memory import peak_memory_increase

PAGE = DOCS / "separate.md"


def separate_in(separator: TasNetSeparation, mixture: Tensor, window: float | None) -> Tensor:
    """Separate a mixture [time] in windows of some seconds, as `tasnet separate` does, or whole: [time, C]."""
    return separator.separate_audio(mixture, separator.hparams.sample_rate, window=window).T


def measure(separator: TasNetSeparation, mixture: Tensor, sources: Tensor, window: float | None) -> list[float]:
    """Measure the share of seconds in the right output, SI-SNR in dB, memory in bytes and time in seconds."""
    start = time.perf_counter()
    estimates = separate_in(separator, mixture, window)
    seconds = time.perf_counter() - start
    memory = peak_memory_increase(lambda: separate_in(separator, mixture, window), "cpu")
    scores = score_talk(mixture.double(), sources.double(), estimates.double(), separator.hparams.sample_rate)
    return [scores["right output"], scores["si-snr"], memory, seconds]


def section(
    results: np.ndarray, people: np.ndarray, windows: Sequence[float], seconds: float, command: str
) -> str:
    """Write the section of the page.

    Parameters
    ----------
    results : numpy.ndarray
        [mixtures, 1 + windows, 4], as `measure` returns them; the whole comes first.
    people : numpy.ndarray
        [mixtures], how many speak.
    windows : sequence of float
        Seconds.
    seconds : float
        Length of a mixture.
    command : str
        That measured them.
    """
    lines = [
        "## Long recordings in windows",
        "",
        paragraph(
            f"{len(results)} conversations of {seconds:g} s separated on {torch.get_num_threads()} thread(s), "
            "whole and in windows. A second of speech is in the right output if that holds three quarters of the "
            "voice. Memory is the increase beyond the libraries and the model; all sources are kept in it, as in "
            f"Python. Measured by `{command}`."
        ),
        "",
        "| window, s | people | seconds in the right output | SI-SNR, dB | change on average | worst | memory, MB "
        "| real-time factor |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for i, window in enumerate(["whole", *(f"{window:g}" for window in windows)]):
        for count in np.unique(people):
            own = results[people == count]
            change = own[:, i, 1] - own[:, 0, 1]
            right, mean, memory, time_taken = own[:, i].mean(axis=0)
            lines.append(
                f"| {window} | {count} | {100 * right:.1f} % | {mean:.2f} | {change.mean():+.2f} "
                f"| {change.min():+.2f} | {memory / 1e6:.0f} | {time_taken / seconds:.3f} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and write the section of the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality.windows", description=__doc__)
    parser.add_argument("run", type=Path, help="a bundle, or the output folder of a training run")
    parser.add_argument("--corpus", type=Path, required=True, help="of conversations, from tasnet mix")
    parser.add_argument("--split", default="tt", help="tr, cv or tt (%(default)s)")
    parser.add_argument("--mixtures", type=int, default=10, help="%(default)s at most")
    parser.add_argument("--windows", type=float, nargs="+", default=[30, 60, 120], help="s (%(default)s)")
    parser.add_argument("--out", type=Path, default=PAGE, metavar="PAGE", help="page to write into (%(default)s)")
    options = parser.parse_args()
    separator = TasNetSeparation.from_bundle(options.run)
    rate, voices = separator.hparams.sample_rate, separator.hparams.num_spks
    table, people = [], []
    for mixture, sources in islice(read_mixtures(options.corpus, options.split, voices, rate), options.mixtures):
        people.append(int(sources.any(dim=0).sum()))
        table.append([measure(separator, mixture, sources, window) for window in [None, *options.windows]])
        print(*(f"{right:.3f} {ratio:.2f}" for right, ratio, *_ in table[-1]), sep=" | ", flush=True)
    corpus = f"--corpus {options.corpus.name} --split {options.split}"
    command = f"python -m benchmarks.quality.windows {options.run} {corpus}"
    text = section(np.array(table), np.array(people), options.windows, len(mixture) / rate, command)
    write_section(options.out, text)
    print(text)


if __name__ == "__main__":
    main()
