"""How the channels of a recording go into a separator: one by one, or together as those of its microphones."""

from collections.abc import Callable

import torch
from torch import Tensor

from speechbrain_tasnet.audio.reading import AudioFile
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.separation.options import Separator


class Channels:
    """The channels of recordings on their way through a separator.

    Parameters
    ----------
    separator : Separator
        Of one microphone, which separates channels one by one, or of several.
    wanted : str
        `SeparationOptions.channels`.

    Raises
    ------
    InputError
        A separator of several microphones is to have fewer channels than it listens to.

    Attributes
    ----------
    read_as : str
        What `audio.reading.read_blocks` is to make of a file's channels.
    """

    def __init__(self, separator: Separator, wanted: str):
        self._mics, self._reference = getattr(separator, "mics", 1), getattr(separator, "reference", 0)
        if self._mics > 1 and wanted != "mean":
            raise InputError(
                f"channels={wanted!r}: this separator listens to {self._mics} microphones, a channel each; leave "
                "channels out"
            )
        self.read_as = wanted if self._mics == 1 else "each"

    def check(self, file: AudioFile) -> None:
        """Refuse a file that has not a channel for each microphone.

        Raises
        ------
        InputError
            It has fewer or more.
        """
        if self._mics > 1 and file.channels != self._mics:
            found = "1 channel" if file.channels == 1 else f"{file.channels} channels"
            raise InputError(f"{file.name}: {found}; this separator listens to {self._mics} microphones")

    def of_sources(self, of_file: int) -> int:
        """Return how many channels each source has, from how many a file has."""
        return of_file if self._mics == 1 and self.read_as == "each" else 1

    def separate(self, separate: Callable[[Tensor], Tensor], mixture: Tensor) -> Tensor:
        """Separate what was read.

        Parameters
        ----------
        separate : callable
            From mixtures [1, time], or [1, time, mics] of several microphones, to sources [1, time, C].
        mixture : Tensor
            [channels, time].

        Returns
        -------
        Tensor
            [channels of the sources, time, C], on the processor, float32; the sources of a channel in any order.
        """
        items = mixture.unsqueeze(1) if self._mics == 1 else mixture.T[None, None]
        return torch.cat([separate(item).float().cpu() for item in items])

    def heard(self, mixture: Tensor) -> Tensor:
        """Return of ``mixture`` [channels, time] what its sources add up to, a channel for each of theirs."""
        return mixture if self._mics == 1 else mixture[self._reference].unsqueeze(0)

    def at_reference(self, mixture: Tensor) -> Tensor:
        """Return of ``mixture`` [batch, time] or [batch, time, mics] what its sources add up to, [batch, time]."""
        return mixture if self._mics == 1 else mixture[..., self._reference]
