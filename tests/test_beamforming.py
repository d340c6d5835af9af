"""A beamformer over what a separator of one microphone makes of each channel of an array."""

import numpy as np
import pytest
import soundfile
import torch

from speechbrain_tasnet import TasNetSeparation
from speechbrain_tasnet.cli import main
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.losses.ratios import si_snr
from speechbrain_tasnet.separation.beamforming import beamform, postfilter
from speechbrain_tasnet.separation.options import BEAMFORMERS, SeparationOptions

RATE = 8000


def voices(seconds=4.0, count=2):
    """Noises [count, time] that come and go at times of their own."""
    rng = torch.Generator().manual_seed(0)
    noise = torch.randn(count, round(seconds * RATE), generator=rng)
    return noise * torch.rand(count, round(seconds * 10), generator=rng).repeat_interleave(RATE // 10, dim=1)


def array(dry, delays):
    """What microphones hear of sources, each late by as many samples, [mics, C, time]."""
    return torch.stack([torch.stack([s.roll(d) for s, d in zip(dry, late, strict=True)]) for late in delays])


def quality(estimates, dry):
    return si_snr(dry[None], estimates.T[None])[0]


@pytest.mark.parametrize("delays", [[(0, 0), (1, -1)], [(0, 0), (2, -3), (5, 1), (-4, 4)]])
def test_sources_become_cleaner_and_stay_in_their_order(delays):
    torch.manual_seed(0)
    heard = array(voices(), delays)
    rough = heard.transpose(1, 2) + 0.3 * torch.randn(heard.transpose(1, 2).shape)
    # The separator gives each microphone's sources in an order of its own.
    for number in range(1, len(delays), 2):
        rough[number] = rough[number].flip(1)
    better = beamform(heard.sum(1), rough, RATE)
    assert better.shape == (4 * RATE, 2)
    assert (quality(better, heard[0]) > quality(rough[0], heard[0]) + 2).all()


@pytest.mark.parametrize("samples", [1, 100, 2047, 2049])
def test_short_recordings_and_silence_are_fine(samples):
    mixture, estimates = torch.randn(2, samples), torch.randn(2, samples, 3)
    assert beamform(mixture, estimates, RATE).isfinite().all()
    estimates[..., 1] = 0
    result = beamform(mixture, estimates, RATE)
    assert result.isfinite().all()
    assert result[:, 1].abs().max() < 1e-3
    assert not beamform(0 * mixture, 0 * estimates, RATE).any()


def test_the_postfilter_keeps_the_voice_it_was_steered_to():
    first, second = voices()
    filtered = torch.stack([first + 0.5 * second, second + 0.5 * first], dim=1)

    def separate(mixtures):
        """Take the voices apart, the second one first and far too loud."""
        assert mixtures.shape == (2, len(first))
        return torch.stack([3 * second, first], dim=1).expand(2, -1, -1)

    torch.testing.assert_close(postfilter(filtered, separate), torch.stack([first, 3 * second], dim=1))
    assert not postfilter(0 * filtered, lambda x: torch.stack([x, x], dim=2)).any()


class Half(TasNetSeparation):
    """Gives half of the mixture as each source."""

    MODULES_NEEDED = ()

    def separate_batch(self, mix, lengths=None):
        return torch.stack([0.5 * mix, 0.5 * mix], dim=2)


@pytest.fixture(scope="module")
def half():
    return Half(hparams={"sample_rate": RATE, "num_spks": 2})


@pytest.fixture
def stereo(tmp_path):
    samples = np.random.default_rng(0).normal(0, 0.1, (3 * RATE, 2))
    soundfile.write(path := tmp_path / "two.wav", samples, RATE, "FLOAT")
    return path


@pytest.mark.parametrize("window", [1.0, None])
@pytest.mark.parametrize("beamform", BEAMFORMERS)
def test_a_file_of_an_array_gives_a_channel_for_each_source(half, stereo, beamform, window):
    sources = half.separate_file(stereo, beamform=beamform, scale="consistent", window=window)
    assert sources.shape == (1, 3 * RATE, 2)
    first = torch.from_numpy(soundfile.read(stereo, dtype="float32")[0][:, 0])
    torch.testing.assert_close(sources.sum(2)[0], first, rtol=0, atol=1e-5)


def test_the_command_writes_mono_sources(stereo, tmp_path):
    for beamformer in BEAMFORMERS:
        out = tmp_path / beamformer
        main(["separate", str(stereo), "--beamform", beamformer, "--out", str(out)])
        assert [soundfile.info(path).channels for path in sorted(out.iterdir())] == [1, 1]


def test_the_postfilter_is_the_separator_after_the_beamformer(stereo):
    separator = TasNetSeparation.from_bundle("convtasnet-8k-2spk", device="cpu")
    filtered = separator.separate_file(stereo, beamform="mvdr")[0]
    expected = postfilter(filtered, separator.separate_batch)
    found = separator.separate_file(stereo, beamform="mvdr-postfilter")[0]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_one_channel_and_other_beamformers_are_refused(half, tmp_path):
    soundfile.write(tmp_path / "one.wav", np.ones(800) / 9, RATE)
    with pytest.raises(InputError, match=r"one.wav: 1 channel; beamforming needs two or more"):
        half.separate_file(tmp_path / "one.wav", beamform="mvdr")
    with pytest.raises(InputError, match="beamform='gev': expected mvdr, mvdr-postfilter"):
        SeparationOptions(beamform="gev")


@pytest.fixture
def rough():
    """What four microphones hear of two voices, [mics, C, time], and estimates [mics, time, C] of it."""
    torch.manual_seed(0)
    heard = array(voices(), [(0, 0), (2, -3), (5, 1), (-4, 4)])
    return heard, heard.transpose(1, 2) + 0.3 * torch.randn(heard.transpose(1, 2).shape)


@pytest.mark.parametrize("scale", [0.1, 1, 3, -1, (2, -0.2)])
def test_estimates_may_have_any_level_and_sign(rough, scale):
    heard, estimates = rough
    better = beamform(heard.sum(1), torch.as_tensor(scale) * estimates, RATE)
    assert (quality(better, heard[0]) > quality(estimates[0], heard[0]) + 4).all()


@pytest.mark.parametrize("gain", [1e-3, 30, 1e3])
def test_microphones_may_have_unlike_levels(rough, gain):
    heard, estimates = rough
    expected = beamform(heard.sum(1), estimates, RATE)
    for unlike in (0, 1):
        gains = torch.ones(4, 1, 1).index_fill(0, torch.tensor(unlike), gain)
        found = beamform((gains * heard).sum(1), gains * estimates, RATE)
        torch.testing.assert_close(found / gains[0, 0], expected, rtol=0, atol=1e-3)


class Knows(Half):
    """Gives of each channel that it is asked about estimates [mics, time, C] that it was told."""

    def separate_batch(self, mix, lengths=None):
        shape = mix[0] / mix.abs().max()
        return self.told[(self.heard @ shape).abs().argmax()].unsqueeze(0)


@pytest.fixture
def knows(rough):
    separator = Knows(hparams={"sample_rate": RATE, "num_spks": 2})
    heard, separator.told = rough
    separator.heard = torch.nn.functional.normalize(heard.sum(1), dim=1)
    return separator


def test_a_copy_and_a_dead_channel_are_no_microphones(rough, knows):
    mixture = rough[0].sum(1)
    dead, double = torch.zeros_like(mixture[:1]), 0.5 * mixture[:1]
    expected = knows.separate_audio(mixture, RATE, beamform="mvdr")
    found = knows.separate_audio(torch.cat([dead, mixture, double]), RATE, beamform="mvdr")
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("scale", ["none", "mixture", "consistent"])
@pytest.mark.parametrize("beamform", BEAMFORMERS)
def test_of_one_microphone_in_two_channels_come_the_separators_own_sources(rough, knows, beamform, scale):
    """No filter tells apart what comes from one place: it would give the mixture twice."""
    first = rough[0].sum(1)[:1]
    expected = knows.separate_audio(first[0], RATE, scale=scale)
    for stereo in ([first, first], [0 * first, first], [first, -0.3 * first]):
        found = knows.separate_audio(torch.cat(stereo), RATE, beamform=beamform, scale=scale)
        torch.testing.assert_close(found, expected)


def test_nothing_is_made_of_silence(knows):
    assert (
        not Half(hparams={"sample_rate": RATE, "num_spks": 2})
        .separate_audio(torch.zeros(3, RATE), RATE, beamform="mvdr")
        .any()
    )


@pytest.mark.parametrize("channels", ["left", "right", "each"])
def test_a_beamformer_takes_all_channels(channels):
    with pytest.raises(InputError, match=f"channels='{channels}' with beamform='mvdr': .* leave channels out"):
        SeparationOptions(channels, beamform="mvdr")
