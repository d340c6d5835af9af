"""Excerpts of conversations, cut anywhere: some participants speak, some are silent."""

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

import numpy as np

from speechbrain_tasnet.data.conversations import Turn, TurnTaking
from speechbrain_tasnet.data.dynamic_mixing.recordings import Recordings

MINUTE = 60.0  # seconds of a conversation, of which an item is a stretch
AUDIBLE = 1e-4  # of the energy of a voice that speaks all the time, -40 dB: less is taken for silence


class Voice(NamedTuple):
    """A participant in a conversation."""

    utterances: Sequence[int]  # numbers of recordings
    amplitude: float  # that an active level of 1 is brought to
    speed: float  # that the recordings are played at


class Talk:
    """Draws excerpts of conversations.

    Parameters
    ----------
    speech : Recordings
        Of all speakers.
    size : int
        Samples of a stretch.
    turns : TurnTaking
        How people talk.
    """

    def __init__(self, speech: Recordings, size: int, turns: TurnTaking):
        self._speech, self._size, self._turns = speech, size, turns

    def fill(
        self, sources: np.ndarray, voices: Sequence[Voice], may_be_silent: bool, rng: np.random.Generator
    ) -> list[int]:
        """Draw a conversation and an excerpt of it.

        Parameters
        ----------
        sources : numpy.ndarray
            [speakers, size]; filled with what each is heard to say, with zeros in their pauses.
        voices : sequence of Voice
            Those who take part.
        may_be_silent : bool
            Whether nobody at all may be heard.
        rng : numpy.random.Generator
            Draws.

        Returns
        -------
        list of int
            The recordings that are heard, in the order in which they begin.

        Raises
        ------
        BadItemError
            A recording is silent, or can no longer be read.
        """
        turns = self._draw(voices, rng)
        start = rng.uniform(0, MINUTE)
        heard = self._render(sources, voices, turns, start)
        return heard if heard or may_be_silent else [self._break_silence(sources, voices, rng)]

    def _draw(self, voices: Sequence[Voice], rng: np.random.Generator) -> list[Turn]:
        def utterance(speaker: int) -> tuple[int, float]:
            numbers, _, speed = voices[speaker]
            number = numbers[rng.integers(len(numbers))]
            return number, self._speech.seconds(number) / speed

        return self._turns.draw(len(voices), MINUTE + self._size / self._speech.rate, utterance, rng)

    def _break_silence(self, sources: np.ndarray, voices: Sequence[Voice], rng: np.random.Generator) -> int:
        """Insert an utterance into a stretch without any, and return which recording it is."""
        speaker = int(rng.integers(len(voices)))
        numbers, amplitude, speed = voices[speaker]
        number = numbers[rng.integers(len(numbers))]
        samples = self._speech.cut(number, self._size, rng, speed)  # where there is something to hear
        begin = int(rng.integers(self._size - len(samples) + 1))
        gain = amplitude / sqrt(self._speech.level(number))
        sources[speaker, begin : begin + len(samples)] = gain * samples
        return number

    def _render(
        self, sources: np.ndarray, voices: Sequence[Voice], turns: Sequence[Turn], start: float
    ) -> list[int]:
        sources[:] = 0
        rate, size = self._speech.rate, self._size
        spoken: list[Turn] = []
        for turn in turns:
            first = round((turn.start - start) * rate)  # of its samples, in the stretch
            begin, end = max(first, 0), min(first + round(turn.seconds * rate), size)
            if begin >= end:
                continue
            voice = voices[turn.speaker]
            samples = self._speech.part(turn.utterance, begin - first, end - begin, voice.speed)
            gain = voice.amplitude / sqrt(self._speech.level(turn.utterance))
            sources[turn.speaker, begin : begin + len(samples)] = gain * samples
            spoken.append(turn)
        # A breath or the hiss of a recording is nothing that could be separated by who it is.
        energies = np.einsum("ct,ct->c", sources, sources)
        least = [AUDIBLE * size * voice.amplitude**2 for voice in voices]
        silent = energies < least
        sources[silent] = 0
        return [turn.utterance for turn in spoken if not silent[turn.speaker]]
