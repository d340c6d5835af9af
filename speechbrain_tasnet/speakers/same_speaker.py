"""How likely two turns of a conversation are one person's."""

import numpy as np
from torch import Tensor

from speechbrain_tasnet.audio.activity import HOP_SECONDS
from speechbrain_tasnet.speakers.turns import Turn

# Of the terms of `evidence`, fitted by logistic regression to turns of validation conversations
# (benchmarks/training/same_speaker.py).
WEIGHTS = np.array([-4.25, 9.43, -2.01, 1.26, 2.45])

# Turns overlap at their ends, where an output is not quiet yet; people who talk at once do so for longer.
LONGEST_OVERLAP = 0.15  # seconds


def evidence(turns: list[Turn], embeddings: Tensor) -> np.ndarray:
    """Collect what speaks for and against each pair of turns being one person's.

    Returns
    -------
    numpy.ndarray
        [turns, turns, 5]: a constant; the likeness of the voices; the logarithm of the shorter turn's seconds, for
        of short turns little is known; the product of both; and whether the separator took them for one voice.
    """
    voices = embeddings.double().numpy()
    seconds = np.array([turn.seconds for turn in turns])
    outputs = np.array([turn.output for turn in turns])
    likeness = voices @ voices.T
    known = np.log(np.clip(np.minimum.outer(seconds, seconds), 0.3, 6))
    same_output = np.equal.outer(outputs, outputs)
    return np.stack([np.ones_like(likeness), likeness, known, known * likeness, same_output], axis=-1)


def at_once(turns: list[Turn]) -> np.ndarray:
    """Return in which pairs of turns, [turns, turns], two people must be speaking at once.

    Examples
    --------
    >>> at_once([Turn(0, 0, 100), Turn(1, 50, 150), Turn(1, 200, 300)])[0]
    array([False,  True, False])
    """
    outputs, starts, ends = np.array(turns).T
    together = np.minimum.outer(ends, ends) - np.maximum.outer(starts, starts)
    return (together * HOP_SECONDS > LONGEST_OVERLAP) & np.not_equal.outer(outputs, outputs)


def log_likelihood_ratios(turns: list[Turn], embeddings: Tensor) -> np.ndarray:
    """Return how much more likely each two turns are one person's than two people's.

    Parameters
    ----------
    turns : list of Turn
        Of one conversation.
    embeddings : Tensor
        [turns, size], see `embedding.embed`.

    Returns
    -------
    numpy.ndarray
        [turns, turns], the logarithm of the ratio; minus infinity where both speak at once.

    Examples
    --------
    >>> import torch
    >>> turns = [Turn(0, 0, 300), Turn(0, 400, 600), Turn(1, 550, 800)]
    >>> log_likelihood_ratios(turns, torch.eye(3)[[0, 0, 1]])[0] > 0
    array([ True,  True, False])
    """
    return np.where(at_once(turns), -np.inf, evidence(turns, embeddings) @ WEIGHTS)
