"""Separate signals of any length in constant memory: windows that overlap, joined in one order of speakers."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import scipy
import torch
from torch import Tensor

from speechbrain_tasnet.separation.agreement import correlation, likeness_across_microphones
from speechbrain_tasnet.separation.voice_memory import VoiceMemory, Voiceprints, voiceprints

# Part of a window that it shares with the next one, unless little is to be heard there: then up to half of it.
OVERLAP = 1 / 6
# An overlap is heard when it holds this part of the energy that as long a piece of the window holds on average.
HEARD = 0.1
# Below any correlation of signals: where nothing is to be heard the order stays as it is.
KEEP = 1e-6
# How much a dB² that two voices differ by counts against the correlation of signals, which is at most 1.
VOICE = 0.2


class Window(NamedTuple):
    """A part of a signal that is separated at once."""

    mixture: Tensor  # [channels, time]
    hop: int  # samples by which it begins behind the window before
    last: bool


def cut_windows(blocks: Iterable[Tensor], size: int | None) -> Iterator[Window]:
    """Cut a signal that comes in blocks into windows; one of at most a window stays whole.

    Every window has the full size: the last one reaches back farther. What the sources are plays no part, so that
    windows are known before those in front of them are separated.

    Parameters
    ----------
    blocks : iterable of Tensor
        The mixture, [channels, any number of samples] each.
    size : int, optional
        Samples of a window; None: all there are.

    Yields
    ------
    Window
        The next one.

    Example
    -------
    >>> [(window.hop, window.last) for window in cut_windows(torch.ones(1, 1000).split(70, dim=1), size=600)]
    [(0, False), (400, True)]
    """
    take = _Taker(blocks)
    mixture, hop = take(size), 0
    while size is not None and (more := take(_hop(mixture))).shape[1]:
        yield Window(mixture, hop, last=False)
        hop = more.shape[1]
        mixture = torch.cat([mixture[:, hop:], more], dim=1)
    yield Window(mixture, hop, last=True)


def join_windows(
    separated: Iterable[tuple[Window, Tensor]], rate: int, one_order: bool = False
) -> Iterator[tuple[Tensor, Tensor]]:
    """Join the sources of windows.

    Each window's sources are put in the order in which they agree best with those of the window before, where
    both overlap, and with the voices of all windows so far (`voice_memory`), and are faded in over the middle of
    the overlap: at its ends one of the two windows does not know what comes next or came before.

    Parameters
    ----------
    separated : iterable of tuple
        The windows of a signal and what `channels.Channels.separate` makes of each.
    rate : int
        In Hz.
    one_order : bool
        Whether the sources of all channels of a window come in the same order, from a separator that gives them
        together; those that were separated by themselves are put in the order of the first channel's.

    Yields
    ------
    tuple of Tensor
        A piece of the mixture, [channels, time], and its sources, [channels, time, C], of as many channels as
        come in. Source c is the same speaker in all pieces and channels, as far as overlaps and voices show.

    Example
    -------
    >>> windows = cut_windows(torch.ones(1, 1000).split(70, dim=1), size=300)
    >>> halves = ((window, torch.stack(2 * [window.mixture / 2], dim=2)) for window in windows)
    >>> torch.cat([sources for _, sources in join_windows(halves, 8000)], dim=1).shape
    torch.Size([1, 1000, 2])
    """
    separated = iter(separated)
    window, sources = next(separated)
    memory = VoiceMemory()
    mixture, sources = window.mixture, _in_order(sources, None, memory, rate, one_order)
    done = 0  # samples of this window that have gone out
    for window, present in separated:
        hop, size = window.hop, window.mixture.shape[1]
        present = _in_order(present, sources[:, hop:], memory, rate, one_order)
        fade = int(size * OVERLAP) // 2
        begin = (size - hop - fade) // 2  # of the fade, in the new window
        yield mixture[:, done : hop + begin], sources[:, done : hop + begin]
        rise = (torch.arange(fade) + 0.5).div(fade).unsqueeze(1)
        meeting = slice(begin, begin + fade)
        present[:, meeting] = torch.lerp(sources[:, hop:][:, meeting], present[:, meeting], rise)
        mixture, sources, done = window.mixture, present, begin
    yield mixture[:, done:], sources[:, done:]


class _Taker:
    """Take as many samples as are wanted from blocks of any length; fewer only at the end."""

    def __init__(self, blocks: Iterable[Tensor]):
        self.blocks = iter(blocks)
        self.rest: Tensor | None = None

    def __call__(self, size: int | None) -> Tensor:
        held = [] if self.rest is None else [self.rest]
        count = sum(block.shape[1] for block in held)
        while size is None or count < size:
            block = next(self.blocks, None)
            if block is None:
                break
            held.append(block)
            count += block.shape[1]
        taken = torch.cat(held, dim=1)
        if size is None:
            size = count
        self.rest = taken[:, size:]
        return taken[:, :size]


def _hop(mixture: Tensor) -> int:
    """Return how far behind this window [channels, time] the next one begins: an order needs speech to go by."""
    size = mixture.shape[1]
    shortest, longest = int(size * OVERLAP), size // 2
    energy = mixture.square().sum(0).double().flip(0).cumsum(0)  # of the window's last samples
    heard = energy[shortest - 1 : longest] >= HEARD * OVERLAP * energy[-1]
    # With a pause as long as half a window nothing is to be gained.
    grown = int(heard.byte().argmax()) if heard.any() else 0
    return size - (shortest + grown)


def _in_order(separated: Tensor, before: Tensor | None, memory: VoiceMemory, rate: int, one_order: bool) -> Tensor:
    """Put the sources of a window, [channels, time, C], in the order of ``before``, which overlaps its beginning.

    The voices of the first channel are remembered; they are the same in the others.
    """
    ordered: list[Tensor] = []
    channels = range(len(separated))
    for together in [channels] if one_order else [[channel] for channel in channels]:
        voices = voiceprints(separated[together[0]], rate)
        agreement = KEEP * torch.eye(separated.shape[2]) + VOICE * memory.likeness(voices)
        if before is not None:
            overlap = before.shape[1]
            agreement += sum(correlation(before[c], separated[c, :overlap]) for c in together) / len(together)
        if ordered:
            agreement += likeness_across_microphones(ordered[0], separated[together[0]], rate)
        order = scipy.optimize.linear_sum_assignment(agreement.numpy(), maximize=True)[1]
        if not ordered:
            memory.remember(Voiceprints(voices.levels[order], voices.frames[order]))
        ordered.extend(separated[c, :, order] for c in together)
    return torch.stack(ordered)
