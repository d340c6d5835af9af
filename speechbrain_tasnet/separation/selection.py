"""From a separator's outputs to sources: those in which somebody is heard, at the level that is wanted."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np
import torch

from speechbrain_tasnet.separation.options import SeparationOptions, Separator
from speechbrain_tasnet.separation.scaling import Levels
from speechbrain_tasnet.separation.voices import Heard, Listener


class Selection:
    """What becomes of a separator's outputs.

    Those of a separator that does not count voices are all sources, and are scaled as they come. Where voices are
    counted, what a scale refers to, the sum of the sources or their peak, is known only when it is known which
    outputs are kept, and where they are silenced; until then all wait, and the mixture with them if it is needed.

    Parameters
    ----------
    separator : Separator
        The model.
    choices : SeparationOptions
        How recordings are separated.

    Raises
    ------
    InputError
        The separator cannot have as many voices.

    Attributes
    ----------
    counts : bool
        Whether voices are counted.
    with_mixture : bool
        Whether the mixture waits with the outputs, as the last of them.
    waiting : int
        How many signals of a recording's length wait.
    choices : SeparationOptions
        How the outputs are separated.
    """

    def __init__(self, separator: Separator, choices: SeparationOptions):
        choices.check_voices(separator)
        self.counts = getattr(separator, "counts_voices", False)
        self.with_mixture = self.counts and choices.scale in ("mixture", "consistent")
        self.choices = replace(choices, scale="none") if self.counts else choices
        self._outputs, self._wanted = separator.hparams.num_spks, choices
        self.waiting = self._outputs + self.with_mixture

    def listener(self, rate: int) -> Listener:
        """Return what detects who is heard in the outputs of a recording."""
        return Listener(rate, self.counts, self._wanted.gate, self._wanted.voices)

    def sources(
        self, waiting: Callable[[], Iterable[np.ndarray]], heard: Heard | None, levels: Levels, limited: bool
    ) -> Iterator[np.ndarray]:
        """Choose the sources among all that has waited, and scale them.

        Parameters
        ----------
        waiting : callable
            Returns from the beginning what has waited: [any number of samples, waiting, channels] each, float32.
        heard : Heard, optional
            Who is heard, if voices are counted.
        levels : Levels
            Of all outputs, for a separator that does not count voices.
        limited : bool
            Nothing may lie beyond full scale.

        Yields
        ------
        numpy.ndarray
            [as many samples, sources, channels].
        """
        if self.counts:
            levels = Levels()
            for sources, mixture in self._kept(waiting(), heard):
                levels.measure(sources)
                if self.with_mixture:
                    levels.compare(torch.tensor(mixture.T), torch.from_numpy(sources.transpose(2, 0, 1)))
        gain = np.float32(levels.gain(self._wanted.scale, limited))
        for sources, _ in self._kept(waiting(), heard):
            yield gain * sources

    def _kept(
        self, waiting: Iterable[np.ndarray], heard: Heard | None
    ) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """Choose the sources, block by block, with the mixture if it has waited."""
        done = 0
        for block in waiting:
            sources, mixture = block[:, : self._outputs], block[:, -1] if self.with_mixture else None
            if self.counts:
                wanted = mixture if self._wanted.scale == "consistent" else None
                sources = heard.sources_of(sources, done, wanted)
            yield sources, mixture
            done += len(block)
