"""Measure how much depends on where the frames begin, the paper's shift test: ``python -m benchmarks.live.shift``.

Each mixture starts ``s`` samples later, s = 0 ... 2L, after zeros. The frames are then placed differently, and
a good model separates as well as before: the result is the standard deviation of SDRi over the shifts.
"""

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torchmetrics.functional.audio import permutation_invariant_training, signal_distortion_ratio
from tqdm import tqdm

from benchmarks.page import DOCS, OUTPUT, write_section
from speechbrain_tasnet.audio.reading import read_audio
from speechbrain_tasnet.separation.pretrained import TasNetSeparation
from speechbrain_tasnet.separation.streaming import StreamingSeparator

PAGE = DOCS / "live.md"
PLOT = OUTPUT / "shift.png"


def improvements(separator: TasNetSeparation, mixture: Tensor, sources: Tensor, shifts: int) -> list[float]:
    """Separate a mixture at each shift and return the SDRi of each in dB.

    Parameters
    ----------
    separator : TasNetSeparation
        The model.
    mixture : Tensor
        [time].
    sources : Tensor
        [C, time].
    shifts : int
        How many: 0, 1, ..., shifts - 1 samples.
    """
    unprocessed = _sdr(mixture.expand_as(sources), sources)
    results = []
    for shift in range(shifts):
        estimates = separator.separate_batch(F.pad(mixture, (shift, 0))[None])[0, shift:].T.float().cpu()
        results.append(_sdr(estimates, sources) - unprocessed)
    return results


def improvement_live(separator: TasNetSeparation, mixture: Tensor, sources: Tensor) -> float:
    """Stream a mixture [time] through a causal model in chunks of 10 ms and return the SDRi in dB."""
    live = StreamingSeparator(separator.mods.encoder, separator.mods.masknet, separator.mods.decoder)
    chunks = mixture[None].split(separator.hparams.sample_rate // 100, dim=1)
    estimates = torch.cat([*(live.step(chunk) for chunk in chunks), live.flush()], dim=1)[0].T
    return _sdr(estimates, sources) - _sdr(mixture.expand_as(sources), sources)


def _sdr(estimates: Tensor, sources: Tensor) -> float:
    best, _ = permutation_invariant_training(
        estimates.double()[None], sources.double()[None], signal_distortion_ratio, eval_func="max"
    )
    return float(best)


def test_set(manifest: Path, root: Path, rate: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Read the mixtures of a run's manifest with their sources."""
    with manifest.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            paths = [row["mix_wav"], *(row[name] for name in row if name[0] == "s" and name.endswith("_wav"))]
            mixture, *sources = (
                torch.from_numpy(read_audio(path.replace("$data_root", str(root)), rate)) for path in paths
            )
            yield mixture, torch.stack(sources)


def draw(scores: np.ndarray, path: Path) -> None:
    """Plot SDRi over the shift, a grey line a mixture and their mean, and a histogram of the deviations."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    left.plot(scores.T, color="0.8", linewidth=0.7)
    left.plot(scores.mean(axis=0), color="tab:blue")
    left.set(xlabel="shift in samples", ylabel="SDRi in dB")
    right.hist(scores.std(axis=1), bins=20)
    right.set(xlabel="standard deviation of SDRi over the shifts in dB", ylabel="mixtures")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Run the test, and write the plot and the section of the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live.shift", description=__doc__)
    parser.add_argument("run", type=Path, help="output folder of a training run")
    parser.add_argument("--data_folder", type=Path, required=True, help="the corpus that it was trained on")
    parser.add_argument("--mixtures", type=int, default=20, help="of the test set (%(default)s)")
    parser.add_argument("--out", type=Path, default=PAGE, metavar="PAGE", help="page to write into (%(default)s)")
    parser.add_argument("--plot", type=Path, default=PLOT, metavar="FILE", help="picture to draw (%(default)s)")
    options = parser.parse_args()
    separator = TasNetSeparation.from_bundle(options.run)
    causal = separator.mods.masknet.config["causal"]
    shifts = 2 * separator.mods.encoder.kernel_size + 1
    table, live = [], []
    rows = test_set(options.run / "save/tt.csv", options.data_folder, separator.hparams.sample_rate)
    for signals, _ in zip(rows, tqdm(range(options.mixtures)), strict=False):
        table.append(improvements(separator, *signals, shifts))
        live.append(improvement_live(separator, *signals) if causal else table[-1][0])
    scores = np.array(table)
    draw(scores, options.plot)
    deviation = scores.std(axis=1)
    text = (
        "## Shift test\n\n"
        f"`python -m benchmarks.live.shift`, the shift test of the paper: {len(scores)} mixtures, each begun 0 to "
        f"{shifts - 1} samples later. SDRi {scores.mean():.2f} dB; its standard deviation over the shifts is "
        f"{deviation.mean():.3f} dB on average, {deviation.max():.3f} dB at most."
    )
    if causal:
        text += (
            f" Streamed in chunks of 10 ms, SDRi differs by {np.abs(scores[:, 0] - live).max():.1e} dB at most."
        )
    write_section(options.out, text)
    print(f"{text}\n{options.plot}")


if __name__ == "__main__":
    main()
