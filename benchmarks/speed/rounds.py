"""Turns, so that whatever slows the machine for a while slows all contestants."""

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import NamedTuple


class Rounds(NamedTuple):
    """How often each has a turn: until ``seconds`` are over, but at least ``least`` and at most ``most`` times."""

    least: int
    most: int
    seconds: float
    warm_up: bool = False  # an extra round before the others, which does not count

    @property
    def single(self) -> bool:
        """Whether each has one turn only."""
        return self.most == 1


@dataclass
class Outcome:
    """The seconds of the turns of one of them, and the reason why there are no more."""

    times: list[float] = field(default_factory=list)
    why: str | None = None


def alternate(
    turns: dict[Hashable, Callable[[], tuple[float | None, str | None]]], rounds: Rounds
) -> dict[Hashable, Outcome]:
    """Take turns.

    Parameters
    ----------
    turns : dict
        By name, a function that returns the seconds of a turn, or None and the reason why it failed.
    rounds : Rounds
        How often.

    Returns
    -------
    dict of Outcome
        By name. One that fails has no further turns.
    """
    outcomes = {name: Outcome() for name in turns}
    if rounds.warm_up:
        _take_turns(turns, outcomes)
        for outcome in outcomes.values():
            outcome.times.clear()
    start, done = time.perf_counter(), 0
    while done < rounds.least or (done < rounds.most and _elapsed(start) * (done + 1) / done < rounds.seconds):
        _take_turns(turns, outcomes)
        done += 1
    return outcomes


def _take_turns(turns: dict[Hashable, Callable], outcomes: dict[Hashable, Outcome]) -> None:
    for name, turn in turns.items():
        outcome = outcomes[name]
        if outcome.why is None:
            seconds, outcome.why = turn()
            if outcome.why is None:
                outcome.times.append(seconds)


def _elapsed(start: float) -> float:
    return time.perf_counter() - start
