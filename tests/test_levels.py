"""The active speech level on signals whose answer is known, and beside the Recommendation's own steps."""

import numpy as np
import pytest
import soundfile
from scipy.optimize import brentq
from scipy.signal import cheby2, freqz_sos, resample_poly, sosfilt

from speechbrain_tasnet.audio.speech_level import active_level


def decibels(ratio):
    return 10 * np.log10(ratio)


def tone(seconds, frequency=1000, rate=8000, amplitude=0.1):
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


def noise(seconds, rate=8000, deviation=0.1):
    return np.random.default_rng(0).normal(0, deviation, round(seconds * rate))


def edge_filter(kind, edge, far, rate):
    """Search the Chebyshev filter of order 5 that loses 0.25 dB at the edge and 50 dB beyond its stopband's."""

    def design(stop):
        return cheby2(5, 50, stop, kind, fs=rate, output="sos")

    def excess(stop):
        return 20 * np.log10(np.abs(freqz_sos(design(stop), [edge], fs=rate)[1][0])) + 0.25

    return design(brentq(excess, *sorted([edge, far])))


def band(rate):
    """Sections of the filters of P.56: 200 Hz to 5.5 kHz."""
    high = edge_filter("highpass", 200, 20, rate)
    return high if rate == 8000 else np.concatenate([high, edge_filter("lowpass", 5500, 7900, rate)])


def heard(rate):
    """Tell how much of white noise passes the filters."""
    return np.mean(np.abs(freqz_sos(band(rate), 4096)[1]) ** 2)


def plain_level(samples, rate):
    """P.56 as it is written: two means, a counter and a hangover for each threshold, sample after sample."""
    samples = sosfilt(band(rate), np.concatenate([samples, np.zeros(round(0.35 * rate))]))
    thresholds = 2.0 ** np.arange(0, -40, -1)
    active, waited = np.zeros(40), np.full(40, np.inf)
    keep, p, q = np.exp(-1 / (0.03 * rate)), 0.0, 0.0
    for sample in np.abs(samples):
        p = keep * p + (1 - keep) * sample
        q = keep * q + (1 - keep) * p
        waited = np.where(q * q >= thresholds, 0, waited + 1)
        active += waited <= 0.2 * rate
    reached = active > 0
    levels = decibels(np.sum(samples**2) / active[reached])
    margins = levels - decibels(thresholds[reached]) - 15.9
    after = int(np.argmax(margins >= 0))
    return 10 ** (np.interp(0, margins[after - 1 : after + 1], levels[after - 1 : after + 1]) / 10)


@pytest.mark.parametrize("rate", [8000, 16000])
def test_speech_has_the_level_of_the_recommendation(speech_folder, rate):
    for path in sorted(speech_folder.glob("*/*.wav"))[::7]:
        samples = resample_poly(soundfile.read(path)[0][:16000], rate // 8000, 1)
        assert decibels(active_level(samples, rate) / plain_level(samples, rate)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("sound", [tone, noise])
@pytest.mark.parametrize("pause", [0.5, 2, 8])
def test_pauses_do_not_count(sound, pause):
    burst = sound(4)
    gap = np.zeros(round(pause * 8000))
    speech = np.concatenate([gap, burst, gap, burst, gap, burst])
    power = np.mean(burst**2) * (heard(8000) if sound is noise else 1)
    # Of every pause count the hangover, 0.2 s, and the 0.08 s in which the envelope falls.
    assert decibels(power / active_level(speech, 8000)) == pytest.approx(decibels(4.28 / 4), abs=0.03)


def test_faint_noise_in_the_pauses_does_not_count():
    speech = np.concatenate([noise(3, deviation=0.0005), tone(4), noise(3, deviation=0.0005), tone(4)])
    assert decibels(active_level(speech, 8000) / np.mean(tone(4) ** 2)) == pytest.approx(0, abs=0.35)


def test_short_pauses_count():
    words = np.tile(np.concatenate([tone(0.2), np.zeros(800)]), 40)
    assert decibels(active_level(words, 8000) / np.mean(words**2)) == pytest.approx(0, abs=0.15)


def test_continuous_noise_has_its_power_in_the_band():
    for rate in (8000, 16000):
        assert active_level(noise(60, rate), rate) == pytest.approx(0.1**2 * heard(rate), rel=0.01)


@pytest.mark.parametrize(
    ("frequency", "rate", "loss"), [(200, 8000, 0.25), (200, 16000, 0.25), (5500, 16000, 0.25), (3900, 8000, 0)]
)
def test_tones_in_the_band_count_in_full(frequency, rate, loss):
    level = active_level(tone(10, frequency, rate), rate) / active_level(tone(10, 1000, rate), rate)
    assert decibels(level) == pytest.approx(-loss, abs=0.02)


@pytest.mark.parametrize(("frequency", "rate"), [(50, 8000), (60, 16000), (7500, 16000)])
def test_hum_and_hiss_beside_speech_do_not_count(frequency, rate):
    speech = np.concatenate([tone(3, rate=rate), np.zeros(3 * rate), tone(3, rate=rate)])
    beside = speech + tone(9, frequency, rate)
    assert active_level(beside, rate) == pytest.approx(active_level(speech, rate), rel=0.02)


@pytest.mark.parametrize("factor", [3, 0.01, 2])
def test_level_is_a_power(speech_folder, factor):
    for path in sorted(speech_folder.glob("*/*.wav"))[::5]:
        samples = soundfile.read(path)[0]
        expected = factor**2 * active_level(samples, 8000)
        assert active_level(factor * samples, 8000) == pytest.approx(expected, rel=0.01)


def test_silence_around_changes_nothing(speech_folder):
    samples = soundfile.read(min(speech_folder.glob("*/*.wav")))[0][:9000]
    around = np.concatenate([np.zeros(8000), samples, np.zeros(80000)])
    assert active_level(around, 8000) == pytest.approx(active_level(samples, 8000), rel=1e-4)


def test_a_clip_of_a_tenth_of_a_second():
    # Its energy is spread over the hangover, too, and over 0.11 s in which the envelope falls.
    assert active_level(tone(0.1), 8000) == pytest.approx(0.1**2 / 2 * 0.1 / 0.41, rel=0.05)


def test_silence_has_none():
    assert active_level(np.zeros(800), 8000) == 0.0
    assert active_level(np.zeros(0, np.float32), 16000) == 0.0


def test_an_offset_is_not_heard():
    assert active_level(np.full(16000, 0.5), 8000) < 0.002 * 0.5**2
    assert active_level(tone(4) + 0.1, 8000) == pytest.approx(active_level(tone(4), 8000), rel=0.01)


def test_a_click_and_a_single_sample_have_a_level():
    click = np.zeros(8000)
    click[4000] = 1
    assert 0 < active_level(click, 8000) == pytest.approx(active_level(np.ones(1), 8000), rel=1e-6)


def test_float32_and_integers_are_taken():
    samples = noise(1)
    assert active_level(samples.astype(np.float32), 8000) == pytest.approx(active_level(samples, 8000), rel=1e-6)
    assert isinstance(active_level((1000 * samples).astype(np.int16), 8000), float)
