"""How high voices are, and the scores of low and of high ones."""

import numpy as np
import pytest

from speechbrain_tasnet.evaluation.by_condition import by_condition
from speechbrain_tasnet.evaluation.pitch import median_pitch, voices_of


def voice(hertz, rate=8000, seconds=1.0, lowest=1):
    """Make harmonics of a voice that rises and falls a little, in a little noise."""
    time = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(hertz * (1 + 0.05 * np.sin(2 * np.pi * 2 * time))) / rate
    harmonics = sum(np.cos(k * phase + k) / k for k in range(lowest, int(rate / 2.2 / hertz)))
    return harmonics * np.sin(np.pi * time / seconds) + np.random.default_rng(0).normal(0, 0.03, len(time))


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("hertz", [75, 120, 210, 330])
def test_the_pitch_of_a_voice(hertz, rate):
    assert median_pitch(voice(hertz, rate), rate) == pytest.approx(hertz, rel=0.04)


def test_a_telephone_takes_the_fundamental_and_leaves_the_pitch():
    assert median_pitch(voice(120, lowest=3), 8000) == pytest.approx(120, rel=0.04)


def test_pauses_do_not_count():
    paused = np.concatenate([np.zeros(8000), voice(120), np.random.default_rng(1).normal(0, 1e-3, 16000)])
    assert median_pitch(paused, 8000) == pytest.approx(120, rel=0.04)


@pytest.mark.parametrize(
    "samples", [np.zeros(8000), np.zeros(0), np.zeros(100), np.random.default_rng(2).normal(size=8000)]
)
def test_what_is_no_voice_has_no_pitch(samples):
    assert median_pitch(samples, 8000) is None


@pytest.mark.parametrize(
    ("pitches", "kind"), [((110, 130), "low"), ((220, 300), "high"), ((120, 220), "low and high")]
)
def test_voices_are_low_or_high(pitches, kind):
    voices = np.stack([voice(hertz) for hertz in pitches], axis=1)
    assert voices_of(voices, 8000) == voices_of(voices[:, ::-1], 8000) == kind
    assert voices_of(np.concatenate([voices, 0 * voices[:, :1]], axis=1), 8000) is None


def test_scores_by_voices():
    row = {"level_difference": None, "duration": None}
    rows = [
        {"si-snr_i": gain, "voices": kind, **row}
        for gain, kind in ((2.0, "low"), (4.0, "low"), (9.0, "low and high"), (None, "high"), (1.0, None))
    ]
    groups = by_condition(rows)["voices"]
    assert {kind: (group["mean"], group["count"]) for kind, group in groups.items()} == {
        "low": (3.0, 2),
        "low and high": (9.0, 1),
    }
