"""Speech of white noise for dynamic mixing, and what can be told of a mixed item."""

import re

import numpy as np
import soundfile
import torch

from speechbrain_tasnet.data.dynamic_mixing.dataset import DynamicMixing
from speechbrain_tasnet.data.dynamic_mixing.room_bank import RoomBank

RATE = 8000


def write(path, samples, rate=RATE):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate)
    return path


def white(*seed, seconds=2.0, rate=RATE, power=0.01):
    return np.random.default_rng(seed).normal(0, power**0.5, round(seconds * rate))


def mixing(speech, **options):
    return DynamicMixing(
        speech, **{"num_spks": 2, "sample_rate": RATE, "segment": 0.5, "length": 8, "seed": 1} | options
    )


def utterances(item):
    """Tell the utterances of an item from its id."""
    return re.fullmatch(r"epoch \d+ item \d+: (.+)", item["id"])[1].split(" + ")


def power(signal):
    return float(torch.as_tensor(signal).double().square().mean())


def decibels(ratio):
    return 10 * np.log10(ratio)


def bank(positions=3, rooms=4, taps=800, rate=RATE, seed=0):
    """Rooms of exponentially decaying noise after a direct path that is louder or softer, never soon."""
    rng = np.random.default_rng(seed)
    direct = np.zeros((rooms, positions, taps), np.float32)
    direct[:, :, 40] = rng.uniform(0.2, 2, (rooms, positions))
    tail = rng.normal(0, 0.05, direct.shape) * np.exp(-np.arange(taps) / 150) * (np.arange(taps) > 60)
    return RoomBank(rate, (direct + tail).astype(np.float32), direct, np.full(rooms, 0.1, np.float32))
