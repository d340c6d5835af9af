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
from speechbrain_tasnet.audio.reading import audio_length, open_audio, read_audio, read_channels
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.export.graph import need
from speechbrain_tasnet.losses import Targets
from speechbrain_tasnet.network.encoder_decoder import Encoder
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


def find_mixtures(folder: Path, model: Model, sample_rate: int) -> list[list[Path]]:
    """List the first mixtures of a folder, each with its sources, after checking all that a comparison needs.

    Parameters
    ----------
    folder : Path
        Has the folders ``mix``, ``s1``, ``s2``, ... with the same file names, as ``CORPUS/wav8k/min/tt``.
    model : Model
        The separator. For one of several microphones mixtures have a channel for each, and so have their sources;
        of sources at the reference alone one channel is enough.
    sample_rate : int
        Of the separator, in Hz.

    Returns
    -------
    list of list of Path
        Up to 30: the mixture, then its sources.

    Raises
    ------
    InputError
        A folder or a file is missing, there are more sources, lengths or channels differ, or onnxruntime is not
        installed.
    """
    need("onnxruntime")
    num_spks, mics = model.masknet.num_sources, model.encoder.mics
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
        _check_channels(mixture, mics)
        for source in sources:
            _check_channels(source, mics, or_one=model.encoder.outputs == 1)
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
    encoder = model.encoder
    for separate in ways:  # compiles and allocates what the first use needs
        separate(encoder.silence(1, sample_rate))
    outcomes = []
    for mixture_path, *paths in mixtures:
        mixture = _read(mixture_path, encoder.mics, sample_rate)
        sources = [_where_estimated(_read(path, encoder.mics, sample_rate), encoder) for path in paths]
        targets, heard = Targets(torch.stack(sources, dim=2)), _where_estimated(mixture, encoder)
        outcomes.append([_measure(separate, mixture, heard, targets, sample_rate) for separate in ways])
    return Comparison(*map(list, zip(*outcomes, strict=True)), torch.get_num_threads())


def _check_channels(path: Path, mics: int, or_one: bool = False) -> None:
    """Refuse a file without a channel for each of several microphones; those for one are averaged."""
    if mics == 1:
        return
    with open_audio(path) as file:
        channels = file.channels
    if channels != mics and not (or_one and channels == 1):
        found = f"{channels} channel{'s' * (channels > 1)}"
        expected = f"{mics}, one for each microphone of the separator" + ", or 1" * or_one
        raise InputError(f"--compare {path}: {found}; expected {expected}")


def _read(path: Path, mics: int, sample_rate: int) -> Tensor:
    """Read a file as a batch of one: [1, time] for one microphone, [1, time, channels] for several."""
    if mics == 1:
        return torch.from_numpy(read_audio(path, sample_rate))[None]
    return torch.from_numpy(read_channels(path, sample_rate)).T.contiguous()[None]


def _where_estimated(signal: Tensor, encoder: Encoder) -> Tensor:
    """Return of a signal what is heard where a separator estimates its sources, at the reference or at each.

    A source of one channel, [1, time, 1], is what the reference hears.
    """
    if signal.ndim == 2 or encoder.outputs > 1:
        return signal
    return signal[..., encoder.reference if signal.shape[2] > 1 else 0]


def _measure(
    separate: Callable[[Tensor], Tensor], mixture: Tensor, heard: Tensor, targets: Targets, sample_rate: int
) -> Outcome:
    """Separate a mixture, and compare what comes out and what is ``heard`` of it with the targets."""
    start = time.perf_counter()
    estimates = separate(mixture)
    seconds = time.perf_counter() - start
    improvement = -targets.loss(estimates) - targets.si_snr_of_mixture(heard)
    return Outcome(float(improvement), seconds * sample_rate / mixture.shape[1])


def _in_onnxruntime(graph: Path) -> Callable[[Tensor], Tensor]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return lambda mixture: torch.from_numpy(session.run(["sources"], {"mixture": mixture.numpy()})[0])
