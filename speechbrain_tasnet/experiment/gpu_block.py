"""Which path a training on a GPU takes through a block: measured once, before its first step, and kept.

Torch needs up to a minute to compile the readable path, which only a long training makes up for, and timing does
not always decide the same. So only a training measures, with its own batch, in its own precision; its first
process decides for all; and the decision is kept in the folder of the run, so that a training that is stopped and
resumed keeps its path. Anything else begins with the Triton kernels.
"""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

import speechbrain as sb
import torch
from speechbrain.utils.distributed import run_on_main

from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.ops.dispatch import find_loops
from speechbrain_tasnet.system.files import write_text
from speechbrain_tasnet.training.dry_run import Forecast, time_step

logger = logging.getLogger(__name__)

FILE = "gpu_block.txt"  # in the run's save folder

LONG = 1800.0  # seconds of training that are worth a minute of compiling
WORTH_IT = 0.9  # share of the kernels' time at which the compiled path is taken


def settle(folder: Path, brain: sb.Brain, forecast: Forecast) -> None:
    """Decide which path training takes, or take the one that was decided at its first start.

    On a processor, and where the environment names a path, there is nothing to decide.

    Parameters
    ----------
    folder : Path
        Where the training keeps its checkpoints.
    brain : Brain
        With its modules, before training.
    forecast : Forecast
        Of the dry run, by the Triton kernels.

    Raises
    ------
    InputError
        The file of the decision holds something else.
    """
    if brain.device_type != "cuda" or find_loops(torch.ones(1, device=brain.device)) is None:
        return
    from speechbrain_tasnet.ops.gpu import choice

    if choice.named() is not None:
        return
    path = folder / FILE
    run_on_main(_decide, args=[path, forecast, partial(time_step, brain, forecast.items, forecast.seconds)])
    # Where processes on other machines do not see the folder, they do not see its checkpoints either.
    name = path.read_text(encoding="utf-8").strip() if path.exists() else "triton"
    if name not in choice.PATHS:
        raise InputError(f"{path}: holds {name[:40]!r}; expected one of {', '.join(choice.PATHS)}")
    choice.prefer(name)


def _decide(path: Path, forecast: Forecast, time_compiled: Callable[[], float]) -> None:
    """Write the path that training takes, unless it was written before."""
    from speechbrain_tasnet.ops.gpu import choice

    if path.exists():
        return
    name = "triton"
    if forecast.whole >= LONG and not choice.is_left("triton"):
        logger.info("Comparing the GPU's kernels with the compiled path: takes up to a minute, once")
        choice.prefer("compiled")
        try:
            seconds = time_compiled()
        except InputError as error:  # it takes more memory
            logger.info("The compiled path is not taken: %s", error)
        else:
            name = "compiled" if seconds < WORTH_IT * forecast.step else "triton"
            logger.info("A step takes %.3f s by Triton, %.3f s compiled: %s", forecast.step, seconds, name)
        choice.prefer("triton")
    write_text(path, f"{name}\n")
