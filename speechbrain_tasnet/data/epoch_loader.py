"""Batches of an epoch whose order depends only on seed and epoch, divided among processes."""

from collections.abc import Callable, Iterator

import torch
from torch.utils.data import DataLoader

from speechbrain_tasnet.data.epoch_dataset import EpochDataset
from speechbrain_tasnet.data.epoch_position import EpochPosition


class EpochLoader(DataLoader):
    """Load what is left of an epoch, each item once, whatever the batch size and the number of processes.

    The processes go through one order together. A step takes the next ``batch_size`` items for each of them; the
    last step takes what is left, in parts that differ by one item at most. SpeechBrain's samplers give some items
    twice there, so that no process is without any; here a process may get a batch without items.

    Parameters
    ----------
    items : EpochDataset
        The training set.
    position : EpochPosition
        Where the epoch is. The loader reads it when an iteration begins; who trains advances it.
    epoch : callable
        Returns the number of the epoch.
    batch_size : int
        Items in a batch of one process.
    seed : int or None
        Of the order, another one in each epoch; None: as they are in the dataset.
    order : str
        What `position` knows the order by, see `epoch_position.describe_order`.
    rank, processes : int
        Which of how many processes this is.
    drop_last : bool
        Leave out a last step that would have fewer items than the others.
    **options
        Of a `DataLoader`, such as ``num_workers`` and ``collate_fn``.

    Attributes
    ----------
    position, order
        As given.
    step_items : int
        Items in a step of all processes.
    """

    def __init__(
        self,
        items: EpochDataset,
        position: EpochPosition,
        epoch: Callable[[], int],
        batch_size: int,
        seed: int | None,
        order: str,
        rank: int = 0,
        processes: int = 1,
        drop_last: bool = False,
        **options,
    ):
        self.position, self.order, self.step_items = position, order, batch_size * processes
        self._epoch, self._seed, self._rank, self._processes = epoch, seed, rank, processes
        self._whole_steps_only, self._size = drop_last, len(items)
        super().__init__(items, batch_sampler=_Share(self), **options)

    def begin(self) -> None:
        """Begin or continue the epoch; an iteration does so, too."""
        self.position.start(self._epoch(), self.order)
        self.dataset.set_epoch(self._epoch())  # before the loading processes copy the dataset

    def __iter__(self) -> Iterator:
        """Load the batches that are left of the epoch."""
        self.begin()
        return super().__iter__()

    @property
    def end(self) -> int:
        """The position at which the epoch ends."""
        left = self._size - self.position.items
        return self._size - (left % self.step_items if self._whole_steps_only else 0)

    @property
    def next_position(self) -> int:
        """The position after the next step."""
        return min(self.position.items + self.step_items, self.end)

    def share(self) -> Iterator[list[int]]:
        """List the indices of this process in each step that is left."""
        order, end = epoch_order(self._size, self._seed, self._epoch()), self.end
        for start in range(self.position.items, end, self.step_items):
            yield order[start : min(start + self.step_items, end)][self._rank :: self._processes]

    def weight(self, own: int, group_start: int, accumulated: int) -> float:
        """Return what a process's mean loss counts for, so that each item of a step counts the same.

        Processes average their gradients and SpeechBrain divides by the batches that it accumulates, as if all
        batches had as many items.

        Parameters
        ----------
        own : int
            Items in the batch.
        group_start : int
            Position of the first item whose gradient is added up for this step of the optimizer.
        accumulated : int
            Batches that are added up in a full step.

        Returns
        -------
        float
            1 wherever all batches are full.
        """
        whole = min(self.step_items * accumulated, self.end - group_start)
        return own * self._processes * accumulated / whole


class _Share:
    """What a `DataLoader` asks for batches of indices."""

    def __init__(self, loader: EpochLoader):
        self._loader = loader

    def __len__(self) -> int:
        return -(-(self._loader.end - self._loader.position.items) // self._loader.step_items)

    def __iter__(self) -> Iterator[list[int]]:
        return self._loader.share()


def epoch_order(size: int, seed: int | None, epoch: int) -> list[int]:
    """Return the order in which an epoch goes through a dataset: SpeechBrain's, for one process.

    Parameters
    ----------
    size : int
        Items in the dataset.
    seed : int or None
        None: as they are.
    epoch : int
        From 1.

    Examples
    --------
    >>> epoch_order(5, None, 1)
    [0, 1, 2, 3, 4]
    >>> sorted(epoch_order(5, 1234, 1)) == sorted(epoch_order(5, 1234, 2)) == [0, 1, 2, 3, 4]
    True
    """
    if seed is None:
        return list(range(size))
    return torch.randperm(size, generator=torch.Generator().manual_seed(seed + epoch)).tolist()
