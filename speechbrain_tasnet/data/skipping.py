"""Items that cannot be used: replaced by others in training, left out in evaluation."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import NamedTuple

from speechbrain.dataio.batch import PaddedBatch
from torch import Tensor

from speechbrain_tasnet.data.epoch_dataset import EpochDataset
from speechbrain_tasnet.errors import InputError

# This many bad items in a row are not an accident: a disk is gone, or a whole folder.
TRIES = 10


class BadItemError(InputError):
    """An item of a corpus, or a file that items are made of, cannot be used.

    Parameters
    ----------
    name : str
        Id of the item, or the file.
    reason : str
        What is wrong with it.
    """

    def __init__(self, name: str, reason: str = ""):
        super().__init__(f"{name}: {reason}" if reason else name)
        self.name, self.reason = name, reason


class BadItem(NamedTuple):
    """A bad item and its fault: the parts of a `BadItemError`, as they travel between processes."""

    name: str
    reason: str


class Fetched(NamedTuple):
    """The result of fetching an item: itself, a replacement or nothing; and the bad items met on the way."""

    item: dict[str, str | Tensor] | None
    bad: tuple[BadItem, ...] = ()


@contextmanager
def blaming(name: str) -> Iterator[None]:
    """Turn an `InputError` into a `BadItemError`.

    Parameters
    ----------
    name : str
        Id of the item that is read, or the file.
    """
    try:
        yield
    except InputError as error:
        raise BadItemError(name, str(error).removeprefix(f"{name}: ")) from None


class SkipBadItems(EpochDataset):
    """A dataset that continues where an item is bad, and reports it.

    Which item comes instead depends on the index alone, so that a run repeats with any number of workers.

    Parameters
    ----------
    dataset : EpochDataset
        Raises `BadItemError` at bad items.
    replace : bool
        Put another item in the place of a bad one, as batches of training need; otherwise nothing.
    """

    def __init__(self, dataset: EpochDataset, replace: bool):
        super().__init__()
        self.dataset, self.replace = dataset, replace

    def __len__(self) -> int:
        return len(self.dataset)

    def at(self, epoch: int, index: int) -> Fetched:
        """Fetch an item.

        Raises
        ------
        InputError
            It is bad, and so are all that were to replace it.
        """
        size = len(self)
        if not 0 <= index < size:
            raise IndexError(f"item {index} of {size}")
        bad: list[BadItem] = []
        # Spread over the corpus: what has happened to this item may have happened to its neighbours.
        for offset in dict.fromkeys(attempt * size // TRIES for attempt in range(TRIES)):
            try:
                item = self.dataset.at(epoch, (index + offset) % size)
            except BadItemError as error:
                bad.append(BadItem(error.name, error.reason))
                if not self.replace:
                    return Fetched(None, tuple(bad))
            else:
                return Fetched(item, tuple(bad))
        raise InputError(f"{len(bad)} bad items in a row; check the corpus: {': '.join(bad[-1])}")


def collate(fetched: list[Fetched]) -> PaddedBatch | SimpleNamespace:
    """Make a batch of what was fetched.

    Parameters
    ----------
    fetched : list of Fetched
        What `SkipBadItems` gives.

    Returns
    -------
    PaddedBatch
        Of the good items; ``bad`` names the others. Where no item is left, it has nothing but ``bad`` and an
        empty ``id``.

    Examples
    --------
    >>> import torch
    >>> good = Fetched({"id": "a", "mixture": torch.ones(3)})
    >>> batch = collate([good, Fetched(None, (BadItem("b", "silent"),))])
    >>> batch.id, batch.bad
    (['a'], [BadItem(name='b', reason='silent')])
    """
    items = [item for item, _ in fetched if item is not None]
    batch = PaddedBatch(items) if items else SimpleNamespace(id=[])
    batch.bad = [bad for _, met in fetched for bad in met]
    return batch
