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
from speechbrain_tasnet.separation.streaming import StreamingSeparator


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


TYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]


@pytest.mark.parametrize("dtype", TYPES)
def test_every_floating_point_comes_out_as_it_went_in(folder, dtype):
    separator, mixture = TasNetSeparation.from_bundle(folder), torch.randn(2, 1003).to(dtype)
    expected = separator.separate_batch(mixture.float())
    sources = separator.separate_batch(mixture)
    assert sources.dtype == dtype
    assert torch.equal(sources, expected.to(dtype))
    assert torch.equal(separate(*separator.mods.values(), mixture), sources)


@pytest.mark.parametrize(("dtype", "full"), [(np.int16, 2**15), (np.int32, 2**31)])
def test_pcm_is_scaled_as_soundfile_does_it(folder, tmp_path, dtype, full):
    separator = TasNetSeparation.from_bundle(folder)
    pcm = (np.random.default_rng(0).uniform(-1, 1, 1003) * full).astype(dtype)
    soundfile.write(tmp_path / "mix.wav", pcm, 8000, f"PCM_{8 * pcm.itemsize}")
    read, _ = soundfile.read(tmp_path / "mix.wav", dtype="float32")
    expected = separator.separate_batch(torch.from_numpy(read)[None])
    sources = separator.separate_batch(torch.from_numpy(pcm)[None])
    assert torch.equal(sources, expected)
    assert sources.dtype == torch.float32


def test_arrays_come_out_as_arrays(folder):
    separator, mixture = TasNetSeparation.from_bundle(folder), torch.randn(2, 1003)
    expected = separator.separate_batch(mixture).numpy()
    read_only = mixture.numpy().copy()
    read_only.flags.writeable = False
    for array in (mixture.numpy(), mixture.double().numpy(), read_only, mixture.numpy().astype(">f4")):
        sources = separator.separate_batch(array)
        assert isinstance(sources, np.ndarray)
        assert sources.dtype == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(sources, expected)
    backwards = separator.separate_batch(mixture.numpy()[::-1])
    np.testing.assert_allclose(backwards, expected[::-1], rtol=1e-5, atol=1e-6)
    lengths = np.array([1.0, 0.5])
    padded = separator.separate_batch(mixture.numpy(), lengths)
    np.testing.assert_array_equal(padded, separator.separate_batch(mixture, torch.from_numpy(lengths)).numpy())
    assert isinstance(separate(*build().values(), mixture.numpy()), np.ndarray)


def test_an_empty_batch_is_separated_into_an_empty_batch(folder):
    separator = TasNetSeparation.from_bundle(folder)
    assert separator.separate_batch(torch.zeros(0, 100)).shape == (0, 100, 3)
    assert separator.separate_batch(np.zeros((0, 100), np.int16)).shape == (0, 100, 3)


@pytest.mark.parametrize(
    ("mixture", "words"),
    [
        (torch.zeros(1, 100, dtype=torch.int64), "mixture of int64: expected float64, float32, float16"),
        (torch.zeros(1, 100, dtype=torch.complex64), "mixture of complex64"),
        (np.zeros((1, 100), bool), "mixture of bool"),
        (np.zeros((1, 100), np.longdouble), "mixture of float128|longdouble|float64"),
        (np.full((1, 100), None), "mixture of object"),
        ([[0.0] * 100], "mixture of type list: expected a tensor or a NumPy array"),
        (torch.zeros(1, 100, device="meta"), "the samples are on the device meta"),
    ],
)
def test_what_is_no_sound_is_refused(mixture, words):
    with pytest.raises(InputError, match=words):
        separate(*build().values(), mixture)


def norms(norm, causal):
    torch.manual_seed(0)
    net = MaskNet(16, 8, 16, 8, X=2, R=1, C=3, norm=norm, causal=causal)
    return {"encoder": Encoder(16, 8), "masknet": net, "decoder": Decoder(16, 8)}


@pytest.mark.parametrize(("norm", "causal"), [("global", False), ("cumulative", True), ("channelwise", True)])
@pytest.mark.parametrize(
    ("dtype", "error"), [(torch.float64, 1e-5), (torch.float16, 5e-3), (torch.bfloat16, 4e-2)]
)
def test_models_of_every_floating_point_run_on_a_processor(norm, causal, dtype, error):
    mixture = torch.randn(2, 1003)
    for lengths in (None, torch.tensor([1.0, 0.5])):
        expected = separate(*norms(norm, causal).values(), mixture, lengths)
        modules = {name: module.to(dtype) for name, module in norms(norm, causal).items()}
        hparams = {"sample_rate": 8000, "num_spks": 3}
        sources = TasNetSeparation(modules, hparams, run_opts={"device": "cpu"}).separate_batch(mixture, lengths)
        assert sources.dtype == torch.float32
        assert (sources - expected).abs().max() < error * expected.abs().max()


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int16])
@pytest.mark.parametrize("weights", [torch.float32, torch.bfloat16])
def test_streams_take_the_same(dtype, weights):
    modules = [module.to(weights) for module in norms("cumulative", True).values()]
    mixture = np.random.default_rng(0).standard_normal((1, 1003))
    chunk = (1000 * mixture).astype(dtype) if dtype == np.int16 else mixture.astype(dtype)
    live = StreamingSeparator(*modules)
    first, rest = live.step(chunk), live.flush().float().numpy()
    assert first.dtype == (np.float32 if dtype == np.int16 else dtype)
    expected = separate(*modules, chunk)
    joined = np.concatenate([first, rest], axis=1)
    assert np.abs(joined - expected).max() < (1e-5 if weights == torch.float32 else 4e-2) * np.abs(expected).max()
    with pytest.raises(InputError, match="chunk of int64"):
        live.step(chunk.astype(np.int64))


def test_a_model_without_weights_is_refused_in_one_line():
    with torch.device("meta"):
        modules = norms("cumulative", True)
    hparams = {"sample_rate": 8000, "num_spks": 3}
    for attempt in (
        lambda: TasNetSeparation(modules, hparams, run_opts={"device": "cpu"}),
        lambda: separate(*modules.values(), torch.zeros(1, 100)),
        lambda: StreamingSeparator(*modules.values()),
    ):
        with pytest.raises(InputError, match=r"^[^\n]*on the device meta and has no weights[^\n]*$"):
            attempt()


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
    with pytest.raises(InputError, match="already exists"):
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
