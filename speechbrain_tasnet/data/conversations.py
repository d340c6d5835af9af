"""Who speaks when: conversations drawn turn by turn, with pauses and overlaps."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

import numpy as np

from speechbrain_tasnet.errors import InputError

# Pauses and overlaps are gamma distributed: short ones are common, none is negative. The shape is that of the
# waiting time for two events, 0 at 0 s; its spread is 0.7 of its mean.
SHAPE = 2.0


class Turn(NamedTuple):
    """An utterance in a conversation."""

    speaker: int  # from 0
    utterance: int
    start: float  # seconds after the conversation's begin
    seconds: float

    @property
    def end(self) -> float:
        """Seconds after the conversation's begin."""
        return self.start + self.seconds


@dataclass(frozen=True)
class TurnTaking:
    """How people take turns.

    After each utterance somebody else speaks: with a probability before it has ended, else after a pause. Who is
    alone continues after a pause. An overlap is no longer than either utterance, and nobody overlaps themselves.

    The model, and its default values, are those of lhotse's `ConversationalMeetingSimulator`.

    Parameters
    ----------
    pause, overlap : float
        Their means in seconds, above 0.
    overlap_probability : (float, float)
        How many of the turns begin before the last one ends, from 0 (nobody is interrupted) to 1: a range, from
        which every conversation has its own.

    Raises
    ------
    InputError
        A value is out of its range.

    Examples
    --------
    >>> talk = TurnTaking(pause=0.5, overlap_probability=(0.0, 0.0))
    >>> turns = talk.draw(2, 60.0, lambda speaker: (0, 4.0), np.random.default_rng(0))
    >>> [turn.speaker for turn in turns[:4]]
    [1, 0, 1, 0]
    >>> overlap_ratio(turns, 60.0)
    0.0
    """

    pause: float = 1.0
    overlap: float = 2.0
    overlap_probability: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self):
        for name in ("pause", "overlap"):
            if not 0 < getattr(self, name) < inf:
                raise InputError(f"{name}={getattr(self, name)}: expected a mean in seconds above 0")
        low, high = self.overlap_probability
        if not 0 <= low <= high <= 1:
            raise InputError(f"overlap_probability={low} to {high}: expected two from 0 to 1, the lower first")

    def draw(
        self,
        speakers: int,
        seconds: float,
        utterance: Callable[[int], tuple[int, float]],
        rng: np.random.Generator,
    ) -> list[Turn]:
        """Draw a conversation.

        Parameters
        ----------
        speakers : int
            How many take part.
        seconds : float
            Its length: no turn begins later. The last ones may end later.
        utterance : callable
            Returns for a speaker which utterance comes next, and its seconds.
        rng : numpy.random.Generator
            Draws everything else.

        Returns
        -------
        list of Turn
            In the order in which they begin.
        """
        if not speakers:
            return []
        overlap_probability = rng.uniform(*self.overlap_probability)
        ends = [0.0] * speakers  # of the last turn of each
        turns: list[Turn] = []
        speaker = int(rng.integers(speakers))
        while True:
            number, length = utterance(speaker)
            end = max(ends)
            if turns and speakers > 1 and rng.random() < overlap_probability:
                start = end - min(self._gamma(self.overlap, rng), length, turns[-1].seconds)
                start = max(start, ends[speaker], turns[-1].start)
            else:
                start = end + self._gamma(self.pause, rng)
            if start >= seconds:
                return turns
            turns.append(Turn(speaker, number, start, length))
            ends[speaker] = start + length
            if speakers > 1:
                speaker = (speaker + 1 + int(rng.integers(speakers - 1))) % speakers

    @staticmethod
    def _gamma(mean: float, rng: np.random.Generator) -> float:
        return float(rng.gamma(SHAPE, mean / SHAPE))


def overlap_ratio(turns: list[Turn], seconds: float) -> float:
    """Return the share of the time with speech in which more than one speaks, up to ``seconds``.

    Examples
    --------
    >>> overlap_ratio([Turn(0, 0, 1.0, 2.0), Turn(1, 0, 2.0, 2.0)], 10.0)  # 1 of 3 s
    0.3333333333333333
    """
    edges = sorted([(turn.start, 1) for turn in turns] + [(turn.end, -1) for turn in turns])
    speech = both = 0.0
    voices, last = 0, 0.0
    for time, change in edges:
        lasted = max(0.0, min(time, seconds) - min(last, seconds))
        speech += lasted * (voices > 0)
        both += lasted * (voices > 1)
        voices, last = voices + change, time
    return both / speech if speech else 0.0
