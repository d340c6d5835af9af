"""Microphones, telephones and codecs between people and a mixture."""

import numpy as np
import pytest
import torch
from mixed_speech import decibels, mixing, power
from scipy.signal import correlate

from speechbrain_tasnet.audio.channels import CODECS, coded
from speechbrain_tasnet.data.dynamic_mixing import channels as drawn
from speechbrain_tasnet.data.dynamic_mixing.channels import TILT_DB, Channels
from speechbrain_tasnet.errors import InputError

RATE = 8000


def spectrum(signal):
    """Measure the power in bands of 100 Hz."""
    power = np.abs(np.fft.rfft(np.asarray(signal, np.float64))) ** 2
    return power[: len(power) // 40 * 40].reshape(40, -1).mean(1)


def voices(seed=0, seconds=4):
    return np.random.default_rng(seed).normal(0, 0.1, (2, seconds * RATE)).astype(np.float32)


def test_each_voice_has_a_microphone_of_its_own():
    dry = voices()
    heard = Channels(RATE).voices(dry, np.random.default_rng(1))
    assert heard.shape == dry.shape
    assert heard.dtype == np.float32
    gains = np.array([10 * np.log10(spectrum(h) / spectrum(d)) for h, d in zip(heard, dry, strict=True)])
    assert np.abs(gains).max() < TILT_DB + 0.5
    assert np.abs(gains).max() > 1
    assert np.abs(gains[0] - gains[1]).max() > 1


def test_a_telephone_takes_from_all_what_it_takes_from_the_mixture(monkeypatch):
    monkeypatch.setattr(drawn, "BAND_SHARE", 1.0)
    monkeypatch.setattr(drawn, "coded", lambda samples, *options: samples)
    sources = voices()
    signals = Channels(RATE).together(np.stack([sources.sum(0), *sources]), np.random.default_rng(2))
    np.testing.assert_allclose(signals[1:].sum(0), signals[0], atol=1e-5)
    for signal, dry in zip(signals[1:], sources, strict=True):
        kept = spectrum(signal) / spectrum(dry)
        assert kept[10:25].min() > 0.99  # 1000 to 2500 Hz
        assert kept[0] < 0.02
        assert kept[-1] < 0.2


@pytest.mark.parametrize(("name", "least"), [("mulaw", 30), ("alaw", 30), ("gsm", 2), ("opus", 2)])
def test_a_codec_spoils_a_little_and_delays_nothing(name, least):
    time = np.arange(2 * RATE) / RATE
    speech = sum(np.sin(2 * np.pi * 120 * k * time + k) / k for k in range(1, 20)) * np.sin(np.pi * time) / 3
    speech = speech.astype(np.float32)
    decoded = coded(speech, RATE, name)
    assert decoded.shape == speech.shape
    assert decoded.dtype == np.float32
    assert int(np.argmax(correlate(decoded, speech))) == len(speech) - 1
    error = decibels(power(torch.from_numpy(speech)) / power(torch.from_numpy(decoded - speech)))
    assert least < error < 60


def test_a_codec_that_does_not_know_the_rate_is_left_out():
    assert "opus" in Channels(8000).codecs
    assert Channels(11025).codecs == ["mulaw", "alaw", "gsm"]
    with pytest.raises(InputError, match="opus at 11025 Hz: expected one of 8000, "):
        coded(np.zeros(100), 11025, "opus")


@pytest.mark.parametrize("name", CODECS)
def test_silence_goes_through_every_codec(name):
    assert np.abs(coded(np.zeros(RATE, np.float32), RATE, name)).max() < 1e-6


def test_a_share_of_the_items_comes_through_channels(hiss):
    plain, mixed = mixing(hiss, length=40), mixing(hiss, length=40, channel_share=0.5)
    coded = [(item["mixture"] - item["sources"].sum(1)).abs().max() > 1e-4 for item in mixed]
    assert 0.1 < np.mean(coded) < 0.5
    assert all(item["mixture"].abs().max() <= 0.9001 for item in mixed)
    assert all(item["mixture"].dtype == item["sources"].dtype == torch.float32 for item in mixed)
    assert all((item["mixture"] - item["sources"].sum(1)).abs().max() < 1e-5 for item in plain)
