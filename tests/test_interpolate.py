"""Weights between those of two separators."""

import pytest
import torch

from benchmarks.training import interpolate
from speechbrain_tasnet import Decoder, Encoder, MaskNet
from speechbrain_tasnet.bundle import load_bundle, save_bundle
from speechbrain_tasnet.errors import InputError


def separator(folder, seed, blocks=1):
    torch.manual_seed(seed)
    modules = {"encoder": Encoder(8, 4), "masknet": MaskNet(8, 4, 8, 4, X=blocks, R=1), "decoder": Decoder(8, 4)}
    save_bundle(folder, modules, 8000, {"audio_hours": float(seed)})
    return str(folder)


def run(monkeypatch, *words):
    monkeypatch.setattr("sys.argv", ["interpolate", *map(str, words)])
    interpolate.main()


def test_weights_lie_a_quarter_of_the_way_from_the_old_to_the_new(tmp_path, monkeypatch):
    old, new = separator(tmp_path / "old", 1), separator(tmp_path / "new", 2)
    run(monkeypatch, old, new, "--share", 0.25, "--out", tmp_path / "between")
    found = load_bundle(tmp_path / "between")
    assert found.config.about["audio_hours"] == 2.0
    first, second = load_bundle(old), load_bundle(new)
    for name, module in found.model.items():
        before, after = first.model[name].state_dict(), second.model[name].state_dict()
        for key, weight in module.state_dict().items():
            torch.testing.assert_close(weight, 0.75 * before[key] + 0.25 * after[key])


def test_the_ends_are_the_separators_themselves(tmp_path):
    old, new = separator(tmp_path / "old", 1), separator(tmp_path / "new", 2)
    for share, end in ((0.0, old), (1.0, new)):
        found = interpolate.interpolate(load_bundle(old), load_bundle(new), share)
        wanted = load_bundle(end)
        for name, module in found.model.items():
            for key, weight in module.state_dict().items():
                assert torch.equal(weight, wanted.model[name].state_dict()[key]), key


def test_what_cannot_be_interpolated_is_refused(tmp_path, monkeypatch):
    old, new = separator(tmp_path / "old", 1), separator(tmp_path / "new", 2, blocks=2)
    with pytest.raises(InputError, match="the two networks differ"):
        run(monkeypatch, old, new, "--share", 0.5, "--out", tmp_path / "between")
    with pytest.raises(InputError, match=r"share=1.5: expected a number from 0"):
        run(monkeypatch, old, old, "--share", 1.5, "--out", tmp_path / "between")
    assert not (tmp_path / "between").exists()
