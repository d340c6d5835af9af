"""Metrics besides SI-SNR: SDR, PESQ, STOI and DER, computed by well-maintained packages."""

import math
import warnings
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torchmetrics.functional.audio import signal_distortion_ratio

from speechbrain_tasnet.errors import InputError

METRICS = ("sdr", "pesq", "stoi", "der")
OF_WHO_SPEAKS = ("der",)  # those that do not compare samples

# BSS eval version 3 lets a distortion filter of this many taps pass as part of the target.
FILTER_LENGTH = 512

# Keeps the equations of a target of a few pure tones solvable, and a perfect estimate at 100 dB instead of
# infinity; at 60 dB it moves the score by less than 0.001 dB.
DIAGONAL_LOADING = 1e-10

# What SI-SNR gives an estimate that has nothing of its target, by SpeechBrain's epsilon.
LOWEST_DB = -80.0

PESQ_MODES = {8000: "nb", 16000: "wb"}


def check_metrics(metrics: Sequence[str], sample_rate: int, aligned_sources: bool = True) -> None:
    """Check before the first utterance what would fail at it.

    Parameters
    ----------
    metrics : sequence of str
        Any of `METRICS`.
    sample_rate : int
        In Hz.
    aligned_sources : bool
        Whether the sources are in the mixtures sample by sample.

    Raises
    ------
    InputError
        A metric is unknown, is not defined at the rate or for such sources, or its package is not installed.
    """
    for name in metrics:
        if name not in METRICS:
            raise InputError(f"metric {name!r} is unknown: choose from {', '.join(METRICS)}")
        if not aligned_sources and name not in OF_WHO_SPEAKS:
            raise InputError(
                f"metric {name!r} compares sample by sample, which aligned_sources=False rules out: expected "
                f"{', '.join(OF_WHO_SPEAKS)} alone, or aligned_sources=True"
            )
    if "pesq" in metrics and sample_rate not in PESQ_MODES:
        raise InputError(f"pesq at {sample_rate} Hz is not defined: use 8000 or 16000 Hz, or leave it out")
    for name, package in (("pesq", "pesq"), ("stoi", "pystoi"), ("der", "pyannote.metrics")):
        if name in metrics:
            try:
                __import__(package)
            except ImportError:
                raise InputError(
                    f"metric {name!r} needs the package {package}: pip install 'speechbrain-tasnet[quality]'"
                ) from None


def sdr(targets: Tensor, estimates: Tensor) -> Tensor:
    """Return the SDR [..., C] in dB of estimates [..., time, C] for targets [time, C], by BSS eval version 3."""
    # Zeros behind the end change no correlation, and with fewer samples than taps some would be missing.
    missing = max(0, FILTER_LENGTH - targets.shape[0])
    estimates = torch.nn.functional.pad(estimates.transpose(-1, -2), (0, missing))
    targets = torch.nn.functional.pad(targets.T, (0, missing)).expand_as(estimates)
    # One pair at a time: after `torch.set_num_threads` torch 2.11 solves several linear systems at once wrongly on
    # some processors (https://github.com/pytorch/pytorch/issues/142815).
    found = [
        signal_distortion_ratio(estimate, target, filter_length=FILTER_LENGTH, load_diag=DIAGONAL_LOADING)
        for estimate, target in zip(estimates.flatten(0, -2), targets.flatten(0, -2), strict=True)
    ]
    return torch.stack(found).view(estimates.shape[:-1]).clamp(min=LOWEST_DB)


def pesq(target: np.ndarray, estimate: np.ndarray, sample_rate: int) -> float:
    """Return PESQ as MOS-LQO; NaN below a quarter of a second, where there is no speech or no estimate."""
    import pesq as package

    try:
        return package.pesq(sample_rate, target, estimate, PESQ_MODES[sample_rate])
    except (package.PesqError, ValueError):
        return math.nan


def stoi(target: np.ndarray, estimate: np.ndarray, sample_rate: int) -> float:
    """Return STOI; NaN if the target has less than 0.4 s of speech, where pystoi warns and returns 1e-5."""
    import pystoi

    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return float(pystoi.stoi(target, estimate, sample_rate))
        except (RuntimeWarning, ValueError):
            return math.nan
