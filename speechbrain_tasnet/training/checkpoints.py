"""Checkpoints that are complete or absent, whenever the process is killed.

SpeechBrain's `Checkpointer` writes the file that marks a folder as a checkpoint before the parameters:
killed in between, it leaves a folder that the next run would load.
"""

import logging
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from speechbrain.utils.checkpoints import Checkpoint, Checkpointer
from speechbrain.utils.distributed import ddp_barrier
from torch import Tensor, nn

from speechbrain_tasnet.errors import DiskError, InputError
from speechbrain_tasnet.training.checkpoint_files import damage, record_sizes

logger = logging.getLogger(__name__)

# SpeechBrain takes no folder for a checkpoint whose name begins like this.
UNFINISHED = ".unfinished-"


class WholeCheckpointer(Checkpointer):
    """SpeechBrain's Checkpointer, but a checkpoint gets its name only when it is complete.

    One that has lost a file since, or a part of it, is passed over.

    Raises
    ------
    DiskError
        By `save_checkpoint`, if there is no room or no permission to write; older checkpoints are as they were.
    InputError
        By all that looks for a checkpoint, if there are some and none of them is whole.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._passed_over: set[Path] = set()

    def list_checkpoints(self) -> list[Checkpoint]:
        """List the checkpoints of which nothing is missing; the log names the others, once."""
        required = {name for name in self.recoverables if not self.optional_recoverables.get(name, False)}
        folders = sorted(folder for folder in self.checkpoints_dir.glob("CKPT+*") if folder.is_dir())
        problems = {folder: problem for folder in folders if (problem := damage(folder, required))}
        if folders and len(problems) == len(folders):
            raise InputError(
                f"{folders[-1]}: {problems[folders[-1]]}, and no other checkpoint is whole; restore the file, or "
                f"delete {self.checkpoints_dir / 'CKPT+*'} to begin the training again"
            )
        for folder, problem in problems.items():
            # One without the mark is what a kill has left of a deletion.
            if self._is_checkpoint_dir(folder) and folder not in self._passed_over:
                logger.warning("%s: %s; it is not used: restore the file or delete the folder", folder, problem)
                self._passed_over.add(folder)
        return self._construct_checkpoint_objects([folder for folder in folders if folder not in problems])

    def save_checkpoint(
        self, meta=None, end_of_epoch=True, name=None, verbosity=logging.INFO
    ) -> Checkpoint | None:
        """Save as SpeechBrain does, in a folder that is renamed when all files are on the disk."""
        try:
            saved = super().save_checkpoint(meta or {}, end_of_epoch, name, logging.DEBUG)
            if saved is not None:  # as it is in the main process
                saved = _rename(saved)
                logger.log(verbosity, "Saved a checkpoint in %s", saved.path)
        except (OSError, RuntimeError) as error:
            # torch.save says it by the line of its source that failed.
            if isinstance(error, RuntimeError) and not re.search("inline_container|iostream", str(error)):
                raise
            self._remove_remains()
            raise self._disk_error(error) from error
        # All processes list the checkpoints next, to choose which to delete.
        ddp_barrier()
        return saved

    def _disk_error(self, error: Exception) -> DiskError:
        reason = " ".join(str(error).split())[:200]
        return DiskError(
            f"{self.checkpoints_dir}: a checkpoint cannot be written ({reason}); those before it are sound. Make "
            "room and start the same command again: it resumes from the last one"
        )

    def _new_checkpoint_dirpath(self) -> Path:
        self._remove_remains()
        return self._unfinished(super()._new_checkpoint_dirpath())

    def _custom_checkpoint_dirpath(self, name: str) -> Path:
        self._remove_remains()
        return self._unfinished(super()._custom_checkpoint_dirpath(name))

    @staticmethod
    def _unfinished(path: Path) -> Path:
        return path.with_name(UNFINISHED + path.name)

    def _remove_remains(self) -> None:
        """Remove what a kill has left half written or half deleted."""
        for folder in self.checkpoints_dir.glob("*CKPT+*"):
            if not self._is_checkpoint_dir(folder):
                shutil.rmtree(folder)


def _rename(saved: Checkpoint) -> Checkpoint:
    """Give a checkpoint its name."""
    record_sizes(saved.path)
    for file in saved.path.iterdir():
        with file.open("r+b") as opened:  # Windows writes out no file that is open for reading alone
            os.fsync(opened.fileno())
    path = saved.path.rename(saved.path.with_name(saved.path.name.removeprefix(UNFINISHED)))
    return Checkpoint(path, saved.meta, {name: path / file.name for name, file in saved.paramfiles.items()})


def check_network(checkpointer: Checkpointer, modules: Mapping[str, nn.Module]) -> None:
    """Compare the last checkpoint, if there is one, with the network that is to resume from it.

    Parameters
    ----------
    checkpointer : Checkpointer
        Any of SpeechBrain's.
    modules : mapping of Module
        By the names that it has for them.

    Raises
    ------
    InputError
        The checkpoint is of another network.
    """
    checkpoint = checkpointer.find_checkpoint()
    files = {} if checkpoint is None else checkpoint.paramfiles
    for name in modules.keys() & files.keys():
        saved = torch.load(files[name], map_location="meta", weights_only=True)
        if _shapes(saved) != _shapes(modules[name].state_dict()):
            raise InputError(
                f"{checkpointer.checkpoints_dir}: holds checkpoints of another network, with another {name}; give "
                "--output_folder, or the values and the --model that this training began with"
            )


def _shapes(state: Mapping[str, Tensor]) -> dict[str, list[int]]:
    return {key: list(tensor.shape) for key, tensor in state.items()}
