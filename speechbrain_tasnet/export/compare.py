"""``python -m benchmarks.int8``: what 8 bits a weight cost and save in onnxruntime, beside torch.

A trained separator is written as a graph with float32 and with 8-bit weights, and test mixtures go through torch
and both graphs. Told are the SI-SNRi, what it loses against torch, the size of the file and the real-time factor;
of a network of the paper's size with weights drawn at random, the last two.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from benchmarks.page import RESULTS, write_section
from benchmarks.windows import improvement
from speechbrain_tasnet import Decoder, Encoder, MaskNet
from speechbrain_tasnet.audio.reading import read_audio
from speechbrain_tasnet.export import Separator, export_onnx
from speechbrain_tasnet.separation.pretrained import TasNetSeparation

Separate = Callable[[Tensor], Tensor]  # [batch, time] -> [batch, time, C]

PAPER_SECONDS, PAPER_RUNS = 4, 5


class Way(NamedTuple):
    """One way to run a model."""

    name: str
    separate: Separate
    size: int | None = None  # bytes of its file


class Outcome(NamedTuple):
    """What came out of one mixture."""

    improvement: float  # dB
    factor: float  # seconds of work a second of audio


def ways(model: tuple[nn.Module, ...], folder: Path) -> list[Way]:
    """Make a model ready in torch and, by files in ``folder``, in onnxruntime with float32 and 8-bit weights."""
    found = [Way("torch, float32", torch.no_grad()(Separator(*model)))]
    for name, int8 in (("onnxruntime, float32", False), ("onnxruntime, int8", True)):
        path = folder / f"{int8}.onnx"
        export_onnx(*model, path, int8=int8)
        found.append(Way(name, _in_onnxruntime(path), path.stat().st_size))
    return found


def _in_onnxruntime(path: Path) -> Separate:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda mixture: torch.from_numpy(session.run(None, {"mixture": mixture.numpy()})[0])


def measure(way: Way, mixture: Tensor, sources: Tensor, rate: int) -> Outcome:
    """Separate a mixture [1, time] with sources [1, time, C], and look at the clock."""
    start = time.perf_counter()
    estimates = way.separate(mixture)
    seconds = time.perf_counter() - start
    return Outcome(improvement(mixture, sources, estimates), seconds * rate / mixture.shape[1])


def test_set(folder: Path, rate: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Read mixtures [1, time] and their sources [1, time, C] of a folder with ``mix``, ``s1``, ``s2``, ..."""
    names = sorted(path.name for path in folder.glob("s[0-9]"))
    for path in sorted((folder / "mix").glob("*.wav")):
        mixture, *sources = (
            torch.from_numpy(read_audio(folder / name / path.name, rate)) for name in ["mix", *names]
        )
        yield mixture.unsqueeze(0), torch.stack(sources, dim=1).unsqueeze(0)


def measure_paper_size(rate: int) -> list[tuple[Way, float]]:
    """Tell each way's median real-time factor for a network of the paper's size, drawn at random."""
    mixture = torch.randn(1, PAPER_SECONDS * rate) / 10
    with TemporaryDirectory() as folder:
        candidates = ways((Encoder(), MaskNet(), Decoder()), Path(folder))
        for way in candidates:
            way.separate(mixture)
        runs = [[measure(way, mixture, mixture.unsqueeze(2).expand(-1, -1, 2), rate).factor for way in candidates]
                for _ in range(PAPER_RUNS)]  # fmt: skip
    return list(zip(candidates, np.median(runs, axis=0).tolist(), strict=True))


def section(found: list[Way], outcomes: np.ndarray, paper: list[tuple[Way, float]]) -> str:
    """Write the page's section.

    Parameters
    ----------
    found : list of Way
        The ways; the first is what the others are held against.
    outcomes : numpy.ndarray
        [mixtures, ways, 2], what `measure` tells.
    paper : list
        What `measure_paper_size` tells.
    """
    lines = [
        "## Weights of 8 bits in ONNX",
        "",
        f"`python -m benchmarks.int8`: {len(outcomes)} test mixtures on {torch.get_num_threads()} thread(s). "
        "The change is against torch, mixture by mixture; the real-time factor is the median. The network of the "
        "paper's size has weights drawn at random.",
        "",
        "| network | | file, MB | SI-SNRi, dB | change on average | at most | real-time factor |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    change = outcomes[:, :, 0] - outcomes[:, :1, 0]
    for i, way in enumerate(found):
        lines.append(
            f"| trained | {way.name} | {_megabytes(way)} | {outcomes[:, i, 0].mean():.3f} "
            f"| {change[:, i].mean():+.3f} | {np.abs(change[:, i]).max():.3f} "
            f"| {np.median(outcomes[:, i, 1]):.4f} |"
        )
    lines += [
        f"| the paper's size | {way.name} | {_megabytes(way)} | | | | {factor:.4f} |" for way, factor in paper
    ]
    return "\n".join(lines) + "\n"


def _megabytes(way: Way) -> str:
    return "" if way.size is None else f"{way.size / 1e6:.2f}"


def main() -> None:
    """Measure, and write the page's section."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.int8", description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a training run or of a separator")
    parser.add_argument("--test", type=Path, required=True, help="folder with mix, s1, s2, as CORPUS/wav8k/min/tt")
    parser.add_argument("--mixtures", type=int, default=30, help="%(default)s")
    parser.add_argument("--out", type=Path, default=RESULTS, help="page to write the figures into (%(default)s)")
    options = parser.parse_args()
    separator = TasNetSeparation.from_bundle(options.run)
    rate, mods = separator.hparams.sample_rate, separator.mods
    with TemporaryDirectory() as folder:
        found = ways((mods.encoder, mods.masknet, mods.decoder), Path(folder))
        for way in found:
            way.separate(torch.zeros(1, rate))
        outcomes = [
            [measure(way, *signals, rate) for way in found]
            for _, signals in zip(range(options.mixtures), test_set(options.test, rate), strict=False)
        ]
    text = section(found, np.array(outcomes), measure_paper_size(rate))
    write_section(options.out, text)
    print(text)


if __name__ == "__main__":
    main()
