"""Validation mixtures of ``tasnet mix``, scored by how many voices are heard in them."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import fmean

import soundfile
import torch
from torch import Tensor

from speechbrain_tasnet.evaluation.evaluator import in_target_order
from speechbrain_tasnet.losses import Targets

Mixture = tuple[Tensor, Tensor]  # [1, time] or [1, time, channels], and its sources [1, time, C]
# How mixtures and sources are called, in plain corpora and in scenes with rooms and noise.
PLAIN, SCENES = ("mix", ""), ("mix_both_reverb", "_anechoic")


def read(corpus: Path) -> list[Mixture]:
    """Read the validation mixtures of a corpus."""
    folder = corpus / "wav8k" / "min" / "cv"
    mix, suffix = PLAIN if (folder / PLAIN[0]).is_dir() else SCENES
    sources = sorted(path.name for path in folder.glob(f"s[1-9]{suffix}"))

    def signal(kind: str, name: str) -> Tensor:
        return torch.from_numpy(soundfile.read(folder / kind / name, dtype="float32")[0])

    return [
        (
            signal(mix, file.name)[None],
            torch.stack([_at_reference(signal(source, file.name)[None]) for source in sources], 2),
        )
        for file in sorted((folder / mix).glob("*.wav"))
    ]


@torch.no_grad()
def scores(separate: Callable[[Tensor], Tensor], mixtures: list[Mixture]) -> dict[str, float]:
    """Score a separator.

    Parameters
    ----------
    separate : callable
        From [1, time], or [1, time, channels], to [1, time, C].
    mixtures : list
        See `read`.

    Returns
    -------
    dict
        Means in dB: by number of voices, such as ``2 voices``, the SI-SNR improvement, of a lone voice without
        noise its SI-SNR; ``silence``, the level of outputs for nobody against the mixture; and ``not improved``,
        the share of the mixtures of two and more that are not.
    """
    found = defaultdict(list)
    for mixture, sources in mixtures:
        for name, value in _score(mixture, sources, separate(mixture).float()):
            found[name].append(value)
    means = {name: fmean(values) for name, values in sorted(found.items())}
    improved = [value > 0 for name, values in found.items() if name[0] in "23456789" for value in values]
    return means | ({"not improved": 1 - fmean(improved)} if improved else {})


def _at_reference(samples: Tensor) -> Tensor:
    """Return what the first microphone hears, [1, time]."""
    return samples if samples.ndim == 2 else samples[..., 0]


def _score(mixture: Tensor, sources: Tensor, estimates: Tensor) -> Iterator[tuple[str, float]]:
    mixture = _at_reference(mixture)
    targets = Targets(sources)
    voices = int((~targets.silent).sum())
    if voices:
        gain = -targets.loss(estimates)
        gain = gain - targets.si_snr_of_mixture(mixture) if targets.are_mixed(mixture) else gain
        yield f"{voices} voice{'s' if voices > 1 else ''}", float(gain)
    if targets.silent.any():
        quiet = in_target_order(sources[0], estimates[0]).T[targets.silent[0]]  # [silent voices, time]
        level = quiet.square().mean() / mixture.square().mean()
        yield "silence", float(10 * level.clamp(min=1e-10).log10())
