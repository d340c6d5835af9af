"""The mixtures of a corpus, in memory, and who speaks when."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from speechbrain_tasnet.audio.reading import read_audio
from speechbrain_tasnet.data.read_manifest import read_manifest
from speechbrain_tasnet.data.segments import Segment
from speechbrain_tasnet.data.wsj0mix import prepare_wsj0mix
from speechbrain_tasnet.evaluation.diarization import Turn


def read_mixtures(corpus: Path, split: str, voices: int, rate: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Read mixtures [time] and their sources [time, voices] of a corpus of `tasnet mix`, one after the other."""
    with TemporaryDirectory() as folder:
        prepare_wsj0mix(corpus, folder, num_spks=voices, sample_rate=rate)
        rows = list(read_manifest(Path(folder) / f"{split}.csv", corpus, voices).values())
    names = ("mix_wav", *(f"s{voice + 1}_wav" for voice in range(voices)))
    for row in rows:
        mixture, *sources = (torch.from_numpy(read_audio(row[name], rate)) for name in names)
        yield mixture, torch.stack(sources, dim=1)


def as_turns(segments: Sequence[Segment]) -> list[Turn]:
    """Count the voices of segments from 0, which are called s1, s2 and so on.

    >>> as_turns([Segment("s2", 0.5, 3.0)])
    [(1, 0.5, 3.0)]
    """
    return [(int(segment.speaker[1:]) - 1, segment.start, segment.end) for segment in segments]
