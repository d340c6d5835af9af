"""Rooms on paper: where the walls, the microphones and the speakers are."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import cos, dist, pi, sin
from typing import NamedTuple

import numpy as np

from speechbrain_tasnet.errors import InputError, whole_number

# Metres and seconds of WHAMR! (Maciejewski et al. 2020, table 1, whose three ranges of T60 lie within this one).
LENGTH, HEIGHT, T60 = (5.0, 10.0), (3.0, 4.0), (0.1, 1.0)
HEAD, DISTANCE, OFF_CENTRE = (0.9, 1.8), (0.66, 2.0), 0.2
APART = 0.5  # metres between speakers at least, as people have bodies
BETWEEN_EARS = 0.175  # metres
AROUND = 0.5  # metres that microphones laid down at random lie from the first one at most
WIDEST = 0.6  # metres: no microphone may lie among the speakers
SPACING = (0.05, 0.15)  # metres in a row unless something else is asked for: a laptop, a bar below a screen
MOST_MICS = 16

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Room:
    """A shoebox with a microphone, or several of which it is the first, and speakers; metres and seconds."""

    size: Point
    t60: float
    microphone: Point
    speakers: tuple[Point, ...]
    further: tuple[Point, ...] = ()

    @property
    def microphones(self) -> tuple[Point, ...]:
        """Places of all microphones."""
        return (self.microphone, *self.further)

    @property
    def distances(self) -> tuple[float, ...]:
        """Metres from each speaker to the first microphone."""
        return tuple(dist(speaker, self.microphone) for speaker in self.speakers)


def draw_room(rng: np.random.Generator, speakers: int) -> Room:
    """Draw a room as WHAMR! does: the microphone near its middle, the speakers around it.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of chance.
    speakers : int
        Number of speakers; no two are closer than half a metre.

    Returns
    -------
    Room
        Rounded to millimetres and milliseconds. Any T60 suits any room, see `room_simulation.absorption`.
    """
    size = (rng.uniform(*LENGTH), rng.uniform(*LENGTH), rng.uniform(*HEIGHT))
    middle = (side / 2 + rng.uniform(-OFF_CENTRE, OFF_CENTRE) for side in size[:2])
    microphone = (*middle, rng.uniform(*HEAD))
    places: list[Point] = []
    while len(places) < speakers:
        angle, distance = rng.uniform(0, 2 * pi), rng.uniform(*DISTANCE)
        place = (
            microphone[0] + distance * cos(angle),
            microphone[1] + distance * sin(angle),
            rng.uniform(*HEAD),
        )
        if all(dist(place, other) >= APART for other in places):
            places.append(place)
    t60 = round(rng.uniform(*T60), 3)
    return Room(_rounded(size), t60, _rounded(microphone), tuple(map(_rounded, places)))


class Array(NamedTuple):
    """An array of microphones: its kind, and from where to where the metres that it is made of may lie."""

    mics: int
    kind: str = "random"
    low: float = 0.0
    high: float = 0.0

    @classmethod
    def parse(cls, mics: int, text: str | None = None) -> "Array":
        """Read what an array is.

        Parameters
        ----------
        mics : int
            Microphones, at least 2.
        text : str, optional
            ``linear:0.05``, so many metres from one to the next; ``circular:0.1``, on a circle of this radius;
            ``ears``, two that are 17.5 cm apart, with no head between them; ``random``, each within half a metre
            of the first. ``linear:0.05-0.15``: another number of metres in each room. None: that, or closer, if
            so many would not fit.

        Raises
        ------
        InputError
            There is no such array, or none of so many microphones.

        Examples
        --------
        >>> Array.parse(2, "linear:0.05-0.15")
        Array(mics=2, kind='linear', low=0.05, high=0.15)
        """
        whole_number("mics", mics, maximum=MOST_MICS)
        if mics == 1:
            raise InputError(f"array={text!r} with mics=1: a single microphone is no array; set mics")
        if text is None:
            return cls(mics, "linear", *(min(spacing, WIDEST / (mics - 1)) for spacing in SPACING))
        kind, _, metres = text.partition(":")
        sizes = _sizes(metres)
        if kind not in PLACES or sizes is None or bool(sizes) != (kind in SIZED):
            raise InputError(f"array={text!r}: expected linear:METRES, circular:METRES, ears or random")
        if kind == "ears" and mics != 2:
            raise InputError(f"array='ears': expected 2 microphones, not {mics}")
        low, high = sizes or (0.0, 0.0)
        widest = high * (mics - 1 if kind == "linear" else 2)
        if sizes and not (0 < low <= high and widest <= WIDEST):
            raise InputError(
                f"array={text!r}: {mics} microphones would span {widest:g} m; expected more than 0 and at most "
                f"{WIDEST} m"
            )
        return cls(mics, kind, low, high)

    def put_into(self, room: Room, rng: np.random.Generator) -> Room:
        """Place the array with its first microphone where that of the room is, turned at random on its stand."""
        size, turn = rng.uniform(self.low, self.high), rng.uniform(0, 2 * pi)
        offsets = PLACES[self.kind](self.mics, size, turn, rng)
        further = (np.add(room.microphone, offset).tolist() for offset in offsets)
        return replace(room, further=tuple(map(_rounded, further)))


Offsets = list[Point]


def _sizes(metres: str) -> tuple[float, ...] | None:
    """Read from where to where metres may lie; nothing where nothing is written, None where it is not a number."""
    if not metres:
        return ()
    found = re.fullmatch(r"(?P<low>.+?)(?:(?<![eE])-(?P<high>.+))?", metres)  # but not the hyphen of 5e-2
    try:
        return (float(found["low"]), float(found["high"] or found["low"]))
    except ValueError:
        return None


def _linear(mics: int, spacing: float, turn: float, rng: np.random.Generator) -> Offsets:
    return [(number * spacing * cos(turn), number * spacing * sin(turn), 0.0) for number in range(1, mics)]


def _circular(mics: int, radius: float, turn: float, rng: np.random.Generator) -> Offsets:
    angles = [turn + 2 * pi * number / mics for number in range(mics)]
    first = (cos(turn), sin(turn))
    return [(radius * (cos(a) - first[0]), radius * (sin(a) - first[1]), 0.0) for a in angles[1:]]


def _ears(mics: int, size: float, turn: float, rng: np.random.Generator) -> Offsets:
    return _linear(mics, BETWEEN_EARS, turn, rng)


def _random(mics: int, size: float, turn: float, rng: np.random.Generator) -> Offsets:
    drawn = [(rng.uniform(0, 2 * pi), AROUND * rng.uniform() ** 0.5) for _ in range(1, mics)]
    return [(distance * cos(angle), distance * sin(angle), 0.0) for angle, distance in drawn]


PLACES: dict[str, Callable[..., Offsets]] = {
    "linear": _linear,
    "circular": _circular,
    "ears": _ears,
    "random": _random,
}
SIZED = ("linear", "circular")


def _rounded(point: Point) -> Point:
    return tuple(round(coordinate, 3) for coordinate in point)
