"""What the microphones of a room hear of speakers and of noise."""

from pathlib import Path

import numpy as np
import scipy
import torch

from speechbrain_tasnet.audio.diffuse_field import diffuse_field, independent_of
from speechbrain_tasnet.data.dynamic_mixing.room_bank import RoomBank
from speechbrain_tasnet.errors import InputError


class Acoustics:
    """A bank of rooms in which the sources of an item are placed.

    Parameters
    ----------
    rooms : RoomBank or path-like
        The bank.
    num_spks : int
        Sources, each of which needs a place of its own.
    rate : int
        Sampling rate in Hz of the sources.
    mics : int
        Microphones that there must be.
    reference : int
        Which of them the sources are heard at.
    target : str
        What the sources become: ``anechoic``, their direct sound, or ``reverb``, all that is heard of them.
    at_each : bool
        Whether they are heard at each microphone.
    by_location : bool
        Whether they come back from the reference's side to that of the first of the other microphones, silent
        ones last, rather than in the order in which they went in.

    Raises
    ------
    InputError
        The bank cannot be read or does not fit.
    """

    def __init__(
        self,
        rooms: RoomBank | Path | str,
        num_spks: int,
        rate: int,
        mics: int,
        reference: int,
        target: str,
        at_each: bool = False,
        by_location: bool = False,
    ):
        name = "rooms" if isinstance(rooms, RoomBank) else f"rooms={rooms}"
        self._bank = rooms if isinstance(rooms, RoomBank) else RoomBank.load(rooms)
        _check(self._bank, name, num_spks, rate, mics)
        self._reference, self._target = reference, target
        self._sides = self._bank.sides(reference) if by_location else None
        self._outputs = slice(None) if at_each else slice(reference, reference + 1)

    def draw(self, rng: np.random.Generator) -> int:
        """Draw a room."""
        return int(rng.integers(len(self._bank)))

    def hear(
        self, sources: np.ndarray, room: int, with_walls: bool, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw a position for each source, and return what is heard of it there.

        Parameters
        ----------
        sources : numpy.ndarray
            Dry, `[C, time]`. What comes directly from them is as loud at the reference.
        room : int
            Of the bank.
        with_walls : bool
            Whether there are reflections.
        rng : numpy.random.Generator
            Draws the places.

        Returns
        -------
        mixture : numpy.ndarray
            What each microphone hears, `[mics, time]`.
        targets : numpy.ndarray
            What the sources have become, at the reference `[C, 1, time]` or at each microphone `[C, mics, time]`.
        """
        places = rng.choice(self._bank.reverb.shape[1], len(sources), replace=False)
        direct = self._bank.direct[room, places]
        heard, straight = _convolve(sources, self._bank.reverb[room, places] if with_walls else direct, direct)
        dry = np.linalg.norm(sources, axis=-1)
        gains = dry / np.maximum(np.linalg.norm(straight[:, self._reference], axis=-1), 1e-30)
        targets = straight if self._target == "anechoic" else heard
        targets = gains[:, None, None] * targets[:, self._outputs]
        if self._sides is not None:
            targets = targets[np.lexsort((-self._sides[room, places], dry == 0))]
        return np.einsum("c,cmt->mt", gains, heard), targets

    def surround(self, noise: np.ndarray, room: int, rng: np.random.Generator) -> np.ndarray:
        """Make noise `[time]` diffuse; returns what each microphone hears, `[mics, time]`."""
        places = self._bank.microphones[room]
        others = independent_of(noise, len(places) - 1, self._bank.rate, rng)
        return diffuse_field(np.stack([noise, *others]), places, self._bank.rate)


def _convolve(sources: np.ndarray, reverb: np.ndarray, direct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Convolve sources `[C, time]` with both responses `[C, mics, taps]`: `[C, mics, time]` each."""
    time = sources.shape[1]
    size = scipy.fft.next_fast_len(time + reverb.shape[2] - 1, real=True)
    spectra = torch.fft.rfft(torch.from_numpy(sources), size).unsqueeze(1)
    heard, straight = (
        torch.fft.irfft(spectra * torch.fft.rfft(torch.from_numpy(responses), size), size)[..., :time].numpy()
        for responses in (reverb, direct)
    )
    return heard, straight


def _check(bank: RoomBank, name: str, num_spks: int, rate: int, mics: int) -> None:
    """Refuse a bank that does not fit."""
    if bank.rate != rate:
        raise InputError(f"{name}: {bank.rate} Hz, expected sample_rate={rate}; make rooms at that rate")
    if bank.mics != mics:
        raise InputError(
            f"{name}: {bank.mics} microphones in a room, expected mics={mics}; make rooms with as many"
        )
    positions = bank.reverb.shape[1]
    if positions < num_spks:
        raise InputError(f"{name}: {positions} positions a room, num_spks={num_spks} needed; make rooms with more")
    if not bank.direct.any(axis=-1).all():
        raise InputError(f"{name}: a direct path is all zero; make the rooms again")
