"""The position in an epoch, in items: training resumes there with any batch size and number of processes."""

import json
import zlib
from pathlib import Path

from speechbrain.utils.checkpoints import mark_as_loader, mark_as_saver, register_checkpoint_hooks

from speechbrain_tasnet.errors import InputError


@register_checkpoint_hooks
class EpochPosition:
    """How many items of an epoch all processes together have trained on; it is saved in checkpoints.

    SpeechBrain's loaders save how many batches one process has taken. With another batch size or number of
    processes that is another place, so that items would be left out or come twice.

    Attributes
    ----------
    epoch : int
        The epoch that is going on, from 1; 0 before the first.
    items : int
        How many of its items are done.

    Examples
    --------
    >>> position = EpochPosition()
    >>> position.start(epoch=1, order="400 items")
    >>> position.items += 74
    >>> position.start(epoch=1, order="400 items")  # as after a resume: continues
    >>> position.items
    74
    >>> position.start(epoch=2, order="400 items")
    >>> position.items
    0
    """

    def __init__(self) -> None:
        self.epoch = 0
        self.items = 0
        self._order = ""

    def start(self, epoch: int, order: str) -> None:
        """Begin or continue an epoch.

        Parameters
        ----------
        epoch : int
            From 1.
        order : str
            Describes which items come in which order, see `describe_order`.

        Raises
        ------
        InputError
            The epoch was begun with other items or in another order, so what is left of it cannot be known.
        """
        if epoch != self.epoch:
            self.epoch, self.items = epoch, 0
        elif self.items and order != self._order:
            raise InputError(
                f"the training stopped in epoch {epoch} after {self.items} items of {self._order}, and now there "
                f"are {order}: what is left of the epoch cannot be known. Give the values it began with, or "
                "delete the last checkpoint of save_folder, whose CKPT.yaml says `end-of-epoch: false`, to begin "
                "the epoch again"
            )
        self._order = order

    @mark_as_saver
    def _save(self, path: Path | str) -> None:
        saved = {"epoch": self.epoch, "items": self.items, "order": self._order}
        Path(path).write_text(json.dumps(saved), encoding="utf-8")

    @mark_as_loader
    def _load(self, path: Path | str, end_of_epoch: bool) -> None:
        del end_of_epoch  # the next epoch has another number
        saved = json.loads(Path(path).read_text(encoding="utf-8"))
        self.epoch, self.items, self._order = saved["epoch"], saved["items"], saved["order"]


def describe_order(names: list[str] | None, size: int, seed: int | None) -> str:
    """Describe which items an epoch has in which order, so that another epoch can be told from it.

    Parameters
    ----------
    names : list of str or None
        Names of the items in a corpus; None where they are made as they come.
    size : int
        How many there are.
    seed : int or None
        Of a random order; None: as they are.

    Example
    -------
    >>> describe_order(["a", "b"], 2, seed=1234)
    '2 items (checksum ef0790fb, shuffled by seed 1234)'
    """
    if names is None:
        return "items made as they come"  # each depends on its number alone, however many follow
    checksum = zlib.crc32("\n".join(names).encode())
    order = "in their order" if seed is None else f"shuffled by seed {seed}"
    return f"{size} items (checksum {checksum:08x}, {order})"
