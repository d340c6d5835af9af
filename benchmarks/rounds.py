"""Runs that take turns, so that whatever slows the machine for a while slows them all."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Rounds(NamedTuple):
    """How often everybody has a turn: until ``seconds`` are over, but ``least`` times and at most ``most``."""

    least: int
    most: int
    seconds: float
    warm_up: bool  # a round before, that does not count


@dataclass
class Outcome:
    """What one run's turns gave: seconds and the last result, or why it failed."""

    times: list[float] = field(default_factory=list)
    result: Any = None
    why: str | None = None


def attempt(function: Callable[[], Any]) -> tuple[Any, str | None]:
    """Call ``function``; returns its result, or None and why it failed.

    Example
    -------
    >>> attempt(lambda: 1 / 0)
    (None, 'ZeroDivisionError: division by zero')
    """
    try:
        return function(), None
    except Exception as error:  # a contestant's failure is a result like any other
        first_line = str(error).strip().split("\n")[0]
        return None, f"{type(error).__name__}: {first_line}"


def alternate(
    runs: dict[str, Callable[[], Any]], rounds: Rounds, synchronize: Callable[[], None]
) -> dict[str, Outcome]:
    """Let ``runs`` take turns and time them.

    Parameters
    ----------
    runs : dict
        What to run, by name.
    rounds : Rounds
        How often.
    synchronize : callable
        Waits until the device has finished.

    Returns
    -------
    dict of Outcome
        By name. Who fails has no further turns.
    """
    outcomes = {name: Outcome() for name in runs}
    if rounds.warm_up:
        _take_turns(runs, outcomes, synchronize)
        for outcome in outcomes.values():
            outcome.times.clear()
    start, done = time.perf_counter(), 0
    while done < rounds.least or (done < rounds.most and _elapsed(start) * (done + 1) / done < rounds.seconds):
        _take_turns(runs, outcomes, synchronize)
        done += 1
    return outcomes


def _take_turns(runs, outcomes, synchronize) -> None:
    for name, run in runs.items():
        outcome = outcomes[name]
        if outcome.why is None:
            outcome.result = None  # the last one's memory is free for this one
            outcome.result, seconds, outcome.why = _timed(run, synchronize)
            outcome.times.append(seconds)


def _timed(run, synchronize) -> tuple[Any, float, str | None]:
    def finish():
        result = run()
        synchronize()
        return result

    synchronize()
    start = time.perf_counter()
    result, why = attempt(finish)
    return result, _elapsed(start), why


def _elapsed(start: float) -> float:
    return time.perf_counter() - start
