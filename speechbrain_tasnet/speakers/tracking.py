"""Keep each speaker of a recording in one output, by what their voices sound like.

A separator loses track of who is who now and then, and a window may come in another order than the one before. A
turn that sounds much more like the speaker of another output than like that of its own is moved there.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from speechbrain_tasnet.speakers.embedding import LOWEST_RATE, SIZE, embed
from speechbrain_tasnet.speakers.orders import find_orders, in_orders
from speechbrain_tasnet.speakers.turns import Turn, find_turns, samples_of

# By how much more a turn must sound like another speaker than like that of its output, as a difference of cosines.
# A wrong move costs as much as a wrong output; what is gained by smaller margins is little.
MARGIN = 0.15
# In seconds: shorter turns stay, those below the second need a larger margin, and longer ones do not count more.
SHORTEST, SHORT, LONGEST = 0.5, 1.0, 5.0
TINY = 1e-3  # of a sum of embeddings: rounding
ROUNDS = 5  # of moving turns and listening again to what speakers sound like; mostly two are enough


def track_speakers(pieces: Iterable[tuple[Tensor, Tensor]], rate: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Track speakers from one piece of a recording to the next.

    Parameters
    ----------
    pieces : iterable of tuple of Tensor
        Of the mixture, [channels, time], and its sources, [channels, time, C], in the same order in all channels,
        from a separator whose outputs are quiet where nobody speaks. A piece should have several turns.
    rate : int
        In Hz; below 8 kHz nothing changes.

    Yields
    ------
    tuple of Tensor
        As they came, with sources that change places where a turn belongs to another one.
    """
    tracker = None
    for mixture, sources in pieces:
        if rate >= LOWEST_RATE:
            tracker = tracker or _Tracker(rate, sources.shape[2])
            sources = tracker.track(sources)
        yield mixture, sources


class _Tracker:
    """What the speaker of each output sounds like."""

    def __init__(self, rate: int, outputs: int):
        self._rate, self._outputs = rate, outputs
        self._voices = torch.zeros(outputs, SIZE)  # sums of embeddings, each as often as its turn has seconds
        self._order = np.arange(outputs)  # at the end of the piece before

    def track(self, sources: Tensor) -> Tensor:
        """Move turns of the next piece [channels, time, C] to the outputs of their speakers."""
        turns, hop = find_turns(sources[0], self._rate)
        wanted = self._listen(turns, embed(samples_of(turns, sources[0], hop), self._rate))
        orders = find_orders(turns, wanted, self._outputs, self._order)
        # A turn that ends with the piece may go on in the next one.
        orders = [(frame, order) for frame, order in orders if frame * hop < sources.shape[1]]
        before, self._order = self._order, orders[-1][1]
        if all((order == np.arange(self._outputs)).all() for order in [before, *(order for _, order in orders)]):
            return sources
        return in_orders(sources, orders, hop, before)

    def _listen(self, turns: list[Turn], embeddings: Tensor) -> list[int]:
        """Find out in which output each turn belongs, and remember how its speaker sounds."""
        outputs = torch.tensor([turn.output for turn in turns], dtype=torch.long)
        seconds = torch.tensor([turn.seconds for turn in turns], dtype=torch.float)
        said = seconds.clamp(max=LONGEST).unsqueeze(1) * embeddings
        margins = MARGIN * (SHORT / seconds).clamp(min=1)
        margins[seconds < SHORTEST] = torch.inf
        everyone = torch.arange(len(turns))
        # At first by what is remembered, then also by all other turns of the piece.
        voices = self._voices.expand(len(turns), -1, -1)
        before = None
        for _ in range(ROUNDS):
            wanted = _where_they_belong(embeddings, voices, outputs, margins)
            if before is not None and torch.equal(before, wanted):
                break
            before = wanted
            voices = self._voices.index_add(0, wanted, said).repeat(len(turns), 1, 1)
            voices[everyone, wanted] -= said
        self._voices = self._voices.index_add(0, wanted, said)
        return wanted.tolist()


def _where_they_belong(embeddings: Tensor, voices: Tensor, outputs: Tensor, margins: Tensor) -> Tensor:
    """Return the output [turns] whose voice, [turns, C, SIZE], each turn is like; its own, unless by a margin."""
    likeness = (embeddings.unsqueeze(1) * normalize(voices, dim=2)).sum(2)
    own = outputs.unsqueeze(1)
    unknown = voices.norm(dim=2) < TINY
    # Nobody is moved to an output in which nobody else is known to be heard, nor out of one.
    likeness = likeness.masked_fill(unknown, -1)
    gain = likeness - likeness.gather(1, own).masked_fill(unknown.gather(1, own), torch.inf)
    best = gain.argmax(dim=1)
    return torch.where(gain.gather(1, best.unsqueeze(1)).squeeze(1) > margins, best, outputs)
