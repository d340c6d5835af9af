"""The pretrained interface: what was trained is what is loaded, on any audio file."""

import numpy as np
import pytest
import soundfile
import torch
from speechbrain.inference.separation import SepformerSeparation

from speechbrain_tasnet import Decoder, Encoder, MaskNet, TasNetSeparation, separate
from speechbrain_tasnet.bundle import save_bundle
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.network import precision
from speechbrain_tasnet.ops import fallbacks
from speechbrain_tasnet.separation.recording import write_sources


def build():
    return {"encoder": Encoder(16, 8), "masknet": MaskNet(16, 8, 16, 8, X=2, R=1, C=3), "decoder": Decoder(16, 8)}


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    modules = build()
    save_bundle(tmp_path / "pretrained", modules, sample_rate=8000)
    return tmp_path / "pretrained"


def test_saved_and_loaded_it_gives_the_same_samples(tmp_path):
    modules, mixture = build(), torch.randn(2, 1003)
    save_bundle(tmp_path / "here", modules, 8000)
    expected = separate(*modules.values(), mixture)
    assert torch.equal(
        TasNetSeparation.from_hparams(source=str(tmp_path / "here")).separate_batch(mixture), expected
    )
    save_bundle(tmp_path / "here", build(), 8000, replace=True)  # another takes its place
    assert not torch.equal(TasNetSeparation.from_bundle(tmp_path / "here").separate_batch(mixture), expected)


def test_a_trained_model_is_found_in_its_run(trained):
    assert TasNetSeparation.from_bundle(trained).separate_batch(torch.randn(1, 800)).shape == (1, 800, 2)


@pytest.mark.parametrize("num_samples", [1, 3, 8, 1000, 1003])
def test_the_toolkits_own_interface_loads_it_and_gives_the_same(folder, num_samples):
    mixture = torch.randn(2, num_samples)
    theirs = SepformerSeparation.from_hparams(source=str(folder)).separate_batch(mixture)
    ours = TasNetSeparation.from_bundle(folder).separate_batch(mixture)
    torch.testing.assert_close(theirs, ours, rtol=1e-6, atol=1e-6)


def test_lengths(folder):
    separator, mixture = TasNetSeparation.from_bundle(folder), torch.randn(2, 1000)
    padded = separator.separate_batch(mixture, torch.tensor([1.0, 0.5]))
    torch.testing.assert_close(padded[1:, :500], separator.separate_batch(mixture[1:, :500]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (8000, 2), (44100, 2), (4000, 1), (11025, 1)])
def test_files_of_any_rate_come_back_at_their_rate_and_length(folder, tmp_path, rate, channels):
    samples = 0.1 * np.random.default_rng(0).standard_normal((rate + 7, channels))
    soundfile.write(tmp_path / "mix.flac", samples, rate)
    sources = TasNetSeparation.from_bundle(folder).separate_file(tmp_path / "mix.flac")
    assert sources.shape == (1, rate + 7, 3)
    assert sources.isfinite().all()


def test_files_give_what_batches_give(folder, tmp_path):
    soundfile.write(tmp_path / "mix.wav", 0.1 * np.random.default_rng(0).standard_normal(4003), 8000, "FLOAT")
    mixture = torch.from_numpy(soundfile.read(tmp_path / "mix.wav", dtype="float32")[0]).unsqueeze(0)
    separator = TasNetSeparation.from_bundle(folder)
    assert torch.equal(separator.separate_file(tmp_path / "mix.wav"), separator.separate_batch(mixture))


def test_sources_are_written_one_a_file_and_never_clip(folder, tmp_path):
    samples = np.sign(np.random.default_rng(0).standard_normal(4000))
    soundfile.write(tmp_path / "loud.wav", samples, 8000, "FLOAT")
    separator = TasNetSeparation.from_bundle(folder)
    with torch.no_grad():
        separator.mods.decoder.weight.mul_(100)
    paths = write_sources(separator, tmp_path / "loud.wav", tmp_path / "out")
    assert [path.name for path in paths] == ["loud_s1.wav", "loud_s2.wav", "loud_s3.wav"]
    written = np.stack([soundfile.read(path)[0] for path in paths], axis=1)
    expected = separator.separate_file(tmp_path / "loud.wav")[0].numpy()
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(written, expected / np.abs(expected).max(), atol=1e-4)


def test_silence_stays_silence(folder, tmp_path):
    soundfile.write(tmp_path / "silence.wav", np.zeros(4000), 8000)
    for path in write_sources(TasNetSeparation.from_bundle(folder), tmp_path / "silence.wav", tmp_path):
        assert (soundfile.read(path)[0] == 0).all()


def test_files_that_are_there_are_kept_unless_told(folder, tmp_path):
    soundfile.write(tmp_path / "mix.wav", np.zeros(800), 8000)
    (tmp_path / "mix_s2.wav").write_text("mine")
    separator = TasNetSeparation.from_bundle(folder)
    with pytest.raises(InputError, match="is there already"):
        write_sources(separator, tmp_path / "mix.wav", tmp_path)
    assert (tmp_path / "mix_s2.wav").read_text() == "mine"
    assert not (tmp_path / "mix_s1.wav").exists()
    write_sources(separator, tmp_path / "mix.wav", tmp_path, overwrite=True)
    assert soundfile.info(tmp_path / "mix_s2.wav").frames == 800


def test_a_folder_without_a_separator(tmp_path):
    with pytest.raises(InputError, match="holds no separator"):
        TasNetSeparation.from_bundle(tmp_path)


def test_a_slow_precision_is_warned_of(monkeypatch, capsys):
    monkeypatch.setattr(fallbacks, "_noted", {})
    monkeypatch.setattr(precision, "relative_time", lambda name, device: 8.0 if name == "bf16" else 1.0)
    modules, hparams = build(), {"sample_rate": 8000, "num_spks": 3}
    TasNetSeparation(modules, hparams, run_opts={"device": "cpu"})
    assert capsys.readouterr().err == ""
    TasNetSeparation(modules, hparams, run_opts={"device": "cpu", "precision": "bf16"})
    assert "precision=bf16: no instructions for it; a step takes 8 times as long" in capsys.readouterr().err
