"""Long windows in which three people or more are heard: they are separated again, in shorter ones.

A network knows who is who for as long as it looks back. Two people keep their outputs for minutes all the same,
for each is what the other is not; of three, two come to share an output. Short windows, joined by what the voices
sound like, keep three apart, but confuse some pairs that a long one holds (benchmarks/quality/windows.py).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from speechbrain_tasnet.separation.voices import Listener
from speechbrain_tasnet.separation.windows import cut_windows, join_windows

CROWD = 3  # voices
SHORT = 30.0  # seconds of a shorter window
# Seconds up to which the network keeps three voices apart as well in one window as in shorter ones.
LONG = 60.0


def separate_crowds(
    separate: Callable[[Tensor], Tensor], rate: int, one_order: bool = False
) -> Callable[[Tensor], Tensor]:
    """Give windows in which three voices or more are heard to ``separate`` again, in shorter ones.

    Parameters
    ----------
    separate : callable
        From a mixture [channels, time] to sources [channels, time, C], of a separator that counts voices.
    rate : int
        In Hz.
    one_order : bool
        See `windows.join_windows`.

    Returns
    -------
    callable
        From and to the same.

    Example
    -------
    >>> def separate(mixture):
    ...     print(mixture.shape[1] / 8000, "s")
    ...     return mixture.unsqueeze(2).expand(-1, -1, 3) / 3
    >>> separate_crowds(separate, 8000)(torch.randn(1, 70 * 8000)).shape
    70.0 s
    30.0 s
    30.0 s
    30.0 s
    torch.Size([1, 560000, 3])
    """

    def in_shorter(mixture: Tensor) -> Tensor:
        sources = separate(mixture)
        if mixture.shape[1] <= LONG * rate or _voices(sources, rate) < CROWD:
            return sources
        windows = cut_windows([mixture], round(SHORT * rate))
        separated = ((window, separate(window.mixture)) for window in windows)
        return torch.cat([joined for _, joined in join_windows(separated, rate, one_order)], dim=1)

    return in_shorter


def _voices(sources: Tensor, rate: int) -> int:
    """Count the voices that are heard in sources [channels, time, C], in the channel that has most of them."""
    counts = []
    for channel in sources:
        listener = Listener(rate, counts=True, gate=False)
        listener.hear(channel.T[None].numpy())
        counts.append(len(listener.result().outputs))
    return max(counts)
