"""A dry run of one batch before the first step: does it fit, is it finite, how long will training take."""

import math
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import numpy as np
import speechbrain as sb
import torch
from torch.utils.data import Dataset

from speechbrain_tasnet.data.skipping import collate
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.losses import pit_si_snr_loss
from speechbrain_tasnet.training.distributed import processes
from speechbrain_tasnet.training.epoch_stats import peak_memory
from speechbrain_tasnet.training.stand_in import noise_item

QUICK = 2.0  # seconds
FIRST_USE = 0.5  # seconds of audio; the padding of SpeechBrain's own network fails on much less


class Plan(Protocol):
    """What a forecast needs to know about a plan of training, see `schedules`."""

    epochs: int

    def steps(self, items: int, batch: int, step: float, audio: float) -> int:
        """Forecast the steps of an epoch."""


class Forecast(NamedTuple):
    """The result of a dry run: seconds per step and for its data, and the forecast for the whole training."""

    items: int
    seconds: float
    step: float
    loading: float
    peak_bytes: int
    epochs: int
    steps: int
    whole: float

    def __str__(self) -> str:
        """Return one line."""
        return (
            f"Dry run: the largest batch, {self.items} x {self.seconds:.2f} s, takes {self.step:.3f} s a step "
            f"and {self.loading:.3f} s to read; peak memory {self.peak_bytes / 1e6:,.0f} MB; "
            f"{self.epochs} epochs of {self.steps} steps take about {_duration(self.whole)}"
        )


def rehearse(
    brain: sb.Brain, training: Dataset, validation_seconds: float, longest: float, plan: Plan
) -> Forecast:
    """Run the network forward and back on the largest batch there will be, and read one batch of data.

    Nothing of it remains: no weight, no gradient, no random state is changed, nothing is written.

    Parameters
    ----------
    brain : Brain
        With its modules, before training; its ``hparams`` give ``batch_size``, ``sample_rate``, ``num_workers``
        and ``num_spks``.
    training : Dataset
        Gives `skipping.Fetched`.
    validation_seconds : float
        Audio in the validation set.
    longest : float
        Seconds of the longest training item.
    plan : Plan
        Forecasts how long training will last.

    Returns
    -------
    Forecast
        The figures. The time is that of training and validation.

    Raises
    ------
    InputError
        The batch does not fit into the GPU's memory, or its loss or gradient is not finite.
    """
    hparams = brain.hparams
    items = min(hparams.batch_size, len(training))
    with _untouched(brain):
        loading = _time_loading(training, items)
        _step(brain, 1, longest=min(longest, FIRST_USE))  # compilers settle
        forward, step = _step(brain, items, longest)
        if step < QUICK:  # then allocators may have taken most of it
            forward, step = min(_step(brain, items, longest) for _ in range(2))
        peak = peak_memory(brain.device)
    steps = plan.steps(len(training), items, step, items * longest)
    # Processes of the loader work while the network does.
    paced = step + loading if hparams.num_workers == 0 else max(step, loading / hparams.num_workers)
    valid = validation_seconds / (items * longest * processes()) * forward  # each validates its share
    whole = plan.epochs * (steps * paced + valid)
    return Forecast(items, longest, step, loading, peak, plan.epochs, steps, whole)


def time_step(brain: sb.Brain, items: int, longest: float) -> float:
    """Return the seconds of a step on a batch of ``items`` of ``longest`` seconds, once all is compiled.

    Raises
    ------
    InputError
        As for `rehearse`.
    """
    with _untouched(brain):
        _step(brain, items, longest)
        return min(_step(brain, items, longest)[1] for _ in range(2))


@contextmanager
def _untouched(brain: sb.Brain) -> Iterator[None]:
    """Restore every random state and remove the gradients."""
    states = random.getstate(), np.random.get_state()
    training = {name: module.training for name, module in brain.modules.items()}
    gpus = [torch.device(brain.device)] if brain.device_type == "cuda" else []
    try:
        with torch.random.fork_rng(gpus):
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        brain.modules.zero_grad(set_to_none=True)
        for name, module in brain.modules.items():
            module.train(training[name])


def _time_loading(training: Dataset, items: int) -> float:
    """Read as many items as a batch has, spread over the corpus; bad ones are reported when it is their turn."""
    start = time.perf_counter()
    collate([training[index * len(training) // items] for index in range(items)])
    return time.perf_counter() - start


def _step(brain: sb.Brain, items: int, longest: float) -> tuple[float, float]:
    """Go forward and back over a batch of noise; returns the seconds of the way forward, and of all."""
    size = max(1, round(longest * brain.hparams.sample_rate))
    batch = collate([noise_item(str(i), size, brain.hparams) for i in range(items)])
    brain.modules.train()
    start = time.perf_counter()
    try:
        with brain.training_ctx:
            estimates = brain.compute_forward(batch, sb.Stage.TRAIN)
            loss = pit_si_snr_loss(batch.sources.data, estimates, batch.sources.lengths).mean()
        finite = math.isfinite(loss.item())
        forward = time.perf_counter() - start
        loss.backward()
        gradients = [p.grad for p in brain.modules.parameters() if p.grad is not None]
        finite &= all(bool(gradient.isfinite().all()) for gradient in gradients)
    except torch.OutOfMemoryError:
        raise InputError(
            f"a batch of {items} x {longest:.2f} s does not fit into the memory of {brain.device}; lower "
            "batch_size or segment, and raise grad_accumulation_factor"
        ) from None
    if not finite:
        raise InputError(
            f"precision={brain.precision}: loss or gradient of the first batch is not finite, before any step; "
            "use bf16 or fp32, or check the weights that training starts from"
        )
    brain.modules.zero_grad(set_to_none=True)
    return forward, time.perf_counter() - start


def _duration(seconds: float) -> str:
    """Return a time in the unit in which one waits for it."""
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} seconds"
