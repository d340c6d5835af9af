"""Long windows in which three people talk are separated again in shorter ones; other windows are not."""

from itertools import pairwise
from types import SimpleNamespace

import pytest
import soundfile
import torch

from speechbrain_tasnet.separation.crowds import separate_crowds
from speechbrain_tasnet.separation.options import SeparationOptions
from speechbrain_tasnet.separation.recording import separate_voices

RATE = 8000
BANDS = 300, 900, 1800, 3600  # Hz


def bands(mixture: torch.Tensor) -> torch.Tensor:
    """Divide [batch, time] by frequency, [batch, time, 3]."""
    spectrum = torch.fft.rfft(mixture)
    hertz = torch.arange(spectrum.shape[1]) * RATE / mixture.shape[1]
    voices = [spectrum * ((low <= hertz) & (hertz < high)) for low, high in pairwise(BANDS)]
    return torch.stack([torch.fft.irfft(voice, mixture.shape[1]) for voice in voices], 2)


class Forgetful:
    """Tells voices apart by their band; in windows of more than 40 s two of them change places half way."""

    counts_voices = True

    def __init__(self):
        self.hparams = SimpleNamespace(sample_rate=RATE, num_spks=3)
        self.calls = []

    def separate_batch(self, mixture):
        self.calls.append(mixture.shape[1] / RATE)
        sources, half = bands(mixture), mixture.shape[1] // 2
        if self.calls[-1] > 40:
            sources[:, half:] = sources[:, half:, [1, 0, 2]]
        return sources


def people(count: int, seconds: float) -> torch.Tensor:
    """Make noises [time, 3] of a band each, of which only so many are heard."""
    noise = torch.randn(1, round(seconds * RATE), generator=torch.Generator().manual_seed(0))
    voices = bands(noise)[0]
    voices[:, count:] = 0
    return 0.3 * voices


def agreement(sources: torch.Tensor, voices: torch.Tensor) -> list[float]:
    """Correlate each source [time, C] with the voice of the same number."""
    both = (sources * voices).sum(0) / (sources.norm(dim=0) * voices.norm(dim=0))
    return both.tolist()


def test_three_people_keep_their_outputs():
    voices, separator = people(3, 75), Forgetful()
    mixture = voices.sum(1).unsqueeze(0)
    assert agreement(separator.separate_batch(mixture)[0], voices) == pytest.approx([0.5, 0.5, 1], abs=0.1)
    separate = separate_crowds(separator.separate_batch, RATE)
    assert agreement(separate(mixture)[0], voices) == pytest.approx([1, 1, 1], abs=1e-3)
    assert separator.calls == [75, 75, 30, 30, 30]


@pytest.mark.parametrize(("count", "seconds"), [(2, 75), (1, 75), (3, 60)])
def test_pairs_and_short_recordings_are_separated_once(count, seconds):
    separator = Forgetful()
    separate_crowds(separator.separate_batch, RATE)(people(count, seconds).sum(1).unsqueeze(0))
    assert separator.calls == [seconds]


def test_a_third_voice_in_one_of_several_channels_is_enough():
    separator = Forgetful()
    mixture = torch.stack([people(2, 61).sum(1), people(3, 61).sum(1)])
    sources = separate_crowds(separator.separate_batch, RATE)(mixture)
    assert sources.shape == (2, 61 * RATE, 3)
    assert separator.calls == [61, 30, 30, 30]


@pytest.mark.parametrize(
    ("counts", "options", "shorter"),
    [
        (True, {}, True),
        (True, {"scale": "consistent"}, True),
        (True, {"window": None}, False),
        (False, {}, False),
    ],
)
def test_recordings_are(tmp_path, counts, options, shorter):
    """By default, if the separator knows how many there are; a whole recording that is asked for stays whole."""
    voices, separator = people(3, 70), Forgetful()
    separator.counts_voices = counts
    soundfile.write(tmp_path / "three.wav", voices.sum(1).numpy(), RATE, subtype="FLOAT")
    found = separate_voices(separator, tmp_path / "three.wav", SeparationOptions(workers=1, **options))
    assert separator.calls == ([70, 30, 30, 30] if shorter else [70])
    expected = pytest.approx([1, 1, 1] if shorter else [0.5, 0.5, 1], abs=0.1)
    assert agreement(found.sources[0], voices) == expected
    if options.get("scale") == "consistent":
        torch.testing.assert_close(found.sources[0].sum(1), voices.sum(1), rtol=0, atol=1e-4)
