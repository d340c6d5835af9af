"""The bundled separators: whole, honest, small, and there without a network."""

import re
from pathlib import Path

import pytest
import soundfile
import torch

from speechbrain_tasnet.bundle import find_bundle, load_bundle
from speechbrain_tasnet.cli import main
from speechbrain_tasnet.shipped import DEFAULT, HOME, bundled_names

README = Path(__file__).parents[1] / "README.md"


def test_they_fit_into_a_small_wheel():
    sizes = [path.stat().st_size for path in HOME.rglob("*.safetensors")]
    assert max(sizes) < 12e6
    assert sum(sizes) < 30e6


@pytest.mark.parametrize("name", bundled_names())
def test_each_says_what_it_is(name):
    config = load_bundle(find_bundle(name)).config
    about = config.about
    assert (about["name"], config.sample_rate) == (name, 8000)
    assert config.num_spks == (3 if name == "convtasnet-8k-talk" else 2)
    assert config.counts_voices == ("talk" in name)
    for known in ("data", "licence", "recipe", "revision", "conditions"):
        assert about[known], known
    score = about["scores"]["si-snr_i"]
    assert score["count"] >= 500
    row = next(line for line in README.read_text().splitlines() if line.startswith(f"| `{name}`"))
    # The README tells what `tasnet evaluate` has found.
    assert f"{score['mean']:.1f} dB ({score['ci95'][0]:.1f} to {score['ci95'][1]:.1f})" in row
    card = (HOME / name / "README.md").read_text()
    assert f"{score['mean']:.2f} dB" in card
    assert not re.search(r"/(home|root|work|tmp)/", card + (HOME / name / "config.json").read_text())


def test_separate_takes_the_default(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    soundfile.write(tmp_path / "mixture.wav", torch.randn(12000).numpy() / 10, 16000)
    main(["separate", str(tmp_path / "mixture.wav"), "--out", str(tmp_path / "out")])
    for source in ("mixture_s1.wav", "mixture_s2.wav"):
        assert soundfile.info(tmp_path / "out" / source).frames == 12000


def test_a_folder_of_the_name_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_bundle(DEFAULT) == HOME / DEFAULT
    (tmp_path / DEFAULT).mkdir()
    (tmp_path / DEFAULT / "config.json").write_text("{}")
    assert find_bundle(DEFAULT) == Path(DEFAULT)
