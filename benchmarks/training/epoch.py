"""Measure where the time of an epoch of the demo's training goes: ``python -m benchmarks.training.epoch``."""

import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import wraps
from pathlib import Path

import torch
from torch.utils.data.dataloader import _BaseDataLoaderIter

from speechbrain_tasnet.experiment import workflow
from speechbrain_tasnet.generate.mixing import make_mixtures
from speechbrain_tasnet.generate.synthetic_voices import synthesize_speech
from speechbrain_tasnet.training.brain import SeparationBrain

WARM_UP = 30  # steps: compilers and allocators settle
FORWARD, BACKWARD, OPTIMIZER, LOADING = "forward and loss", "backward", "clipping and optimizer", "data"


class Stopwatch:
    """Count seconds by what they were spent on, from the end of the warm-up to the end of the epoch."""

    def __init__(self):
        self.spent = Counter()
        self.steps = 0
        self.start = self.stop = None
        self.done = None

    def timed(self, name: str, function: Callable) -> Callable:
        """Return a function whose time counts for ``name``."""

        @wraps(function)
        def wrapper(*args, **kwargs):
            start = time.perf_counter()
            result = function(*args, **kwargs)
            self.spent[name] += time.perf_counter() - start
            return result

        return wrapper

    def step(self) -> None:
        """Count a step."""
        self.steps += 1
        self.stop = time.perf_counter()
        if self.steps == WARM_UP:
            self.spent.clear()
            self.start = self.stop

    def table(self) -> str:
        """Write a table of the milliseconds a step and the shares of the whole."""
        steps, whole = self.steps - WARM_UP, self.stop - self.start
        rows = {**self.spent, "the rest": whole - sum(self.spent.values()), "all": whole}
        return "\n".join(f"{name:25}{1e3 * s / steps:7.1f} ms {s / whole:7.1%}" for name, s in rows.items())


def main() -> None:
    """Train one epoch on a small synthetic corpus and print the table."""
    watch = Stopwatch()

    class TimedBrain(SeparationBrain):
        """A Brain whose parts are timed."""

        def on_fit_start(self):
            super().on_fit_start()
            for name in ("compute_forward", "compute_objectives"):
                setattr(self, name, watch.timed(FORWARD, getattr(self, name)))
            self.optimizers_step = watch.timed(OPTIMIZER, self.optimizers_step)

        def on_fit_batch_end(self, *args):
            super().on_fit_batch_end(*args)
            watch.step()

        def on_stage_end(self, *args):
            if watch.stop is not None and not watch.done:
                watch.done = watch.table()
            super().on_stage_end(*args)

    torch.Tensor.backward = watch.timed(BACKWARD, torch.Tensor.backward)
    _BaseDataLoaderIter.__next__ = watch.timed(LOADING, _BaseDataLoaderIter.__next__)
    workflow.SeparationBrain = TimedBrain
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        synthesize_speech(folder / "speech", num_speakers=(16, 2, 2))
        make_mixtures(folder / "speech", folder / "corpus", hours=0.7, valid_hours=0.01, test_hours=0.01)
        arguments = ["--data_folder", str(folder / "corpus"), "--output_folder", str(folder / "run")]
        workflow.run(["demo", *arguments, "--number_of_epochs", "1", "--noprogressbar"])
    print(watch.done)


if __name__ == "__main__":
    main()
