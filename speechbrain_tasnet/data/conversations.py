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
TINY = 1e-6  # seconds


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

    The model, and its default values, are those of lhotse's `ConversationalMeetingSimulator`. With them, more than
    one speaks in 0 to 50 % of the time with speech. With `overlap_ratio` it is as much as asked for, up to all of
    it: overlaps become longer while there are too few, there are pauses in their place while there are too many,
    and a turn may begin and end while another lasts.

    Parameters
    ----------
    pause, overlap : float
        Their means in seconds, above 0.
    overlap_probability : (float, float)
        How many of the turns begin before the last one ends, from 0 (nobody is interrupted) to 1: a range, from
        which every conversation has its own.
    overlap_ratio : (float, float), optional
        Share of the time with speech in which more than one speaks, from 0 to 1: a range, from which every
        conversation has its own. `overlap` has then no effect, and at least as many turns overlap.

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
    overlap_ratio: tuple[float, float] | None = None

    def __post_init__(self):
        for name in ("pause", "overlap"):
            if not 0 < getattr(self, name) < inf:
                raise InputError(f"{name}={getattr(self, name)}: expected a mean in seconds above 0")
        for name in ("overlap_probability", "overlap_ratio"):
            low, high = getattr(self, name) or (0.0, 1.0)
            if not 0 <= low <= high <= 1:
                raise InputError(f"{name}={low} to {high}: expected two from 0 to 1, the lower first")

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
            In the order in which they begin; at least one, unless nobody takes part.
        """
        if not speakers:
            return []
        probability = rng.uniform(*self.overlap_probability)
        steering = None
        if self.overlap_ratio is not None:
            steering = _Steering(rng.uniform(*self.overlap_ratio))
            probability = max(probability, steering.ratio)
        ends = [0.0] * speakers  # of the last turn of each
        turns: list[Turn] = []
        speaker = floor = int(rng.integers(speakers))
        while True:
            number, length = utterance(speaker)
            end, overlap = max(ends), 0.0
            if turns and speakers > 1 and rng.random() < probability:
                if steering is None:
                    overlap = min(self._gamma(self.overlap, rng), length, turns[-1].seconds)
                else:
                    overlap = self._gamma(steering.mean_overlap(length), rng)
            if overlap:
                start = max(end - overlap, ends[speaker], turns[-1].start)
            else:
                start = end + self._gamma(self.pause, rng)
            if start >= seconds and not turns:  # a pause that would outlast the conversation
                start = rng.uniform(0, max(0.0, seconds - length))
            if start >= seconds:
                return turns
            turns.append(Turn(speaker, number, start, length))
            if steering is not None:
                steering.add(turns[-1], ends)
            ends[speaker] = turns[-1].end
            # Whoever ends last has the floor, and is followed by somebody else. Of two who end at the same time,
            # up to rounding, it is the one who began last.
            if ends[speaker] > end - TINY:
                floor = speaker
            if speakers > 1:
                speaker = (floor + 1 + int(rng.integers(speakers - 1))) % speakers

    @staticmethod
    def _gamma(mean: float, rng: np.random.Generator) -> float:
        return float(rng.gamma(SHAPE, mean / SHAPE))


class _Steering:
    """Keeps a conversation near the share of overlap that is asked for.

    Parameters
    ----------
    ratio : float
        Of the time in which more than one speaks to the time in which anybody does.
    """

    def __init__(self, ratio: float):
        self.ratio = ratio
        self._speech = self._overlap = 0.0  # seconds so far

    def mean_overlap(self, length: float) -> float:
        """Return how long the next turn, of ``length`` seconds, should overlap on average: 0 if not at all."""
        # Twice what is missing, for part of it will not come: some turns pause, and nobody begins before the own
        # last turn has ended. Asked for just what is missing, a minute stays below its share by up to a fifth.
        # What comes too much is taken back by the pauses that follow.
        return max(0.0, 2 * (self.ratio * (self._speech + length) - self._overlap))

    def add(self, turn: Turn, ends: list[float]) -> None:
        """Take in a turn that begins after all others, which end at ``ends``, have begun."""
        # So two or more speak already until the second-last end, and one until the last.
        *_, second, last = [0.0, *sorted(ends)]
        self._overlap += max(0.0, min(turn.end, last) - max(turn.start, second))
        self._speech += max(0.0, turn.end - max(turn.start, last))


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
