"""How a recording's channels go into a separator: one by one, or together as those of its microphones."""

from collections.abc import Callable

import torch
from torch import Tensor

from speechbrain_tasnet.audio.audio_file import AudioFile
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.separation.beamforming import beamform, of_their_own, postfilter
from speechbrain_tasnet.separation.options import SeparationOptions, Separator
from speechbrain_tasnet.separation.scaling import consistent
from speechbrain_tasnet.separation.shifts import average_over_shifts


class Channels:
    """The channels of recordings on their way through a separator.

    Parameters
    ----------
    separator : Separator
        Of one microphone, which separates channels one by one, or of several.
    choices : SeparationOptions
        Which channels are wanted, and what becomes of them.

    Raises
    ------
    InputError
        The separator has no such choice, or more shifts are wanted than its frames are apart.

    Attributes
    ----------
    read_as : str
        What `audio.reading.read_blocks` is to make of a file's channels.
    one_order : bool
        Whether the sources of all channels come in the same order.
    """

    def __init__(self, separator: Separator, choices: SeparationOptions):
        self._mics, reference = getattr(separator, "mics", 1), getattr(separator, "reference", 0)
        self._outputs = getattr(separator, "outputs", 1)
        self._consistent = choices.scale == "consistent"
        self._beamforms = choices.beamform is not None
        self._postfilters = choices.beamform == "mvdr-postfilter"
        if self._mics > 1 and (choices.channels != "mean" or self._beamforms):
            name = "beamform" if self._beamforms else "channels"
            raise InputError(
                f"{name}={getattr(choices, name)!r}: this separator listens to {self._mics} microphones itself; "
                f"leave {name} out"
            )
        self._shifts, self._hop = choices.shifts, getattr(separator, "hop", 1)
        if self._shifts > self._hop:
            raise InputError(
                f"shifts={self._shifts}: expected at most {self._hop}, the samples between two frames"
            )
        self._together = self._mics > 1 or self._beamforms  # all channels into one of each source
        at_reference = self._together and self._outputs == 1
        self._reference = slice(reference, reference + 1) if at_reference else slice(None)
        self._rate = separator.hparams.sample_rate if self._beamforms else 0
        self.one_order = self._together
        self.read_as = "each" if self._together else choices.channels

    def check(self, file: AudioFile) -> None:
        """Refuse a file that has too few channels.

        Raises
        ------
        InputError
            It has fewer or more.
        """
        found = "1 channel" if file.channels == 1 else f"{file.channels} channels"
        if self._mics > 1 and file.channels != self._mics:
            raise InputError(f"{file.name}: {found}; this separator listens to {self._mics} microphones")
        if self._beamforms and file.channels == 1:
            raise InputError(f"{file.name}: {found}; beamforming needs two or more, of one array")

    def of_sources(self, of_file: int) -> int:
        """Return how many channels each source has, from how many a file has."""
        return of_file if self.read_as == "each" and not self._together else self._outputs

    def separate(self, separate: Callable[[Tensor], Tensor], mixture: Tensor) -> Tensor:
        """Separate what was read.

        Parameters
        ----------
        separate : callable
            From mixtures [1, time], or [1, time, mics] of several microphones, to sources [1, time, C] or
            [1, time, C, mics].
        mixture : Tensor
            [channels, time].

        Returns
        -------
        Tensor
            [channels of the sources, time, C], on the CPU, float32, in any order, see `one_order`.
        """
        if self._beamforms:
            mixture = mixture[of_their_own(mixture)]
        separate = average_over_shifts(separate, self._shifts, self._hop)
        items = mixture.unsqueeze(1) if self._mics == 1 else mixture.T[None, None]
        sources = torch.cat([separate(item).float().cpu() for item in items])
        if self._outputs > 1:
            sources = sources[0].permute(2, 0, 1)
        if self._beamforms and len(mixture) > 1:
            filtered = beamform(mixture, sources, self._rate)
            sources = (postfilter(filtered, separate) if self._postfilters else filtered).unsqueeze(0)
        return consistent(self.heard(mixture), sources) if self._consistent else sources

    def heard(self, mixture: Tensor) -> Tensor:
        """Return of ``mixture`` [channels, time] what its sources add up to, a channel for each of theirs."""
        return mixture[of_their_own(mixture)[:1]] if self._beamforms else mixture[self._reference]
