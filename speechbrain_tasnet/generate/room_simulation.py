"""Simulate rooms: what the microphones hear of the speakers."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from math import ceil, exp, pi
from pathlib import Path
from types import ModuleType

import numpy as np
import scipy

from speechbrain_tasnet.audio.diffuse_field import SPEED_OF_SOUND, diffuse_field
from speechbrain_tasnet.data.dynamic_mixing.room_bank import RoomBank
from speechbrain_tasnet.errors import InputError, whole_number
from speechbrain_tasnet.generate.room_plan import Array, Room, draw_room
from speechbrain_tasnet.system.parallel import Workers, check_workers, in_parallel

LEAD = 40  # taps before the moment of emission: half of pyroomacoustics' interpolation filter
POSITIONS = (2, 8)


def simulate(room: Room, rate: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Simulate the impulse responses from the speakers to the microphones.

    Image sources (Allen and Berkley 1979) make the first half of T60; after that they are so many that they
    amount to noise, which takes over with their mean power (Lehmann and Johansson 2010). Without this the
    longest T60 would take seconds. The direct path is left as it is; the reflections pass a highpass at 50 Hz,
    below which image sources, all of one sign, add up to a hum that real rooms do not have. What several
    microphones hear of the noise is as coherent as in a diffuse field; the first hears what it would hear alone.

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
        Impulse responses `[mics, speakers, LEAD + ceil(t60 * rate)]`; sound leaves the speaker at tap `LEAD`.
    direct : numpy.ndarray
        The first arrival alone, in the same shape: gain one over the distance in metres.
    """
    decay = _image_decay(room)
    taps = LEAD + ceil(room.t60 * rate)
    takeover = LEAD + round(room.t60 / 2 * rate)
    reach = SPEED_OF_SOUND * room.t60 / 2
    # The images of up to this many reflections fill an octahedron that holds the sphere of what arrives in time.
    order = ceil(reach * sum(side**-2 for side in room.size) ** 0.5)
    direct = direct_paths(room, rate, taps)
    reflections = _images(room, order, rate, taps) - direct
    time = (np.arange(takeover, taps) - LEAD) / rate
    # In dt seconds arrive 4 pi c^3 t^2 dt / volume images, each of energy exp(-decay t) / (c t)^2.
    power = 4 * pi * SPEED_OF_SOUND / np.prod(room.size) * np.exp(-np.outer(time, decay)).mean(axis=1)
    noise = rng.standard_normal((len(room.microphones), len(room.speakers), len(time)))
    diffuse = diffuse_field(noise, np.array(room.microphones), rate)
    reflections[..., takeover:] = diffuse * np.sqrt(power / rate)
    high_pass = scipy.signal.butter(2, 50, "highpass", fs=rate, output="sos")
    return direct + scipy.signal.sosfilt(high_pass, reflections), direct


def direct_paths(room: Room, rate: int, taps: int) -> np.ndarray:
    """Simulate what arrives first, as `simulate` has it: `[mics, speakers, taps]`."""
    return _images(room, 0, rate, taps)


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
    array: Array | None = None,
    workers: Workers = None,
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
    array : Array, optional
        Several microphones in place of one; the first hears the same.
    workers : int or Launcher, optional
        Number of processes; by default one per available processor. Or jobs on a cluster.

    Raises
    ------
    InputError
        An option is out of range, `out` already exists, or pyroomacoustics is not installed.
    """
    whole_number("rooms", rooms)
    whole_number("seed", seed, minimum=0)
    if not POSITIONS[0] <= positions <= POSITIONS[1]:
        raise InputError(f"{positions} positions: expected {POSITIONS[0]} to {POSITIONS[1]}")
    if rate < 1000 or rate % 1000:
        raise InputError(f"rate {rate} Hz: expected a multiple of 1000, such as 8000 or 16000")
    check_workers(workers)
    if Path(out).exists():
        raise InputError(f"{out}: already exists; choose another --out or delete it")
    simulator()
    drawn = in_parallel(
        partial(_numbered_room, positions, rate, seed, array), range(rooms), workers, "simulating rooms"
    )
    taps = max(reverb.shape[-1] for _, reverb, _ in drawn)
    mics = array.mics if array else 1
    reverb, direct = np.zeros((2, rooms, positions, mics, taps), np.float32)
    for number, (_, with_walls, without) in enumerate(drawn):
        reverb[number, ..., : with_walls.shape[-1]] = with_walls.swapaxes(0, 1)
        direct[number, ..., : without.shape[-1]] = without.swapaxes(0, 1)
    microphones = np.array([room.microphones for room, *_ in drawn], np.float32)
    t60 = np.array([room.t60 for room, *_ in drawn], np.float32)
    RoomBank(rate, reverb, direct, t60, microphones).save(out)


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


def _numbered_room(
    positions: int, rate: int, seed: int, array: Array | None, number: int
) -> tuple[Room, np.ndarray, np.ndarray]:
    """Draw and simulate one room of a bank; it depends on the seed and its number alone."""
    rng = np.random.default_rng([seed, number])
    room = draw_room(rng, positions)
    if array:
        room = array.put_into(room, np.random.default_rng([seed, number, 0]))
    reverb, direct = simulate(room, rate, rng)
    return room, reverb.astype(np.float32), direct.astype(np.float32)


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
    """Add up the image sources of up to `order` reflections, `[mics, speakers, taps]`."""
    with _exact_library() as library:
        box = library.ShoeBox(room.size, rate, max_order=order, materials=library.Material(absorption(room)))
        for microphone in room.microphones:
            box.add_microphone(microphone)
        for speaker in room.speakers:
            box.add_source(speaker)
        box.compute_rir()
    responses = np.zeros((len(room.microphones), len(room.speakers), taps))
    for at_microphone, simulated in zip(responses, box.rir, strict=True):
        for response, samples in zip(at_microphone, simulated, strict=True):
            response[: len(samples)] = samples[:taps]
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
