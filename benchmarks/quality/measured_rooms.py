"""Rooms for several microphones of responses that were measured with one.

What comes directly is simulated, with its delays between the microphones. What a measured response has behind its
direct sound comes from everywhere: as coherent between two microphones as a diffuse field.
"""

from math import ceil
from pathlib import Path

import numpy as np

from speechbrain_tasnet.audio.diffuse_field import diffuse_field, independent_of
from speechbrain_tasnet.audio.reading import read_audio
from speechbrain_tasnet.data.dynamic_mixing.room_bank import RoomBank
from speechbrain_tasnet.generate.room_plan import Array, Room, draw_room
from speechbrain_tasnet.generate.room_simulation import LEAD, direct_paths

DIRECT_SECONDS = 0.0025  # on either side of the peak, that are the direct sound


def behind(response: np.ndarray, rate: int) -> tuple[np.ndarray, float]:
    """Return what a response has behind its direct sound, from its peak on, and the energy of the direct sound."""
    peak, half = int(np.argmax(np.abs(response))), ceil(DIRECT_SECONDS * rate)
    direct = response[max(peak - half, 0) : peak + half]
    tail = response[peak:].copy()
    tail[:half] = 0
    return tail, float(np.sum(direct**2))


def place(tail: np.ndarray, energy: float, room: Room, rate: int, rng: np.random.Generator) -> np.ndarray:
    """Let a room have that tail: responses [mics, speakers, taps], and what comes directly in the same shape."""
    late = LEAD + ceil(max(room.distances) / 300 * rate)  # samples, more than sound takes
    direct = direct_paths(room, rate, late + len(tail))
    reverb = direct.copy()
    mics = len(room.microphones)
    for speaker in range(len(room.speakers)):
        signals = independent_of(tail, mics, rate, rng)
        if not speaker:
            signals[0] = tail
        heard = diffuse_field(signals, np.array(room.microphones), rate)
        gain = np.sqrt(np.sum(direct[0, speaker] ** 2) / energy)
        begin = int(np.argmax(np.abs(direct[0, speaker])))
        reverb[:, speaker, begin : begin + len(tail)] += gain * heard
    return np.stack([reverb, direct])


def measured_bank(
    folder: Path, array: Array | None, rooms: int = 100, positions: int = 4, rate: int = 8000, seed: int = 0
) -> RoomBank:
    """Make a bank of rooms of the measured responses in a folder, each taken as often as the others."""
    tails = [behind(read_audio(path, rate).astype(float), rate) for path in sorted(folder.glob("*.flac"))]
    made, places = [], []
    for number in range(rooms):
        rng = np.random.default_rng([seed, number])
        room = draw_room(rng, positions)
        room = array.put_into(room, rng) if array else room
        made.append(place(*tails[number % len(tails)], room, rate, rng))
        places.append(room.microphones)
    taps = max(responses.shape[-1] for responses in made)
    filled = [np.pad(responses, [(0, 0)] * 3 + [(0, taps - responses.shape[-1])]) for responses in made]
    reverb, direct = np.stack(filled, axis=1).swapaxes(2, 3).astype(np.float32)  # [rooms, positions, mics, taps]
    return RoomBank(rate, reverb, direct, np.ones(rooms, np.float32), np.array(places, np.float32))
