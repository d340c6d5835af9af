"""Separators are scored on one to three people, whose voices come from whole mixtures or from streams."""

import json

import numpy as np
import pytest
import torch

from benchmarks.quality import talk
from speechbrain_tasnet import Decoder, Encoder, MaskNet
from speechbrain_tasnet.bundle import save_bundle
from speechbrain_tasnet.separation.live_voices import LiveVoices
from speechbrain_tasnet.separation.pretrained import TasNetSeparation


@pytest.fixture(scope="module")
def causal(tmp_path_factory):
    """A causal separator of two voices that counts, untrained."""
    torch.manual_seed(0)
    net = MaskNet(16, 8, 24, 8, X=3, R=1, C=2, norm="cumulative", causal=True)
    modules = {"encoder": Encoder(16, 16), "masknet": net, "decoder": Decoder(16, 16)}
    folder = tmp_path_factory.mktemp("separator") / "causal"
    save_bundle(folder, modules, talk.RATE, {"silence": "power"})
    return folder


def test_a_stream_is_silenced_without_knowing_the_future(causal):
    separator = TasNetSeparation.from_bundle(causal, device="cpu")
    mixture = 0.1 * torch.randn(20001)
    mixture[8000:16000] *= 1e-4
    whole = separator.separate_batch(mixture[None])[0].numpy()
    expected, _ = LiveVoices(talk.RATE).hear(whole)
    assert (expected[13000:15900] == 0).all()
    np.testing.assert_allclose(talk.separate_live(separator, mixture), expected, atol=1e-5)


@pytest.mark.parametrize("live", [[], ["--live"]])
def test_who_was_found_is_a_table(live, causal, speech_folder, tmp_path, monkeypatch, capsys):
    mixtures = ["--speech", speech_folder, "--kinds", "all the time", "--hours", 0.003, "--out", tmp_path]
    monkeypatch.setattr("sys.argv", ["", *map(str, [causal, *mixtures, *live])])
    talk.main()
    *_, row = capsys.readouterr().out.splitlines()
    assert row.startswith("| causal | ")
    [(_, scores)] = json.loads((tmp_path / "talk.json").read_text()).items()
    assert set(scores["by speakers"]) <= {"1", "2", "3"}
