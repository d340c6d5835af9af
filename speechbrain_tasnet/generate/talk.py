"""Mixtures of conversations: their turns, and who speaks when as a list of segments."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from speechbrain_tasnet.data.conversations import TurnTaking
from speechbrain_tasnet.data.segments import Segment, to_seglst
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.generate.scenes import Mixture, Spoken, Utterance


@dataclass(frozen=True)
class Talk:
    """How people talk in a corpus.

    Parameters
    ----------
    seconds : float
        Of a mixture.
    turns : TurnTaking
        How people take turns.

    Raises
    ------
    InputError
        Less than a second.
    """

    seconds: float = 60.0
    turns: TurnTaking = field(default_factory=TurnTaking)

    def __post_init__(self):
        if not 1 <= self.seconds < float("inf"):
            raise InputError(f"seconds {self.seconds}: expected 1 or more")

    def mixture(
        self,
        speakers: Sequence[Sequence[Utterance]],
        sources: int,
        gains: tuple[float, ...],
        seed: tuple[int, ...],
        rate: int,
        rng: np.random.Generator,
    ) -> Mixture:
        """Draw what is said in a mixture.

        Parameters
        ----------
        speakers : sequence of sequence of Utterance
            Those who take part, each with all their utterances. Nobody: silence.
        sources : int
            Of the mixture, at least as many.
        gains : tuple of float
            Of the speakers, in dB.
        seed : tuple of int
            Of the mixture; its last number is part of its name.
        rate : int
            Sampling rate in Hz.
        rng : numpy.random.Generator
            Draws.
        """

        def utterance(speaker: int) -> tuple[int, float]:
            number = int(rng.integers(len(speakers[speaker])))
            return number, speakers[speaker][number].length / rate

        turns = self.turns.draw(len(speakers), self.seconds, utterance, rng)
        samples = round(self.seconds * rate)
        said = [Spoken(t.speaker, speakers[t.speaker][t.utterance], round(t.start * rate)) for t in turns]
        return Mixture(
            name=f"{seed[-1]:05d}_{len(speakers)}",
            sources=sources,
            gains=gains,
            seed=seed,
            turns=tuple(turn for turn in said if turn.start < samples),
            samples=samples,
        )


def segments(mixture: Mixture, rate: int, signal: str) -> str:
    """Return who speaks when in one of the signals of a mixture, as SegLST, see `data.segments`.

    ``source`` besides is the signal that holds the segment, such as ``s1``. A segment is an utterance, from the
    first to the last sample of its file.

    Parameters
    ----------
    mixture : Mixture
        In which people talk.
    rate : int
        Sampling rate in Hz.
    signal : str
        Name of the signal, see `scenes.compose`: all speak in it, or in ``mix_single`` the first alone.
    """
    turns = [turn for turn in mixture.turns if turn.place == 0 or not signal.startswith("mix_single")]
    said = [
        Segment(
            turn.utterance.speaker,
            turn.start / rate,
            min(turn.start + turn.utterance.length, mixture.length) / rate,
        )
        for turn in turns
    ]
    return to_seglst(mixture.name, said, source=[f"s{turn.place + 1}" for turn in turns])
