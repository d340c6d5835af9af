"""Signals on a page: players, all at one level, and spectrograms."""

import base64
import io
from collections.abc import Sequence

import numpy as np
import soundfile
import torch
from PIL import Image
from torch import Tensor

from speechbrain_tasnet.audio.pcm import quantize

# Longer utterances are cut, so that the page stays small enough to send by mail.
MAX_SECONDS = 10

PEAK = 0.9
DYNAMIC_RANGE_DB = 60
COLOUR_LEVELS = 64

# From soft to loud. The ramps have the same lightness at each step, so that pictures compare across roles.
RAMPS = {
    "mixture": ("#0d1117", "#3a4048", "#7d858f", "#c6ccd3", "#ffffff"),
    "reference": ("#0d1117", "#0f3d66", "#2f87c9", "#9fd3f7", "#ffffff"),
    "estimate": ("#0d1117", "#5a2c0c", "#c8691a", "#f5b878", "#ffffff"),
}


def same_level(
    mixture: Tensor, targets: Tensor, estimates: Tensor, max_samples: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Scale each estimate to the energy of its target, and all signals by one gain, so that they compare by ear.

    Parameters
    ----------
    mixture, targets, estimates : Tensor
        [time], [time, C] and [time, ...]; the last axis of the estimates goes through the targets, once or more.
    max_samples : int
        What is longer is cut.

    Returns
    -------
    tuple of Tensor
        The same three, in double precision.
    """
    times = estimates.shape[1] // targets.shape[1]
    targets, estimates = targets.double(), estimates.double()
    wanted, given = targets.square().mean(0).sqrt().repeat(times), estimates.square().mean(0).sqrt()
    estimates = estimates * torch.where((wanted > 0) & (given > 0), wanted / given, 1)
    signals = [signal[:max_samples].double() for signal in (mixture, targets, estimates)]
    peak = max(signal.abs().max().item() for signal in signals)
    mixture, targets, estimates = (signal * (PEAK / peak if peak else 1) for signal in signals)
    return mixture, targets, estimates


def audio_uri(samples: Tensor, sample_rate: int) -> str:
    """Encode samples [time] as a data URI of 16-bit FLAC, half the size of WAV."""
    buffer = io.BytesIO()
    soundfile.write(buffer, quantize(samples.numpy()).astype(np.int16), sample_rate, format="FLAC")
    return _data_uri("audio/flac", buffer)


def frame_size(sample_rate: int) -> tuple[int, int]:
    """Return how many samples a frame of a spectrogram has, 32 ms, and from one to the next, 8 ms."""
    size = round(0.032 * sample_rate)
    return size, round(size / 4)


def decibels(samples: Tensor, sample_rate: int) -> Tensor:
    """Compute the power of samples [time] in dB, [frequencies, frames], as `frame_size` has them."""
    size, hop = frame_size(sample_rate)
    window = torch.hann_window(size, dtype=samples.dtype)
    spectrum = torch.stft(samples, size, hop, window=window, pad_mode="constant", return_complex=True)
    return 20 * torch.log10(spectrum.abs() + 1e-6)


def spectrogram_uri(samples: Tensor, sample_rate: int, top: float, ramp: Sequence[str]) -> str:
    """Draw the spectrogram of samples [time] below `top` dB as a data URI of a PNG without axes."""
    return picture_uri(decibels(samples, sample_rate), top, ramp)


def picture_uri(power: Tensor, top: float, ramp: Sequence[str]) -> str:
    """Draw the power [frequencies, frames] in dB below `top` dB as a data URI of a PNG without axes."""
    level = (power - top) / DYNAMIC_RANGE_DB + 1
    index = (level.clamp(0, 1) * (COLOUR_LEVELS - 1)).round().byte().flip(0).numpy()
    colours = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in ramp])
    steps = np.linspace(0, len(ramp) - 1, COLOUR_LEVELS)
    palette = np.stack([np.interp(steps, range(len(ramp)), channel) for channel in colours.T], axis=1)
    image = Image.frombytes("P", index.shape[::-1], index.tobytes())
    image.putpalette(palette.round().astype(np.uint8).tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return _data_uri("image/png", buffer)


def _data_uri(kind: str, buffer: io.BytesIO) -> str:
    return f"data:{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
