"""One endless sequence of training items, the same for every network that is trained on it."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import count

import numpy as np
from torch.utils.data import DataLoader, Dataset

from speechbrain_tasnet.data.epoch_dataset import EpochDataset


class Stream(Dataset):
    """Training items by their position in the sequence, which goes through the dataset again and again.

    Each time the order is another one. What comes at a position depends on the seed alone: neither on the network,
    nor on where validations interrupt the training, nor on the number of loading processes.

    Parameters
    ----------
    items : EpochDataset
        The training set.
    seed : int
        Of the order.
    """

    def __init__(self, items: EpochDataset, seed: int):
        self.items, self.seed = items, seed

    def __getitem__(self, position: int) -> object:
        """Make the item at a position, 0 or more."""
        epoch, place = divmod(position, len(self.items))
        return self.items.at(epoch, int(_order(self.seed, epoch, len(self.items))[place]))


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, size: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(size)


class StreamLoader(DataLoader):
    """Batches of a stream, from where it was left to where it is to be left again.

    Parameters
    ----------
    stream : Stream
        What is loaded.
    position : callable
        Returns where the stream was left, whenever an iteration begins.
    should_continue : callable
        Returns before each batch whether there is to be another one.
    rank, processes : int
        Which of how many processes this is, which go through the stream together, item by item in turn.
    **options
        Of a `DataLoader`, such as ``batch_size``, ``num_workers`` and ``collate_fn``.
    """

    def __init__(
        self,
        stream: Stream,
        position: Callable[[], int],
        should_continue: Callable[[], bool],
        rank: int = 0,
        processes: int = 1,
        **options,
    ):
        super().__init__(stream, sampler=_Positions(position, rank, processes), **options)
        self._should_continue = should_continue

    def __iter__(self) -> Iterator:
        """Load batches as long as there is to be another one."""
        if not self._should_continue():
            return
        for batch in super().__iter__():
            yield batch
            # What the loading processes hold ready by then is loaded again when the stream continues.
            if not self._should_continue():
                return


class _Positions:
    """The positions of a stream from where it was left, without end, that fall to one of several processes."""

    def __init__(self, start: Callable[[], int], rank: int, processes: int):
        self._start, self._rank, self._processes = start, rank, processes

    def __iter__(self) -> Iterator[int]:
        return count(self._start() + self._rank, self._processes)
