"""Measure what a step of the demo's training costs whatever its signal: ``python -m benchmarks.training.step``.

Batches of four lengths take turns in SpeechBrain's loop, so that whatever else the machine does affects all alike.
What does not depend on the signal is where a line through the medians of each part of a step meets a length of
zero.
"""

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from pathlib import Path

import numpy as np
from torch.utils.data import DataLoader

from speechbrain_tasnet.configuration import loading
from speechbrain_tasnet.experiment.datasets import training_set
from speechbrain_tasnet.experiment.workflow import make_brain
from speechbrain_tasnet.generate.mixing import make_mixtures
from speechbrain_tasnet.generate.synthetic_voices import synthesize_speech
from speechbrain_tasnet.system.process import tune_process
from speechbrain_tasnet.training.brain import SeparationBrain

PARTS = (1, 1 / 2, 1 / 4, 1 / 8)  # of the recipe's segment
ROUNDS = 200  # steps at each length
WARM_UP = 20  # rounds in which compilers and allocators settle

Step = tuple[int, dict[str, float]]  # samples of an item, seconds of each part


class Laps:
    """Seconds of each part of each step; a part begins where the previous one ended."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._parts: dict[str, float] = defaultdict(float)
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """End a part."""
        now = time.perf_counter()
        self._parts[name] += now - self._last
        self._last = now

    def step(self, samples: int) -> None:
        """End a step."""
        self.steps.append((samples, dict(self._parts)))
        self._parts.clear()

    def around(self, function: Callable, before: str | None, after: str) -> Callable:
        """Return a function that ends a part at its beginning, if it has a name, and one at its end."""

        @wraps(function)
        def wrapper(*args, **kwargs):
            if before is not None:
                self.lap(before)
            result = function(*args, **kwargs)
            self.lap(after)
            return result

        return wrapper

    def watch(self, brain: SeparationBrain) -> None:
        """Make the methods that SpeechBrain's loop calls in a step end its parts."""
        for name, before, after in (
            ("on_fit_batch_start", "loop", "accounts"),
            ("compute_forward", None, "forward"),
            ("compute_objectives", None, "loss"),
            ("optimizers_step", "backward", "clipping and optimizer"),
            ("on_fit_batch_end", None, "accounts"),
        ):
            setattr(brain, name, self.around(getattr(brain, name), before, after))


class Turns(DataLoader):
    """Batches of several loaders in turns."""

    def __init__(self, loaders: Sequence[DataLoader], laps: Laps):
        super().__init__(loaders[0].dataset)
        self._loaders, self._laps = loaders, laps

    def __iter__(self) -> Iterator:
        """Load, until one of them has no more; all that lies between two batches is a step."""
        iterators = [iter(loader) for loader in self._loaders]
        while True:
            for iterator in iterators:
                self._laps.lap("loop")
                batch = next(iterator, None)
                if batch is None:
                    return
                self._laps.lap("loading")
                yield batch
                self._laps.lap("loop")
                self._laps.step(batch.mixture.data.shape[1])


def lines(steps: Sequence[Step]) -> dict[str, tuple[float, float]]:
    """Fit a line to the median of each part of a step at each length.

    Parameters
    ----------
    steps : sequence
        Samples and seconds by part, one a step.

    Returns
    -------
    dict
        By part, and for ``all`` of them: seconds at a length of zero, and at the greatest length.

    Examples
    --------
    >>> zero, whole = lines([(1, {"loss": 3.0}), (2, {"loss": 5.0})])["loss"]
    >>> round(zero, 6), whole
    (1.0, 5.0)
    """
    by_length = defaultdict(lambda: defaultdict(list))
    for samples, parts in steps:
        for name, seconds in {**parts, "all": sum(parts.values())}.items():
            by_length[name][samples].append(seconds)
    medians = {
        name: {samples: float(np.median(seconds)) for samples, seconds in of_part.items()}
        for name, of_part in by_length.items()
    }
    return {
        name: (float(np.polyfit(list(of_part), list(of_part.values()), 1)[1]), of_part[max(of_part)])
        for name, of_part in medians.items()
    }


def table(steps: Sequence[Step]) -> str:
    """Write what `lines` finds in milliseconds."""
    header = "| a step, ms | whatever the signal | at the full length |\n|---|--:|--:|\n"
    rows = (f"| {name} | {1e3 * zero:.2f} | {1e3 * whole:.2f} |" for name, (zero, whole) in lines(steps).items())
    return header + "\n".join(rows)


def measure(folder: Path, rounds: int, warm_up: int) -> list[Step]:
    """Train the demo's network on a small synthetic corpus; return samples and seconds by part of each step."""
    synthesize_speech(folder / "speech", num_speakers=(8, 2, 2))
    make_mixtures(folder / "speech", folder / "corpus", hours=0.3, valid_hours=0.01, test_hours=0.01)
    files = ["--data_folder", str(folder / "corpus"), "--output_folder", str(folder / "run")]
    recipe = loading.read(["demo", *files, "--budget", "60 minutes", "--noprogressbar"])
    hparams = recipe.build()
    hparams.prepare()
    brain, plan = make_brain(hparams, recipe.run_opts)
    laps, loaders, whole = Laps(), [], hparams.segment
    laps.watch(brain)
    for part in PARTS:
        hparams.segment = part * whole
        items, options = training_set(hparams)
        loaders.append(plan.feed(items, hparams.dataloader_opts | options))
    brain.optimizer_step_limit = (warm_up + rounds) * len(PARTS)
    hparams.epoch_counter.limit = 1
    brain.fit(hparams.epoch_counter, Turns(loaders, laps), progressbar=False)
    return laps.steps[warm_up * len(PARTS) :]


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        print(table(measure(Path(folder), ROUNDS, WARM_UP)))


if __name__ == "__main__":
    tune_process()  # as the command line does
    main()
