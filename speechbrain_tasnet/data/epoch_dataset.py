"""Training items as functions of the epoch and their index, from which everything random is drawn."""

import torch
from torch.utils.data import Dataset

from speechbrain_tasnet.errors import whole_number


class EpochDataset(Dataset):
    """A dataset whose items differ from epoch to epoch, by a rule.

    A subclass says in `at` what an item is. It depends on nothing else: not on which process makes it, nor on what
    was drawn before, by the network's initialisation for instance. Loading processes, an interrupted epoch that
    continues and processes that share an epoch so all see the same items. The epoch is in shared memory, so that
    loading processes which outlive an epoch learn of the next.
    """

    def __init__(self) -> None:
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the items from now on.

        Parameters
        ----------
        epoch : int
            0 or more. To be called before the epoch's iterator is made.

        Raises
        ------
        InputError
            It is below 0 or no whole number.
        """
        self._epoch.fill_(whole_number("epoch", epoch, minimum=0))

    def __getitem__(self, index: int) -> object:
        """Make an item of the current epoch."""
        return self.at(int(self._epoch), index)

    def at(self, epoch: int, index: int) -> object:
        """Make an item of any epoch.

        Parameters
        ----------
        epoch : int
            0 or more.
        index : int
            0 to the length less one.
        """
        raise NotImplementedError
