"""Give each person an output where two share one although another is free.

A separator knows who is who for as long as it looks back. Of three people who take turns, two may come to share an
output, and only two are counted. What their voices sound like shows it.
"""

import numpy as np
import scipy
import torch
from torch import Tensor

from speechbrain_tasnet.speakers.embedding import LOWEST_RATE, embed
from speechbrain_tasnet.speakers.grouping import group_turns
from speechbrain_tasnet.speakers.orders import find_orders, in_orders
from speechbrain_tasnet.speakers.same_speaker import log_likelihood_ratios
from speechbrain_tasnet.speakers.turns import Turn, find_turns, samples_of

# One person who is taken for two is worse than two who share an output.
BIAS = 1.0


def part_speakers(sources: Tensor, rate: int, one_order: bool = False) -> Tensor:
    """Move turns of people who share an output to free ones.

    Parameters
    ----------
    sources : Tensor
        [channels, time, C], of a separator whose outputs are quiet where nobody speaks.
    rate : int
        In Hz.
    one_order : bool
        Whether the sources of all channels come in the same order, which is then decided by the first channel.

    Returns
    -------
    Tensor
        [channels, time, C]: as they were, or with outputs that change places from time to time, in 10 ms each.
        They do so only if somebody is found for whom no output has been used; and never below 8 kHz, where the
        embedding does not hear enough.

    Examples
    --------
    >>> part_speakers(torch.zeros(1, 8000, 3), 8000).shape
    torch.Size([1, 8000, 3])
    """
    if rate < LOWEST_RATE:
        return sources
    if one_order or len(sources) == 1:
        return _parted(sources, rate)
    return torch.cat([_parted(channel, rate) for channel in sources.split(1)])


def _parted(sources: Tensor, rate: int) -> Tensor:
    turns, hop = find_turns(sources[0], rate)
    outputs = sources.shape[2]
    used = len({turn.output for turn in turns})
    if used == outputs or len(turns) <= used:
        return sources
    ratios = log_likelihood_ratios(turns, embed(samples_of(turns, sources[0], hop), rate))
    people = group_turns(ratios, outputs, BIAS)
    if people.max() + 1 <= used:
        return sources
    return in_orders(sources, find_orders(turns, _wanted(turns, people, outputs), outputs), hop)


def _wanted(turns: list[Turn], people: np.ndarray, outputs: int) -> list[int]:
    """Return which output each turn should be in: each person's where they are for the longest time."""
    there = np.zeros((people.max() + 1, outputs))
    for turn, person in zip(turns, people, strict=True):
        there[person, turn.output] += turn.end - turn.start
    # If there are more people than outputs, the last ones stay where they are.
    own = dict(zip(*scipy.optimize.linear_sum_assignment(there, maximize=True), strict=True))
    return [own.get(person, turn.output) for turn, person in zip(turns, people, strict=True)]
