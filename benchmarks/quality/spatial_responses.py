"""Draw what two microphones hear from where: ``python -m benchmarks.quality.spatial_responses MODEL``.

The encoders of both microphones meet in the bottleneck, where a channel is a sum of filtered signals: a filter for
each microphone. A plane wave reaches the second one later than the first, by a time that depends on its direction,
so that a channel answers to some directions more than to others. The norms before the bottleneck, which depend on
the signal, enter by their gains alone.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from speechbrain_tasnet.audio.diffuse_field import SPEED_OF_SOUND
from speechbrain_tasnet.bundle import find_bundle, load_bundle
from speechbrain_tasnet.network.model import Model

SHOWN = 6  # channels of the bottleneck, those that depend most on the direction
POINTS = 256  # of the Fourier transform
FLOOR = -20.0  # dB


def filters(model: Model) -> np.ndarray:
    """Return what the bottleneck makes of each microphone: [mics, B, L], the reference first."""
    encoder, masknet = model.encoder, model.masknet
    layers = [(encoder.weight, masknet.norm, masknet.bottleneck)]
    for taps, spatial in zip(encoder.spatial, masknet.spatial, strict=True):
        layers.append((taps, spatial.norm, spatial.linear))
    with torch.no_grad():
        return np.stack([((layer.weight * norm.weight) @ taps[:, 0]).numpy() for taps, norm, layer in layers])


def responses(taps: np.ndarray, spacing: float, rate: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute the answers to plane waves.

    Parameters
    ----------
    taps : numpy.ndarray
        [2, B, L], see `filters`.
    spacing : float
        Metres between the microphones.
    rate : int
        Of the signal, in Hz.

    Returns
    -------
    tuple of numpy.ndarray
        Angles in degrees from the line through both [angles], 0 where a wave reaches the first one before the
        second; frequencies in Hz [bins]; and the answers [B, bins, angles] in dB below the greatest of the
        channel.
    """
    angles, frequencies = np.linspace(0, 180, 181), np.fft.rfftfreq(POINTS, 1 / rate)
    first, second = np.fft.rfft(taps, POINTS, axis=2)
    delays = spacing * np.cos(np.radians(angles)) / SPEED_OF_SOUND
    later = np.exp(-2j * np.pi * frequencies[:, None] * delays)  # [bins, angles]
    # An encoder correlates, it does not convolve: its taps answer by the conjugates of their spectra.
    power = np.abs(first.conj()[..., None] + second.conj()[..., None] * later) ** 2
    return angles, frequencies, 10 * np.log10(power / power.max(axis=(1, 2), keepdims=True) + 1e-9)


def most_directed(answers: np.ndarray) -> list[int]:
    """Choose the channels [B, bins, angles] whose answer, over all frequencies, changes most with the angle."""
    energy = (10 ** (answers / 10)).sum(axis=1)
    return np.argsort(energy.std(axis=1) / energy.mean(axis=1))[::-1][:SHOWN].tolist()


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality.spatial_responses", description=__doc__)
    parser.add_argument("model", help="folder or name of a separator of two microphones")
    parser.add_argument("--spacing", type=float, default=0.1, help="metres between the microphones (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("spatial_responses.svg"))
    options = parser.parse_args()
    loaded = load_bundle(find_bundle(options.model))
    if loaded.config.mics != 2:
        parser.error(f"{options.model}: {loaded.config.mics} microphones; expected 2")
    angles, frequencies, answers = responses(filters(loaded.model), options.spacing, loaded.config.sample_rate)

    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, SHOWN // 2, figsize=(9, 5), sharex=True, sharey=True, layout="constrained")
    for axis, channel in zip(axes.flat, most_directed(answers), strict=True):
        grid = axis.pcolormesh(angles, frequencies / 1000, answers[channel], vmin=FLOOR, vmax=0, rasterized=True)
        axis.set_title(f"channel {channel}", fontsize=9)
    axes[0, 0].set_xticks([0, 45, 90, 135, 180])
    figure.supxlabel("direction in degrees; 0 is the side of the first microphone, 180 that of the second")
    figure.supylabel("kHz")
    figure.colorbar(grid, ax=axes, label="dB")
    figure.savefig(options.out)


if __name__ == "__main__":
    main()
