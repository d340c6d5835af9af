"""Compare an exported graph in onnxruntime with the same separator in torch: quality and speed on mixtures."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from speechbrain_tasnet.audio.formats import AUDIO_SUFFIXES
from speechbrain_tasnet.audio.reading import audio_length, read_audio
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.export.graph import need
from speechbrain_tasnet.losses import Targets
from speechbrain_tasnet.network.model import Model

MIXTURES = 30  # at most


class Outcome(NamedTuple):
    """SI-SNR improvement in dB, and seconds of computation per second of audio."""

    improvement: float
    real_time_factor: float


class Comparison(NamedTuple):
    """The outcomes of torch and of the graph, mixture by mixture, on so many threads."""

    in_torch: list[Outcome]
    in_onnxruntime: list[Outcome]
    threads: int

    def lines(self) -> Iterator[str]:
        """Write it, one line each."""
        yield f"{len(self.in_torch)} mixtures on {self.threads} thread{'s' * (self.threads > 1)}"
        means = []
        for name, outcomes in (("torch", self.in_torch), ("onnxruntime", self.in_onnxruntime)):
            improvements, factors = zip(*outcomes, strict=True)
            means.append(np.array(improvements))
            yield f"{name:12}SI-SNRi {np.mean(improvements):.3f} dB, real-time factor {median(factors):.4f}"
        change = means[1] - means[0]
        yield f"change      {change.mean():+.3f} dB on average, {np.abs(change).max():.3f} dB at most"


def find_mixtures(folder: Path, num_spks: int, sample_rate: int) -> list[list[Path]]:
    """List the first mixtures of a folder, each with its sources, after checking all that a comparison needs.

    Parameters
    ----------
    folder : Path
        Has the folders ``mix``, ``s1``, ``s2``, ... with the same file names, as ``CORPUS/wav8k/min/tt``.
    num_spks : int
        Sources of the separator.
    sample_rate : int
        Of the separator, in Hz.

    Returns
    -------
    list of list of Path
        Up to 30: the mixture, then its sources.

    Raises
    ------
    InputError
        A folder or a file is missing, there are more sources, lengths differ, or onnxruntime is not installed.
    """
    need("onnxruntime")
    names = ["mix", *(f"s{number}" for number in range(1, num_spks + 1))]
    expected = f"expected the folders {', '.join(names)}, since the separator has {num_spks} sources"
    missing = next((name for name in names if not (folder / name).is_dir()), None)
    if missing:
        raise InputError(f"--compare {folder}: has no folder {missing}; {expected}")
    if (folder / f"s{num_spks + 1}").is_dir():
        raise InputError(f"--compare {folder}: has a folder s{num_spks + 1}; {expected}")
    files = sorted(path.name for path in (folder / "mix").iterdir() if path.suffix.lower() in AUDIO_SUFFIXES)
    if not files:
        raise InputError(f"--compare {folder / 'mix'}: holds no audio files ({', '.join(AUDIO_SUFFIXES)})")
    mixtures = [[folder / name / file for name in names] for file in files[:MIXTURES]]
    for mixture, *sources in mixtures:
        length = audio_length(mixture, sample_rate)
        for source in sources:
            if audio_length(source, sample_rate) != length:
                raise InputError(f"--compare {source}: expected the length of its mixture {mixture}")
    return mixtures


def compare(model: Model, graph: Path, mixtures: Sequence[Sequence[Path]], sample_rate: int) -> Comparison:
    """Separate mixtures by torch and by a graph in onnxruntime, on the same number of threads.

    Parameters
    ----------
    model : Model
        On the processor and in float32.
    graph : Path
        What `export_onnx` made of it.
    mixtures : sequence
        As `find_mixtures` returns them.
    sample_rate : int
        In Hz.

    Raises
    ------
    InputError
        A file cannot be read.
    """
    ways = torch.no_grad()(model), _in_onnxruntime(graph)
    for separate in ways:  # compiles and allocates what the first use needs
        separate(torch.zeros(1, sample_rate))
    outcomes = []
    for paths in mixtures:
        mixture, *sources = (torch.from_numpy(read_audio(path, sample_rate)) for path in paths)
        targets = Targets(torch.stack(sources, dim=1)[None])
        outcomes.append([_measure(separate, mixture[None], targets, sample_rate) for separate in ways])
    return Comparison(*map(list, zip(*outcomes, strict=True)), torch.get_num_threads())


def _measure(separate: Callable[[Tensor], Tensor], mixture: Tensor, targets: Targets, sample_rate: int) -> Outcome:
    start = time.perf_counter()
    estimates = separate(mixture)
    seconds = time.perf_counter() - start
    improvement = -targets.loss(estimates) - targets.si_snr_of_mixture(mixture)
    return Outcome(float(improvement), seconds * sample_rate / mixture.shape[1])


def _in_onnxruntime(graph: Path) -> Callable[[Tensor], Tensor]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return lambda mixture: torch.from_numpy(session.run(["sources"], {"mixture": mixture.numpy()})[0])
