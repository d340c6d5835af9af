"""Turn the input, block by block, into what is played: one source, or all of them from left to right."""

from collections.abc import Iterable, Iterator
from threading import Lock
from typing import Protocol

import numpy as np
import torch

from speechbrain_tasnet.audio.pcm import count_clipped
from speechbrain_tasnet.audio.reading import LOUDEST
from speechbrain_tasnet.audio.resampling import resample_blocks
from speechbrain_tasnet.audio.rms_level import RmsLevel
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.separation.live_voices import LiveVoices
from speechbrain_tasnet.separation.pretrained import TasNetSeparation
from speechbrain_tasnet.separation.streaming import StreamingSeparator


class Listener(Protocol):
    """Receives the input and its sources; `Levels` and `live_files.LiveFiles` implement it."""

    def hear(self, mixture: np.ndarray, sources: np.ndarray) -> None:
        """Receive samples [n, mics] and those of the sources that are now known, [m, C]."""


class LiveSeparation:
    """Separates what is heard as it comes, at the rates of two sound cards.

    Parameters
    ----------
    separator : TasNetSeparation
        A causal model.
    source : str
        What is played: the number of a source from 1 on, or ``all``, from the first left to the last right.
    gate : bool
        Whether sources are silent where nobody is heard in them, of a separator that counts voices.

    Attributes
    ----------
    clipped : int
        Samples played that lay beyond full scale.

    Raises
    ------
    InputError
        The model sees the future, or has no such source.
    """

    def __init__(self, separator: TasNetSeparation, source: str = "all", gate: bool = True):
        modules = separator.mods
        self.rate, self.num_spks = separator.hparams.sample_rate, separator.hparams.num_spks
        self._live = StreamingSeparator(modules.encoder, modules.masknet, modules.decoder)
        self._encoder = modules.encoder
        self._voices = LiveVoices(self.rate) if gate and separator.counts_voices else None
        self._gains = _gains(source, self.num_spks)
        self.clipped = 0
        self._live.step(
            self._encoder.silence(1, 4 * self._encoder.kernel_size)
        )  # compiles what is not compiled yet
        self._live.reset(1)

    @property
    def mics(self) -> int:
        """How many channels are heard."""
        return self._encoder.mics

    @property
    def ears(self) -> int:
        """How many channels are played."""
        return len(self._gains)

    def blocks(
        self, heard: Iterable[np.ndarray], rate_in: int, rate_out: int, listeners: Iterable[Listener] = ()
    ) -> Iterator[np.ndarray]:
        """Turn the input into what is played.

        Parameters
        ----------
        heard : iterable of numpy.ndarray
            [mics, any number] each.
        rate_in, rate_out : int
            Hz, of what is heard and what is played.
        listeners : iterable of Listener
            Are told of all that is heard and separated, at the model's rate.

        Yields
        ------
        numpy.ndarray
            [ears, any number], in all as long as what was heard.
        """
        sources = self._separate(resample_blocks(heard, rate_in, self.rate), list(listeners))
        in_ears = (self._gains @ block.T for block in sources)
        for block in resample_blocks(in_ears, self.rate, rate_out):
            self.clipped += count_clipped(block)
            yield np.clip(block, -1, 1)

    def _separate(self, mixtures: Iterable[np.ndarray], listeners: list[Listener]) -> Iterator[np.ndarray]:
        for mixture in mixtures:
            usable = np.where(np.abs(mixture) <= LOUDEST, mixture, np.float32(0)).T
            known = self._live.step(
                torch.from_numpy(np.ascontiguousarray(usable)).view_as(self._silence(len(usable)))
            )
            yield self._tell(usable, known, listeners)
        yield self._tell(np.zeros((0, self.mics), np.float32), self._live.flush(), listeners)

    def _silence(self, samples: int) -> torch.Tensor:
        return self._encoder.silence(1, samples)

    def _tell(self, mixture: np.ndarray, known: torch.Tensor, listeners: list[Listener]) -> np.ndarray:
        sources = known[0].numpy()
        if sources.ndim == 3:  # at each microphone; one is listened to
            sources = sources[..., self._encoder.reference]
        if self._voices:
            sources, _ = self._voices.hear(sources)
        for listener in listeners:
            listener.hear(mixture, sources)
        return sources


def _gains(source: str, num_spks: int) -> np.ndarray:
    """Return how loud each source is played in each ear, [ears, C]: all of them have the same power.

    Example
    -------
    >>> (_gains("all", 3) ** 2).round(2).tolist(), _gains("2", 3).tolist()
    ([[1.0, 0.5, 0.0], [0.0, 0.5, 1.0]], [[0.0, 1.0, 0.0]])
    """
    if source == "all" and num_spks > 1:
        right = np.linspace(0, 1, num_spks, dtype=np.float32)
        return np.sqrt([1 - right, right])
    if source == "all":
        return np.ones((1, 1), np.float32)
    if source.isdecimal() and 1 <= int(source) <= num_spks:
        return np.eye(num_spks, dtype=np.float32)[[int(source) - 1]]
    numbers = ", ".join(str(number) for number in range(1, num_spks + 1))
    raise InputError(f"--source {source}: expected {numbers} or all of this separator")


class Levels:
    """How loud a mixture and its sources have been since they were last asked for.

    Example
    -------
    >>> levels = Levels(num_spks=2)
    >>> levels.hear(np.full((4, 1), 0.1), np.array([[1.0, 0.0]]))
    >>> [None if level is None else round(level) for level in levels.since_last()]
    [-20, 0, None]
    """

    def __init__(self, num_spks: int):
        self._lock, self._num_spks = Lock(), num_spks
        self._reset()

    def hear(self, mixture: np.ndarray, sources: np.ndarray) -> None:
        """Receive samples, see `Listener`."""
        with self._lock:
            for level, samples in zip(self._levels, [mixture, *sources.T], strict=True):
                level.add(samples)

    def since_last(self) -> list[float | None]:
        """Return the RMS levels of the mixture and of each source, in dB of full scale; None of silence."""
        with self._lock:
            levels = self._levels
            self._reset()
        return [level.decibels for level in levels]

    def _reset(self) -> None:
        self._levels = [RmsLevel() for _ in range(1 + self._num_spks)]
