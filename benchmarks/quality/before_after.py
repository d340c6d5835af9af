"""Draw a mixture before and after a separator, as spectrograms: ``python -m benchmarks.quality.before_after``."""

import argparse
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import soundfile
import torch
from matplotlib.axes import Axes

from speechbrain_tasnet.evaluation.evaluator import Evaluator
from speechbrain_tasnet.losses import best_permutation, reorder
from speechbrain_tasnet.separation.pretrained import TasNetSeparation

DYNAMIC_RANGE_DB = 60


def main() -> None:
    """Draw the picture and print the scores of its mixture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality.before_after", description=__doc__)
    parser.add_argument("split", type=Path, help="folder of a corpus that holds mix, s1 and s2")
    parser.add_argument("name", help="of the mixture's file")
    parser.add_argument("--model", default="convtasnet-8k-2spk", help="folder or name of a separator")
    parser.add_argument("--out", type=Path, required=True, help="picture, .jpg or .png")
    options = parser.parse_args()
    files = [options.split / folder / options.name for folder in ("mix", "s1", "s2")]
    mixture, *targets = (torch.from_numpy(soundfile.read(file, dtype="float32")[0]) for file in files)
    rate = soundfile.info(files[0]).samplerate
    separator = TasNetSeparation.from_bundle(options.model)
    sources = torch.stack(targets, 1)
    estimates = separator.separate_file(files[0], scale="mixture")[0]
    evaluator = Evaluator(rate, ())
    evaluator.add(options.name, mixture, sources, estimates)
    [row] = evaluator.rows
    estimates = reorder(estimates[None], best_permutation(sources[None], estimates[None]))[0]
    titles = [f"separated: {row[f'si-snr_s{k}']:.1f} dB SI-SNR ({row[f'si-snr_i_s{k}']:+.1f})" for k in (1, 2)]
    draw(
        [mixture, sources[:, 0], estimates[:, 0], sources[:, 1], estimates[:, 1]],
        ["mixture of two people", "the first, recorded alone", titles[0], "the second, recorded alone", titles[1]],
        rate,
        options.out,
    )
    print(f"{options.name}: SI-SNRi {row['si-snr_i']:.2f} dB")


def draw(signals: list[torch.Tensor], titles: list[str], rate: int, path: Path) -> None:
    """Draw the mixture at the top and each source beside its estimate, all on one scale of colours."""
    figure, axes = plt.subplot_mosaic([[0, 0], [1, 2], [3, 4]], figsize=(11, 6.4), layout="constrained")
    top = max(_decibels(signal, rate).max() for signal in signals[:1])
    for place, (signal, title) in enumerate(zip(signals, titles, strict=True)):
        _panel(axes[place], signal, title, rate, top)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def _panel(axis: Axes, signal: torch.Tensor, title: str, rate: int, top: float) -> None:
    extent = (0, len(signal) / rate, 0, rate / 2000)
    level = _decibels(signal, rate)
    axis.imshow(
        level, cmap="magma", vmin=top - DYNAMIC_RANGE_DB, vmax=top, extent=extent, origin="lower", aspect="auto"
    )
    axis.set_title(title, fontsize=10, loc="left")
    axis.set_xlabel("s")
    axis.set_ylabel("kHz")


def _decibels(signal: torch.Tensor, rate: int) -> np.ndarray:
    size = round(0.032 * rate)
    spectrum = torch.stft(signal, size, size // 4, window=torch.hann_window(size), return_complex=True)
    return 20 * np.log10(spectrum.abs().numpy() + 1e-6)


if __name__ == "__main__":
    main()
