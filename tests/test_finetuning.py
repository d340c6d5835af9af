"""Fine-tuning: a training that begins with the weights of a trained separator."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
import torchaudio
from other_toolkits import Asteroid, ESPnet, Kaituoxu, Naplab, small, stir
from speechbrain.lobes.models import dual_path as speechbrain_dual_path
from speechbrain.lobes.models.conv_tasnet import MaskNet as SpeechBrainMaskNet

from speechbrain_tasnet import Decoder, Encoder, MaskNet, load_weights
from speechbrain_tasnet.audio.resampling import resample
from speechbrain_tasnet.bundle import find_bundle, load_bundle, save_bundle
from speechbrain_tasnet.configuration import loading
from speechbrain_tasnet.convert import TOOLKITS
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.experiment.counting import doubts
from speechbrain_tasnet.experiment.workflow import check, run
from speechbrain_tasnet.network.model import Model
from speechbrain_tasnet.network.separate import separate
from speechbrain_tasnet.training.finetuning import start_from


def build(N=16, L=16, activation=None, edge_padding=False, **changes):
    sizes = {"B": 8, "H": 16, "Sc": 8, "X": 2, "R": 1, "C": 2} | changes
    encoder, decoder = Encoder(N, L, activation, edge_padding), Decoder(N, L, edge_padding)
    return Model(encoder, MaskNet(N, **sizes), decoder)


def build_like(model, **changes):
    parts = (
        part.config | {name: value for name, value in changes.items() if name in part.config}
        for part in model.values()
    )
    return Model(*(part(**config) for part, config in zip((Encoder, MaskNet, Decoder), parts, strict=True)))


def weights(modules):
    return {f"{name}.{key}": value for name in modules for key, value in modules[name].state_dict().items()}


@pytest.fixture
def folder(tmp_path):
    save_bundle(tmp_path / "bundle", build(), 8000)
    return tmp_path / "bundle"


def test_all_weights_are_taken(folder):
    fresh = build()
    assert "sources" not in start_from(folder, fresh, 8000)
    for name, value in weights(load_bundle(folder).model).items():
        assert torch.equal(weights(fresh)[name], value), name


@pytest.mark.parametrize("activation", ["sigmoid", "relu"])
def test_of_more_sources_the_first_are_those_of_before_and_the_others_as_loud(tmp_path, activation):
    trained = build(mask_activation=activation)
    save_bundle(tmp_path / "bundle", trained, 8000)
    fresh = build(C=4, mask_activation=activation)
    assert "4 sources instead of 2" in start_from(tmp_path / "bundle", fresh, 8000)
    mixture = torch.randn(1, 4000)
    with torch.no_grad():
        before, after = (separate(*model.values(), mixture) for model in (trained, fresh))
    torch.testing.assert_close(after[..., :2], before)
    levels = after.square().mean((0, 1)) / before.square().mean()
    assert (levels[2:] > 0.2).all()
    assert not torch.equal(*fresh.masknet.mask.weight[32:].chunk(2))  # so that each learns its own


def test_of_fewer_sources_the_first_are_kept(folder):
    fresh = build(C=1)
    assert "1 source instead of 2" in start_from(folder, fresh, 8000)
    trained = load_bundle(folder).model
    assert torch.equal(fresh.masknet.mask.weight, trained.masknet.mask.weight[:16])


def test_a_causal_network_begins_with_one_that_is_not_but_is_no_substitute(folder):
    fresh = build(causal=True, norm="cumulative")
    with pytest.raises(InputError, match="norm=cumulative"):
        start_from(folder, fresh, 8000, adapt=False)
    assert "the network is causal now" in start_from(folder, fresh, 8000)
    for name, value in weights(load_bundle(folder).model).items():
        assert torch.equal(weights(fresh)[name], value), name


@pytest.mark.parametrize("sizes", [{"X": 3}, {"R": 3}, {"X": 4, "R": 2}])
@pytest.mark.parametrize("options", [{}, {"Sc": 0}, {"causal": True, "norm": "channelwise"}])
def test_a_deeper_network_begins_as_the_shallower_one_and_learns(tmp_path, sizes, options):
    trained = build(R=2, **options)
    save_bundle(tmp_path / "bundle", trained, 8000)
    sizes = {"R": 2} | sizes
    fresh = build(**sizes, **options)
    mixture = torch.randn(2, 500)
    before = fresh(mixture)
    with pytest.raises(InputError, match=r"[XR]="):
        start_from(tmp_path / "bundle", fresh, 8000, adapt=False)
    assert torch.equal(fresh(mixture), before)
    new = fresh.masknet.config["X"] * fresh.masknet.config["R"] - 4
    assert f"{new} blocks are new" in start_from(tmp_path / "bundle", fresh, 8000)
    torch.testing.assert_close(fresh(mixture), trained(mixture))
    fresh(mixture).square().sum().backward()
    gradients = {name: weight.grad for name, weight in fresh.masknet.named_parameters() if "skip.weight" in name}
    assert all(gradient.abs().max() > 0 for gradient in gradients.values())


@pytest.mark.parametrize("options", [{}, {"edge_padding": True}, {"Sc": 0}])
def test_a_network_of_twice_the_hop_begins_as_the_finer_one(tmp_path, options):
    """Where all frames are alike, so are the masks of any two, and the coarser network equals the finer one."""
    trained = build(X=3, R=2, norm="channelwise", **options)
    for block in trained.masknet.tcn.blocks[::3]:  # those of dilation 1, which go
        for path in filter(None, (block.residual, block.skip)):
            torch.nn.init.zeros_(path.weight)
            torch.nn.init.zeros_(path.bias)
    save_bundle(tmp_path / "bundle", trained, 8000)
    fresh = build(N=32, L=32, X=2, R=2, norm="channelwise", **options)
    with pytest.raises(InputError, match=r"[NL]=32"):
        start_from(tmp_path / "bundle", fresh, 8000, adapt=False)
    assert "a frame stands for two of before" in start_from(tmp_path / "bundle", fresh, 8000)
    mixture = torch.randn(2, 8).repeat(1, 100)  # each hop of the finer one the same
    edge = 8 * (trained.masknet.tcn.receptive_field + 4)
    torch.testing.assert_close(fresh(mixture)[:, edge:-edge], trained(mixture)[:, edge:-edge])


def test_a_network_of_twice_the_hop_may_be_deeper_too(folder):
    line = start_from(folder, build(N=32, L=32, X=2, R=2), 8000)
    assert "a frame stands for two of before; 3 blocks are new" in line


def test_a_network_for_twice_the_rate_begins_as_the_one_for_half_of_it():
    trained = load_bundle(find_bundle("convtasnet-8k-2spk")).model
    fresh = build_like(trained, L=2 * trained.encoder.config["L"])
    with pytest.raises(InputError, match="sample_rate=16000"):
        start_from("convtasnet-8k-2spk", fresh, 16000, adapt=False)
    assert "the upper half of the band is new" in start_from("convtasnet-8k-2spk", fresh, 16000)
    mixture = torch.from_numpy(resample(np.random.default_rng(0).standard_normal(2000), 4000, 8000))[None].float()
    with torch.no_grad():
        expected = resample(trained(mixture)[0].T.numpy(), 8000, 16000)
        found = fresh(torch.from_numpy(resample(mixture.numpy(), 8000, 16000)))[0].T.numpy()
    assert np.square(found - expected).mean() < 0.01 * np.square(expected).mean()


def test_a_deeper_network_for_more_sources(folder):
    fresh = build(X=3, C=3)
    line = start_from(folder, fresh, 8000)
    assert "3 sources instead of 2; 1 blocks are new" in line


@pytest.mark.parametrize(
    ("changes", "rate", "message"),
    [
        ({"N": 24}, 8000, "N=24: the separator in .* has 16; give --N 16"),
        ({"X": 1, "R": 2}, 8000, "X=1: .* give --X 2"),
        ({"norm": "cumulative"}, 8000, "norm=cumulative: .* has global; give --norm global"),
        ({"activation": "relu"}, 8000, "encoder_activation=relu: .* has None; give --encoder_activation null"),
        ({"edge_padding": True}, 8000, "edge_padding=True: .* has False; give --edge_padding False"),
        ({"input_norm": "channelwise"}, 8000, "input_norm=channelwise: .* has None; give --input_norm null"),
        ({"conv_padding": "reflect"}, 8000, "conv_padding=reflect: .* has zeros; give --conv_padding zeros"),
        ({}, 16000, "sample_rate=16000: .* give --sample_rate 8000"),
    ],
)
def test_any_other_difference_is_refused_and_changes_nothing(folder, changes, rate, message):
    fresh = build(**changes)
    before = {name: value.clone() for name, value in weights(fresh).items()}
    with pytest.raises(InputError, match=message):
        start_from(folder, fresh, rate)
    assert all(torch.equal(value, before[name]) for name, value in weights(fresh).items())


def test_a_run_starts_from_another_and_only_when_it_is_fresh(trained, corpus, tiny, tmp_path):
    start = shutil.copytree(trained / "pretrained", tmp_path / "start")
    words = ["wsj0mix", "--data_folder", str(corpus), "--pretrained", str(start), *tiny]
    words += ["--output_folder", str(tmp_path / "run"), "--lr", "1e-9"]
    run([*words, "--number_of_epochs", "1"])
    assert f"Starting from {start}" in (tmp_path / "run/log.txt").read_text()
    tuned, config = load_bundle(tmp_path / "run/pretrained")
    for name, value in weights(load_bundle(start).model).items():
        torch.testing.assert_close(weights(tuned)[name], value, rtol=0, atol=1e-4)
    assert config.about["started_from"] == "start"
    before = load_bundle(start).config.about["audio_hours"]
    assert before <= config.about["audio_hours"] <= before + 0.1
    assert config.about["not_improved"] >= 0
    shutil.rmtree(start)  # a run that goes on needs it no more
    run([*words, "--number_of_epochs", "2"])
    log = (tmp_path / "run/log.txt").read_text()
    assert len(re.findall("Starting from", log)) == 1
    assert "Resuming after 1 complete epochs" in log


def test_a_training_that_forgets_to_count_says_so(trained, corpus, tiny, tmp_path, caplog):
    start = shutil.copytree(trained / "pretrained", tmp_path / "start")
    words = ["wsj0mix", "--data_folder", str(corpus), "--pretrained", str(start), *tiny]
    words += ["--output_folder", str(tmp_path / "run"), "--number_of_epochs", "1"]
    power = ["--loss_silence", "power", "--loss_cap", "30"]

    def found(*options, begins=True):
        return doubts(loading.read([*words, *options]).settings, begins)

    assert found() == []
    config = json.loads((start / "config.json").read_text())
    config["about"]["silence"] = "power"
    (start / "config.json").write_text(json.dumps(config))
    for silence in ("null", "mixture"):
        [doubt] = found("--loss_silence", silence)
        assert doubt.startswith(f"loss_silence={silence}: the separator in {start} counts voices")
    assert found(*power, "--loss_level", "1") == found(*power, "--loss", "snr") == found(begins=False) == []
    [doubt] = found(*power)
    assert "loss_silence=power without loss_level: si-snr knows no levels" in doubt
    with caplog.at_level("WARNING"):
        check([*words, "--output_folder", str(tmp_path / "other")])
    assert "counts voices" in caplog.text
    run(words)
    log = (tmp_path / "run/log.txt").read_text()
    assert log.count("counts voices, what comes of this training will not") == 1
    run(words)
    assert (tmp_path / "run/log.txt").read_text().count("counts voices") == 1


def test_a_mistake_is_said_before_anything_is_written(trained, corpus, tiny, tmp_path):
    words = ["wsj0mix", "--data_folder", str(corpus), "--output_folder", str(tmp_path / "run"), *tiny]
    for start, message in (("nowhere", "holds no separator"), (str(trained), "P=5.* give --P 3")):
        with pytest.raises(InputError, match=message):
            run([*words, "--pretrained", start, "--P", "5"])
    assert not (tmp_path / "run/log.txt").exists()


def test_the_sizes_come_along_and_the_command_line_goes_before(folder):
    taken = loading.read(["demo", "--data_folder", str(folder), "--pretrained", str(folder), "--X", "5"]).settings
    assert {name: getattr(taken, name) for name in "NLBHXR"} == {"N": 16, "L": 16, "B": 8, "H": 16, "X": 5, "R": 1}
    assert (taken.num_spks, taken.encoder_activation, taken.norm) == (2, None, "global")


def as_imported(toolkit):
    """A separator of another toolkit, as `tasnet import` makes it."""
    if toolkit == "torchaudio":
        return load_weights(toolkit, torchaudio.models.ConvTasNet(2, 8, 12, 3, 6, 10, 3, 2))
    if toolkit == "speechbrain":
        sizes = {name: size for name, size in small().items() if name != "L"}
        return load_weights(
            toolkit,
            (
                speechbrain_dual_path.Encoder(kernel_size=8, out_channels=12),
                SpeechBrainMaskNet(**sizes),
                speechbrain_dual_path.Decoder(12, 1, kernel_size=8, stride=4, bias=False),
            ),
        )
    if toolkit == "asteroid":
        return load_weights(toolkit, stir(Asteroid(**small())).serialize())
    kind, answers = {
        "espnet": (ESPnet, {"norm": "global", "mask_activation": "relu"}),
        "kaituoxu": (Kaituoxu, {"norm": "global", "mask_activation": "relu"}),
        "naplab": (Naplab, {"X": 3}),
    }[toolkit]
    return load_weights(toolkit, stir(kind(**small())).state_dict(), **answers)


@pytest.mark.parametrize("toolkit", sorted(TOOLKITS))
@pytest.mark.parametrize("mics", [1, 2])
def test_whatever_it_was_imported_from_it_is_trained_on_and_gets_microphones(toolkit, mics, tmp_path):
    trained = Model(*as_imported(toolkit))
    save_bundle(tmp_path / "bundle", trained, 8000)
    words = ["demo", "--data_folder", str(tmp_path), "--pretrained", str(tmp_path / "bundle"), "--mics", str(mics)]
    fresh = loading.read(words).build().network
    start_from(tmp_path / "bundle", fresh, 8000)
    mixture = torch.randn(2, 807, mics)
    with torch.no_grad():
        expected = trained(mixture[..., 0])
        torch.testing.assert_close(fresh(mixture if mics > 1 else mixture[..., 0]), expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"conv_padding": "reflect"}, "--conv_padding zeros"),
        ({"input_norm": "global"}, "--input_norm cumulative"),
    ],
)
def test_what_sees_the_future_is_said_and_can_be_left(options, words, tmp_path):
    save_bundle(tmp_path / "bundle", build(**options), 8000)
    causal = ["demo", "--data_folder", str(tmp_path), "--pretrained", str(tmp_path / "bundle"), "--model=causal"]
    [(name, value)] = options.items()
    with pytest.raises(InputError, match=f"{name}='{value}'.*future"):
        loading.read(causal).build()
    fresh = loading.read([*causal, *words.split()]).build().network
    assert "the network is causal now" in start_from(tmp_path / "bundle", fresh, 8000)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--tail cut", "tail='cut': expected one of fill, drop, odd"),
        ("--edge_padding half", "edge_padding='half': expected True or False"),
        ("--input_norm cLN", "input_norm='cLN': expected one of global, gLN, cumulative, channelwise, or null"),
        ("--conv_padding mirror", "conv_padding='mirror': expected zeros or reflect"),
        ("--tail drop --edge_padding True", "tail='drop' with edge_padding=True"),
    ],
)
def test_ends_that_there_are_not_are_refused(words, message, tmp_path):
    with pytest.raises(InputError, match=message):
        loading.read(["demo", "--data_folder", str(tmp_path), *words.split()]).build()


def test_a_separator_is_evaluated_on_any_corpus(trained, corpus, tmp_path):
    words = ["wsj0mix", "--data_folder", str(corpus), "--pretrained", str(trained), "--device", "cpu"]
    out = run([*words, "--output_folder", str(tmp_path / "scores"), "--noprogressbar"], evaluate_only=True)
    assert (out / "test_results.csv").read_text() == (trained / "test_results.csv").read_text()
    assert not (out / "pretrained").exists()
    assert (out / "report.html").exists()
    with pytest.raises(InputError, match=r"num_spks=3: .* gives 2 sources"):
        run([*words, "--num_spks", "3", "--output_folder", str(tmp_path / "three")], evaluate_only=True)
    with pytest.raises(InputError, match="has a checkpoint of its own; give another --output_folder"):
        run([*words, "--output_folder", str(trained)], evaluate_only=True)
