"""The spectrogram of a whole recording, however long, in constant memory."""

import math
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

from speechbrain_tasnet.report.media import decibels, frame_size

COLUMNS = 1000  # of a picture, at most
BLOCK = 2**18  # samples, about, that are transformed at once


def overview(path: Path, highest: float) -> Tensor:
    """Compute the power of a wav file over frequencies and time.

    Parameters
    ----------
    path : Path
        The file; channels are averaged.
    highest : float
        Frequency in Hz up to which it is wanted.

    Returns
    -------
    Tensor
        [frequencies, columns] in dB. Each column is a frame as `report.media.decibels` has it or, of long
        recordings, the mean power of as many as it takes for 1000 columns.
    """
    with path.open("rb") as opened, soundfile.SoundFile(opened) as file:
        size, hop = frame_size(file.samplerate)
        rows = min(size // 2, round(highest * size / file.samplerate)) + 1
        frames = file.frames // hop + 1
        together = math.ceil(frames / COLUMNS)
        block = hop * together * max(1, BLOCK // (hop * together))
        columns = []
        for begin in range(0, frames * hop, block):
            wanted = min(block // hop, frames - begin // hop)
            power = 10 ** (_frames(file, begin, wanted)[:rows] / 10)
            columns += [part.mean(dim=1) for part in power.split(together, dim=1)]
    return 10 * torch.log10(torch.stack(columns, dim=1))


def _frames(file: soundfile.SoundFile, begin: int, count: int) -> Tensor:
    """Compute so many frames [frequencies, count] in dB, the first around the sample `begin`."""
    size, hop = frame_size(file.samplerate)
    beside = math.ceil(size / hop)  # frames at either end that would miss what is beyond
    start, end = begin - beside * hop, begin + (count + beside) * hop
    file.seek(max(0, start))
    samples = file.read(min(end, file.frames) - file.tell(), dtype="float32", always_2d=True).mean(axis=1)
    samples = np.pad(samples, (max(0, -start), max(0, end - file.frames)))
    return decibels(torch.from_numpy(samples), file.samplerate)[:, beside : beside + count]
