"""A bank of simulated rooms, to place speakers in while training."""

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.system.files import new_file

# What numpy raises over an archive that lacks an array, holds something else or is damaged.
UNREADABLE = (EOFError, LookupError, OSError, TypeError, ValueError, zipfile.BadZipFile, zlib.error)

# The phase of a wave tells delays of less than half its period: microphones up to 68 cm apart.
SIDES_HZ = 250

ARRAYS = ("reverb", "direct", "t60", "microphones")


@dataclass
class RoomBank:
    """Impulse responses from speakers' places to the microphones of each of many rooms.

    Attributes
    ----------
    rate : int
        Sampling rate in Hz.
    reverb : numpy.ndarray
        Impulse responses `[rooms, positions, mics, taps]`, float32; those of one microphone may be given as
        `[rooms, positions, taps]`. The direct path's gain is one over the distance in metres. Every response is
        late by the same 40 taps, the half of an interpolation filter.
    direct : numpy.ndarray
        The direct path alone, as loud and as late as in `reverb`, in the same shape.
    t60 : numpy.ndarray
        Reverberation time of each room in seconds, `[rooms]`.
    microphones : numpy.ndarray
        Places of the microphones in metres, `[rooms, mics, 3]`; not needed of one.

    Examples
    --------
    >>> silent = np.zeros((5, 2, 100), np.float32)
    >>> bank = RoomBank(8000, silent, silent, np.ones(5, np.float32))
    >>> len(bank), bank.mics, bank.reverb.shape
    (5, 1, (5, 2, 1, 100))
    """

    rate: int
    reverb: np.ndarray
    direct: np.ndarray
    t60: np.ndarray
    microphones: np.ndarray | None = None

    def __post_init__(self):
        if self.reverb.ndim == 3:
            self.reverb, self.direct = self.reverb[:, :, np.newaxis], self.direct[:, :, np.newaxis]
        if self.microphones is None:
            self.microphones = np.zeros((len(self.reverb), 1, 3), np.float32)

    @property
    def mics(self) -> int:
        """Microphones in each room."""
        return self.reverb.shape[2]

    def sides(self, reference: int) -> np.ndarray:
        """Return on which side of the array each position is, [rooms, positions].

        It is the delay in samples of the direct sound from the reference to the first of the other microphones:
        above 0 nearer to the reference, below 0 nearer to the other.
        """
        frequency = 2 * np.pi * SIDES_HZ / self.rate
        wave = np.exp(-1j * frequency * np.arange(self.direct.shape[-1]))
        here, there = (self.direct[:, :, mic] @ wave for mic in (reference, int(reference == 0)))
        return -np.angle(there * here.conj()) / frequency

    @classmethod
    def load(cls, path: Path | str) -> "RoomBank":
        """Read a bank.

        Parameters
        ----------
        path : path-like
            File that `save` wrote.

        Raises
        ------
        InputError
            The file is missing, is not a bank or holds NaN or infinite values.
        """
        way_out = "make one with `tasnet generate rooms`"
        if not Path(path).is_file():
            raise InputError(f"{path}: no such file; expected a bank of rooms, {way_out}")
        if not zipfile.is_zipfile(path):
            raise InputError(f"{path}: not a bank of rooms; {way_out}")
        try:
            with np.load(path, allow_pickle=False) as file:
                # Banks of earlier versions, of one microphone in each room, do not say where it is.
                bank = cls(
                    int(file["rate"]), **{name: file[name].astype(np.float32) for name in ARRAYS if name in file}
                )
        except UNREADABLE:
            raise InputError(f"{path}: not a bank of rooms, or a damaged one; {way_out}") from None
        shape = bank.reverb.shape
        expected = (shape, shape[:1], (*shape[:1], *shape[2:3], 3))
        if (
            len(shape) != 4
            or 0 in shape
            or (bank.direct.shape, bank.t60.shape, bank.microphones.shape) != expected
        ):
            raise InputError(f"{path}: not a bank of rooms [rooms, positions, mics, taps]; {way_out}")
        if not all(np.isfinite(getattr(bank, name)).all() for name in ARRAYS):
            raise InputError(f"{path}: holds NaN or infinite values; {way_out}")
        return bank

    def save(self, path: Path | str) -> None:
        """Write the bank, whole or not at all.

        Parameters
        ----------
        path : path-like
            File to write, `.npz` by custom.

        Raises
        ------
        DiskError
            The file cannot be written.
        """
        with new_file(path) as partial, partial.open("wb") as stream:
            np.savez_compressed(stream, rate=self.rate, **{name: getattr(self, name) for name in ARRAYS})

    def __len__(self) -> int:
        """Count the rooms."""
        return len(self.reverb)
