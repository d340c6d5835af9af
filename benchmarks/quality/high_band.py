"""Measure what a separator of 8 kHz loses on 16 kHz: ``python -m benchmarks.quality.high_band [MODEL]``.

It separates what lies below 4 kHz and gives nothing above. Of each mixture three scores are compared: that of the
band it knows, at 8 kHz; that of its output, back at 16 kHz, against the whole voices; and that of the voices
themselves without their upper band, which no separator of 8 kHz can surpass. A network of 16 kHz that separates
all that it hears as well as this one separates its band would have the first score: the difference to the second
is what the upper band is worth. The voices are synthetic unless a folder of speech is given.
"""

import argparse
import tempfile
from pathlib import Path
from statistics import fmean

import soundfile
import torch
from torch import Tensor

from speechbrain_tasnet import TasNetSeparation
from speechbrain_tasnet.audio.resampling import resample
from speechbrain_tasnet.generate.mixing import make_mixtures
from speechbrain_tasnet.generate.synthetic_voices import synthesize_speech
from speechbrain_tasnet.losses import Targets

RATE = 16000
UNUSED = 0.001  # hours of mixtures to train on and to validate with: there must be some


def halved(signals: Tensor) -> Tensor:
    """Resample signals [time, C] to half the rate."""
    return torch.from_numpy(resample(signals.T.numpy(), RATE, RATE // 2)).T


def doubled(signals: Tensor, size: int) -> Tensor:
    """Resample signals [time, C] to the whole rate."""
    return torch.from_numpy(resample(signals.T.numpy(), RATE // 2, RATE)).T[:size]


def score(sources: Tensor, mixture: Tensor, estimates: Tensor) -> float:
    """Return the SI-SNR improvement of estimates [time, C] in dB."""
    targets = Targets(sources[None])
    return float(-targets.loss(estimates[None]) - targets.si_snr_of_mixture(mixture[None]))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality.high_band", description=__doc__)
    parser.add_argument("model", nargs="?", default="convtasnet-8k-2spk", help="folder or name of a separator")
    parser.add_argument("--speech", type=Path, help="folder of speech at 16 kHz or more, a subfolder a speaker")
    parser.add_argument("--hours", type=float, default=0.1, help="of mixtures")
    options = parser.parse_args()
    separator = TasNetSeparation.from_bundle(options.model)
    scores: dict[str, list[float]] = {"below 4 kHz": [], "at 16 kHz": [], "at most": []}
    with tempfile.TemporaryDirectory() as folder:
        speech = options.speech or Path(folder) / "speech"
        if options.speech is None:
            synthesize_speech(speech, rate=RATE)
        corpus = Path(folder) / "corpus"
        make_mixtures(speech, corpus, rate=RATE, hours=UNUSED, valid_hours=UNUSED, test_hours=options.hours)
        for file in sorted((corpus / "wav16k/min/tt/mix").glob("*.wav")):
            files = [file, *(file.parents[1] / f"s{k}" / file.name for k in (1, 2))]
            mixture, *voices = (torch.from_numpy(soundfile.read(path, dtype="float32")[0]) for path in files)
            sources = torch.stack(voices, 1)
            low, low_mixture = halved(sources), halved(mixture[:, None])[:, 0]
            estimates = separator.separate_batch(low_mixture[None])[0]
            scores["below 4 kHz"].append(score(low, low_mixture, estimates))
            scores["at 16 kHz"].append(score(sources, mixture, doubled(estimates, len(mixture))))
            scores["at most"].append(score(sources, mixture, doubled(low, len(mixture))))
    for name, values in scores.items():
        print(f"{name}: {fmean(values):.2f} dB SI-SNRi, {len(values)} mixtures")


if __name__ == "__main__":
    main()
