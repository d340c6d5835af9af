"""Simulate rooms: where the walls, the microphone and the speakers are, and what the microphone hears of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import ceil, cos, dist, exp, pi, sin
from pathlib import Path
from types import ModuleType

import numpy as np
from scipy.signal import butter, sosfilt

from speechbrain_tasnet.data.dynamic_mixing.room_bank import RoomBank
from speechbrain_tasnet.errors import InputError, whole_number
from speechbrain_tasnet.system.parallel import in_parallel

SPEED_OF_SOUND = 343.0  # m/s
LEAD = 40  # taps before the moment of emission: half of pyroomacoustics' interpolation filter
# Metres and seconds of WHAMR! (Maciejewski et al. 2020, table 1, whose three ranges of T60 lie within this one).
LENGTH, HEIGHT, T60 = (5.0, 10.0), (3.0, 4.0), (0.1, 1.0)
HEAD, DISTANCE, OFF_CENTRE = (0.9, 1.8), (0.66, 2.0), 0.2
APART = 0.5  # metres between speakers at least, as people have bodies
POSITIONS = (2, 8)

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Room:
    """A shoebox with one microphone and some speakers; metres and seconds."""

    size: Point
    t60: float
    microphone: Point
    speakers: tuple[Point, ...]

    @property
    def distances(self) -> tuple[float, ...]:
        """Metres from each speaker to the microphone."""
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
        Rounded to millimetres and milliseconds. Any T60 suits any room, see `absorption`.
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


def simulate(room: Room, rate: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Simulate the impulse responses from the speakers to the microphone.

    Image sources (Allen and Berkley 1979) make the first half of T60; after that they are so many that they
    amount to noise, which takes over with their mean power (Lehmann and Johansson 2010). Without this the
    longest T60 would take seconds. The direct path is left as it is; the reflections pass a highpass at 50 Hz,
    below which image sources, all of one sign, add up to a hum that real rooms do not have.

    Parameters
    ----------
    room : Room
        The room.
    rate : int
        Sampling rate in Hz.
    rng : numpy.random.Generator
        Source of the noise.

    Returns
    -------
    reverb : numpy.ndarray
        Impulse responses `[speakers, LEAD + ceil(t60 * rate)]`; sound leaves the speaker at tap `LEAD`.
    direct : numpy.ndarray
        The first arrival alone, in the same shape: gain one over the distance in metres.
    """
    decay = _image_decay(room)
    taps = LEAD + ceil(room.t60 * rate)
    takeover = LEAD + round(room.t60 / 2 * rate)
    reach = SPEED_OF_SOUND * room.t60 / 2
    # The images of up to this many reflections fill an octahedron that holds the sphere of what arrives in time.
    order = ceil(reach * sum(side**-2 for side in room.size) ** 0.5)
    direct = _images(room, 0, rate, taps)
    reflections = _images(room, order, rate, taps) - direct
    time = (np.arange(takeover, taps) - LEAD) / rate
    # In dt seconds arrive 4 pi c^3 t^2 dt / volume images, each of energy exp(-decay t) / (c t)^2.
    power = 4 * pi * SPEED_OF_SOUND / np.prod(room.size) * np.exp(-np.outer(time, decay)).mean(axis=1)
    noise = rng.standard_normal((len(room.speakers), len(time)))
    reflections[:, takeover:] = noise * np.sqrt(power / rate)
    return direct + sosfilt(butter(2, 50, "highpass", fs=rate, output="sos"), reflections), direct


def absorption(room: Room) -> float:
    """Find the walls' absorption of energy that gives the room its T60; less than 1 for any T60.

    Sabine's and Eyring's formulas suppose that all sound meets walls equally often. In a shoebox it does not, and
    lasts up to 1.6 times as long as they say; here the decay of its image sources is followed instead.

    Parameters
    ----------
    room : Room
        The room.

    Returns
    -------
    float
        Share of the energy that a wall takes.
    """
    return 1 - exp(-_loss(room))


def make_room_bank(
    out: Path | str,
    rooms: int = 500,
    positions: int = 4,
    rate: int = 8000,
    seed: int = 0,
    workers: int | None = None,
) -> None:
    """Simulate a bank of rooms, see `RoomBank`.

    All responses have the length of the longest, which ends after its room's T60; shorter ones end in zeros. 500
    rooms of 4 positions at 8000 Hz take 130 MB of memory and a quarter of it on disk. The same options give the
    same bytes, whatever the number of workers.

    Parameters
    ----------
    out : path-like
        File to make, `.npz` by custom; it must not exist yet.
    rooms : int
        Number of rooms.
    positions : int
        Speakers' places in each room, 2 to 8.
    rate : int
        Sampling rate in Hz, a multiple of 1000.
    seed : int
        Seed of every draw.
    workers : int, optional
        Number of processes; by default one for each processor that this one may use.

    Raises
    ------
    InputError
        An option is out of range, `out` is there already, or pyroomacoustics is not installed.
    """
    whole_number("rooms", rooms)
    whole_number("seed", seed, minimum=0)
    if not POSITIONS[0] <= positions <= POSITIONS[1]:
        raise InputError(f"{positions} positions: expected {POSITIONS[0]} to {POSITIONS[1]}")
    if rate < 1000 or rate % 1000:
        raise InputError(f"rate {rate} Hz: expected a multiple of 1000, such as 8000 or 16000")
    if workers is not None:
        whole_number("workers", workers)
    if Path(out).exists():
        raise InputError(f"{out}: is there already; choose another --out or delete it")
    simulator()
    drawn = in_parallel(partial(_numbered_room, positions, rate, seed), range(rooms), workers, "simulating rooms")
    taps = max(reverb.shape[-1] for _, reverb, _ in drawn)
    reverb, direct = np.zeros((2, rooms, positions, taps), np.float32)
    for number, (_, with_walls, without) in enumerate(drawn):
        reverb[number, :, : with_walls.shape[-1]] = with_walls
        direct[number, :, : without.shape[-1]] = without
    RoomBank(rate, reverb, direct, np.array([t60 for t60, *_ in drawn], np.float32)).save(out)


def simulator() -> ModuleType:
    """Import pyroomacoustics, which only those need who simulate rooms.

    Returns
    -------
    module
        pyroomacoustics.

    Raises
    ------
    InputError
        It is not installed.
    """
    try:
        import pyroomacoustics
    except ImportError as error:
        raise InputError(
            f"simulating rooms needs pyroomacoustics ({error}); pip install 'speechbrain-tasnet[rooms]'"
        ) from None
    return pyroomacoustics


def _rounded(point: Point) -> Point:
    return tuple(round(coordinate, 3) for coordinate in point)


def _numbered_room(positions: int, rate: int, seed: int, number: int) -> tuple[float, np.ndarray, np.ndarray]:
    """Draw and simulate one room of a bank; it depends on the seed and its number alone."""
    rng = np.random.default_rng([seed, number])
    room = draw_room(rng, positions)
    reverb, direct = simulate(room, rate, rng)
    return room.t60, reverb.astype(np.float32), direct.astype(np.float32)


def _wall_rates(room: Room) -> np.ndarray:
    """Return how often a second sound meets a wall that flies in each of 256 directions, evenly spread `[256]`."""
    middles = (np.arange(16) + 0.5) / 16
    height, turn = (axis.ravel() for axis in np.meshgrid(middles, middles * pi / 2))
    level = np.sqrt(1 - height**2)
    directions = np.stack([level * np.cos(turn), level * np.sin(turn), height], axis=-1)
    return SPEED_OF_SOUND * (directions / room.size).sum(axis=-1)


def _loss(room: Room) -> float:
    """Find the loss of energy at a wall, as a natural logarithm, that gives the room its T60.

    Sound that meets `rate` walls a second loses exp(-loss rate t) (Lehmann and Johansson 2008), and the decay is
    the mean over directions. Loss and time stand as a product, so that T60 is inverse to the loss. T60 is twice
    the time from -5 to -35 dB, as in ISO 3382.
    """
    rates = _wall_rates(room)
    time = np.linspace(0, 9 / rates.min(), 400)  # exp(-9) is -39 dB
    remaining = np.mean(np.exp(-np.outer(time, rates)) / rates, axis=1)
    decibels = -10 * np.log10(remaining / remaining[0])
    start, end = np.interp([5, 35], decibels, time)
    return 2 * (end - start) / room.t60


def _image_decay(room: Room) -> np.ndarray:
    """Nepers of energy a second that sound in each direction loses `[directions]`."""
    return _loss(room) * _wall_rates(room)


def _images(room: Room, order: int, rate: int, taps: int) -> np.ndarray:
    """Add up the image sources of up to `order` reflections, `[speakers, taps]`."""
    with _exact_library() as library:
        box = library.ShoeBox(room.size, rate, max_order=order, materials=library.Material(absorption(room)))
        box.add_microphone(room.microphone)
        for speaker in room.speakers:
            box.add_source(speaker)
        box.compute_rir()
    responses = np.zeros((len(room.speakers), taps))
    for response, simulated in zip(responses, box.rir[0], strict=True):
        response[: len(simulated)] = simulated[:taps]
    return responses


@contextmanager
def _exact_library() -> Iterator[ModuleType]:
    """Set pyroomacoustics for a while to what the bytes and the direct path depend on."""
    library = simulator()
    wanted = {
        "c": SPEED_OF_SOUND,
        "frac_delay_length": 2 * LEAD + 1,
        "num_threads": 1,  # The sums of several threads are rounded otherwise.
        "rir_hpf_enable": False,  # It would smear the direct path.
    }
    before = {name: library.constants.get(name) for name in wanted}
    try:
        for name, value in wanted.items():
            library.constants.set(name, value)
        yield library
    finally:
        for name, value in before.items():
            library.constants.set(name, value)
