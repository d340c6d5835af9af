"""A recording of any rate, length and number of channels into its sources, in constant memory."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from speechbrain_tasnet.audio.reading import CHANNELS, AudioFile, open_audio, read_blocks
from speechbrain_tasnet.audio.resampling import resample_blocks
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.separation.output_files import WAV, AudioFormat, new_audio, source_paths
from speechbrain_tasnet.separation.scaling import SCALES, Levels, consistent
from speechbrain_tasnet.separation.windows import separate_windows
from speechbrain_tasnet.system.files import check_not_there, scratch_file

# Seconds: enough to change no mixture by 0.1 dB; memory is in proportion (benchmarks/windows.py).
WINDOW = 30.0
SHORTEST_WINDOW = 1.0
FRAMES = 2**16  # that are scaled and written at once


class Separator(Protocol):
    """What is needed of a model: `TasNetSeparation` has it."""

    hparams: SimpleNamespace  # sample_rate in Hz, num_spks

    def separate_batch(self, mix: Tensor) -> Tensor:
        """From mixtures [batch, time] to sources [batch, time, C]."""


@dataclass(frozen=True)
class SeparationOptions:
    """How recordings are separated.

    Parameters
    ----------
    channels : str
        What becomes of several channels: their ``mean``, the ``left`` or the ``right`` one (the first, the
        second) is separated, or ``each`` by itself, with the speakers in one order; a file of one channel has it
        on either side.
    scale : str
        ``none``: as the model gives them. ``peak``: the loudest sample of all sources lies at 0.9.
        ``mixture``: one gain, with which their sum fits the mixture best. ``consistent``: they sum to the mixture.
        Silence stays silence.
    window : float, optional
        Seconds that are separated at once, 1 at least; None: the whole recording, in as much memory as it takes.

    Raises
    ------
    InputError
        A value is none of these.
    """

    channels: str = "mean"
    scale: str = "none"
    window: float | None = WINDOW

    def __post_init__(self):
        for name, allowed in (("channels", CHANNELS), ("scale", SCALES)):
            if getattr(self, name) not in allowed:
                raise InputError(f"{name}={getattr(self, name)!r}: expected one of {', '.join(allowed)}")
        if self.window is not None and not SHORTEST_WINDOW <= self.window < float("inf"):
            raise InputError(f"window={self.window}: expected seconds, {SHORTEST_WINDOW:g} at least")

    def num_channels(self, file_channels: int) -> int:
        """Return how many channels each source has."""
        return file_channels if self.channels == "each" else 1


def separate_recording(separator: Separator, path: Path | str, choices: SeparationOptions) -> Tensor:
    """Separate an audio file, and keep all of it in memory.

    Parameters
    ----------
    separator : Separator
        The model.
    path : path-like
        Audio file.
    choices : SeparationOptions
        How.

    Returns
    -------
    Tensor
        [channels, time, C], at the rate and of the length of the file.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    levels = Levels()
    with open_audio(path) as file:
        sources = np.concatenate(list(_source_blocks(separator, file, choices, levels)), axis=2)
    return torch.from_numpy(sources * np.float32(levels.gain(choices.scale, limited=False))).transpose(1, 2)


def write_sources(
    separator: Separator,
    mixture: Path | str,
    out: Path | str,
    overwrite: bool = False,
    choices: SeparationOptions = SeparationOptions(),
    kind: AudioFormat = WAV,
    progress: Callable[[float], object] | None = None,
) -> list[Path]:
    """Separate a file into one file a source, ``OUT/NAME_s1.wav`` and so on, in constant memory.

    Where a source would clip, all are scaled down together, so that their levels still compare. The sources
    wait in a scratch file until the gain is known; all files appear whole or not at all.

    Parameters
    ----------
    separator : Separator
        The model.
    mixture : path-like
        Audio file.
    out : path-like
        Folder; made if it is not there.
    overwrite : bool
        Replace files that are there.
    choices : SeparationOptions
        How it is separated.
    kind : AudioFormat
        What is written; by default 16-bit wav.
    progress : callable, optional
        Is called with the seconds of each piece that is separated.

    Returns
    -------
    list of Path
        The files, one a source.

    Raises
    ------
    InputError
        The mixture cannot be read, a file is there already or cannot be written (`DiskError`).
    """
    paths = source_paths(mixture, out, separator.hparams.num_spks, kind)
    if not overwrite:
        check_not_there(paths)
    with open_audio(mixture) as file:
        rate, num_channels = file.samplerate, choices.num_channels(file.channels)
        kind.check(mixture, rate, num_channels, file.frames if file.exact else 0)
        levels = Levels()
        with scratch_file(out) as scratch:
            for sources in _source_blocks(separator, file, choices, levels):
                scratch.write(sources.transpose(2, 1, 0).tobytes())  # [time, C, channels]
                if progress:
                    progress(sources.shape[2] / rate)
            if not file.exact:
                kind.check(mixture, rate, num_channels, scratch.tell() // (len(paths) * num_channels * 4))
            scratch.seek(0)
            gain = np.float32(levels.gain(choices.scale, limited=kind.limited))
            with ExitStack() as opened:
                writers = [opened.enter_context(new_audio(path, kind, rate, num_channels)) for path in paths]
                while data := scratch.read(FRAMES * len(paths) * num_channels * 4):
                    sources = gain * np.frombuffer(data, np.float32).reshape(-1, len(paths), num_channels)
                    for i, write in enumerate(writers):
                        write(sources[:, i])
    return paths


def _source_blocks(
    separator: Separator, file: AudioFile, choices: SeparationOptions, levels: Levels
) -> Iterator[np.ndarray]:
    """Separate an open file: [channels, C, any number of samples] each at the file's rate; ``levels`` fills up."""
    rate = separator.hparams.sample_rate
    size = None if choices.window is None else round(choices.window * rate)
    separate = separator.separate_batch
    if choices.scale == "consistent":
        separate = consistent(separate)
    left = 0  # samples that have been read and not gone out

    def counted() -> Iterator[np.ndarray]:
        nonlocal left
        for block in read_blocks(file, choices.channels):
            left += block.shape[-1]
            yield block

    mixture = resample_blocks(counted(), file.samplerate, rate)

    def separated() -> Iterator[np.ndarray]:
        for piece, sources in separate_windows(separate, map(torch.from_numpy, mixture), size):
            levels.compare(piece, sources)
            # A second at a time, for at the file's rate a window of many channels is large.
            yield from (second.transpose(1, 2).numpy() for second in sources.split(rate, dim=1))

    for block in resample_blocks(separated(), rate, file.samplerate):
        block = block[..., :left]  # up and down again, the last sample may become two
        levels.measure(block)
        left -= block.shape[-1]
        yield block
