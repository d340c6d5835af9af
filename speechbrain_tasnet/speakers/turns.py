"""Turns of a conversation: stretches in which a voice is heard in one output of a separator."""

from typing import NamedTuple

from torch import Tensor

from speechbrain_tasnet.audio.activity import HOP_SECONDS, FrameEnergies, Thresholds, active_frames, to_segments

LONGEST_PAUSE = 0.3  # seconds within a turn; after longer ones somebody else may speak


class Turn(NamedTuple):
    """When a voice is heard, in frames of `HOP_SECONDS`.

    Examples
    --------
    >>> Turn(output=1, start=50, end=250).seconds
    2.0
    """

    output: int
    start: int
    end: int

    @property
    def seconds(self) -> float:
        """How long it is."""
        return (self.end - self.start) * HOP_SECONDS


def find_turns(sources: Tensor, rate: int) -> tuple[list[Turn], int]:
    """Find the turns in the sources of a separator that is quiet where nobody speaks.

    Parameters
    ----------
    sources : Tensor
        [time, C].
    rate : int
        In Hz.

    Returns
    -------
    list of Turn
        By start.
    int
        Samples of a frame.

    Examples
    --------
    >>> import torch
    >>> sources = torch.zeros(3 * 8000, 2)
    >>> sources[8000:16000, 1] = torch.randn(8000)
    >>> find_turns(sources, 8000)
    ([Turn(output=1, start=93, end=207)], 80)
    """
    energies = FrameEnergies(rate)
    energies.add(sources.T.numpy())
    active = active_frames(energies.array(), Thresholds(longest_gap=LONGEST_PAUSE))
    found = to_segments(active, seconds=1)
    return [Turn(output, round(start), round(end)) for output, start, end in found], energies.hop


def samples_of(turns: list[Turn], sources: Tensor, hop: int) -> list[Tensor]:
    """Return what is heard in each turn, [any number of samples], in sources [time, C] with frames of ``hop``."""
    return [sources[turn.start * hop : turn.end * hop, turn.output] for turn in turns]
