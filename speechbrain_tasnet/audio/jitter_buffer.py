"""A buffer between a thread that computes samples and a sound card that plays them at its own pace."""

from collections import deque
from threading import Lock

import numpy as np


class JitterBuffer:
    """A bounded queue of samples with a cushion that bridges short delays; what it cannot bridge is counted.

    Nothing is played until the cushion is full. Where samples are late, silence is played until it is full again.
    Where too many have come, the oldest are skipped until the cushion is left, so that the latency does not grow:
    after a delay, or where two sound cards differ in their clocks.

    Parameters
    ----------
    cushion : int
        Samples that wait between the two sides.
    limit : int
        Samples above which the oldest are skipped.

    Attributes
    ----------
    played : int
        Samples that have been taken or skipped.
    late, skipped : int
        Samples played as silence, as theirs were not there, and samples that were skipped.
    gaps : int
        How often either happened.

    Example
    -------
    >>> buffer, out = JitterBuffer(cushion=2, limit=4), np.empty((2, 1), np.float32)
    >>> for samples in [1, 2, 3], [4, 5]:
    ...     buffer.put(np.array([samples], np.float32).T)
    >>> buffer.take(out)
    >>> out.ravel().tolist(), buffer.skipped
    ([4.0, 5.0], 3)
    >>> buffer.take(out)
    >>> out.ravel().tolist(), buffer.late, buffer.gaps
    ([0.0, 0.0], 2, 2)
    """

    def __init__(self, cushion: int, limit: int):
        self.played = self.late = self.skipped = self.gaps = 0
        self._cushion, self._limit = cushion, limit
        self._blocks: deque[np.ndarray] = deque()
        self._size = 0
        self._begun = self._bridging = False  # whether anything has been played, and is
        self._lock = Lock()

    def put(self, block: np.ndarray) -> None:
        """Add samples [time, channels]."""
        with self._lock:
            if len(block):
                self._blocks.append(block)
                self._size += len(block)
            if self._size > self._limit:
                surplus = self._size - self._cushion
                self._drop(surplus)
                self.skipped += surplus
                self.gaps += 1

    def take(self, out: np.ndarray) -> None:
        """Fill an array [time, channels] with the next samples, or with silence."""
        with self._lock:
            if not self._bridging and self._size >= max(self._cushion, len(out)):
                self._bridging = self._begun = True
            done = self._fill(out) if self._bridging else 0
            out[done:] = 0
            if done < len(out) and self._begun:
                self.gaps += self._bridging
                self.late += len(out) - done
                self._bridging = False

    def _fill(self, out: np.ndarray) -> int:
        done = 0
        while self._blocks and done < len(out):
            part = self._blocks[0][: len(out) - done]
            out[done : done + len(part)] = part
            done += len(part)
            self._drop(len(part))
        return done

    def _drop(self, count: int) -> None:
        self.played += count
        self._size -= count
        while count:
            first = self._blocks.popleft()
            if len(first) > count:
                self._blocks.appendleft(first[count:])
            count -= min(count, len(first))
