"""The whole separator in onnxruntime and torch.export gives what `separate` gives, for any batch and length."""

import importlib
import logging
import re
import shutil
import warnings

import numpy as np
import pytest
import soundfile
import torch
from other_toolkits import stir

from speechbrain_tasnet import Decoder, Encoder, MaskNet, separate
from speechbrain_tasnet.bundle import save_bundle
from speechbrain_tasnet.cli import main
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.export import export_onnx, export_streaming_onnx
from speechbrain_tasnet.export.compare import _measure as measure
from speechbrain_tasnet.losses import Targets, pit_si_snr_loss
from speechbrain_tasnet.network.model import Model

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

SIZES = {"N": 16, "B": 8, "H": 24, "Sc": 8, "X": 3, "R": 1, "C": 3}
BATCHES = (1, 3)
LENGTHS = (1, 7, 8, 9, 16, 17, 63, 64, 1000, 8001)  # a stride is 8
MODELS = {
    "global": {},
    "edges": {"edge_padding": True, "C": 2, "norm": "cumulative", "mask_activation": "relu", "P": 2},
    "drop": {"tail": "drop", "norm": "channelwise"},
    "odd": {"tail": "odd", "activation": "relu", "norm": "cumulative", "causal": True},
    "odd edges": {"tail": "odd", "edge_padding": True, "input_norm": "channelwise", "Sc": 0},
    "reflect": {"conv_padding": "reflect", "mask_activation": "softmax_filters", "P": 5},
    "causal": {"causal": True, "norm": "cumulative", "input_norm": "channelwise", "mask_activation": "softmax"},
    "two microphones": {"mics": 2},
    "three, edges": {"mics": 3, "edge_padding": True, "tail": "odd", "norm": "channelwise"},
}


def build(activation=None, edge_padding=False, tail="fill", mics=1, **options):
    return (
        stir(Encoder(16, 16, activation, edge_padding, tail, mics, reference=mics - 1), 1),
        stir(MaskNet(**SIZES | options, mics=mics), 2),
        stir(Decoder(16, 16, edge_padding), 3),
    )


def start(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def run(session, mixture):
    return torch.from_numpy(session.run(["sources"], {"mixture": mixture.numpy()})[0])


@pytest.mark.parametrize("name", MODELS)
def test_any_batch_and_length_in_onnxruntime(name, tmp_path):
    model = build(**MODELS[name])
    export_onnx(*model, tmp_path / "whole.onnx", sample_rate=16000)
    session = start(tmp_path / "whole.onnx")
    mics = MODELS[name].get("mics", 1)
    told = {"sample_rate": "16000", "num_spks": str(model[1].num_sources), "mics": str(mics)}
    told |= {"outputs": "reference", "reference": str(mics - 1)}
    assert session.get_modelmeta().custom_metadata_map == told
    for batch in BATCHES:
        for samples in LENGTHS:
            mixture = torch.randn(batch, samples) if mics == 1 else torch.randn(batch, samples, mics)
            with torch.no_grad():
                expected = separate(*model, mixture)
            torch.testing.assert_close(run(session, mixture), expected, rtol=0, atol=1e-4)
    assert [path.name for path in tmp_path.iterdir()] == ["whole.onnx"]


def test_nothing_is_said_and_the_model_is_left_as_it_is(tmp_path, capfd, caplog):
    model = [module.train() for module in build(causal=True, norm="cumulative")]
    before = [parameter.clone() for module in model for parameter in module.parameters()]
    with caplog.at_level(logging.DEBUG), warnings.catch_warnings():
        warnings.simplefilter("error")
        export_onnx(*model, tmp_path / "whole.onnx", int8=True)
        export_streaming_onnx(*model, tmp_path / "step.onnx", 80)
        start(tmp_path / "whole.onnx"), start(tmp_path / "step.onnx")
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
    assert all(module.training for module in model)
    after = [parameter for module in model for parameter in module.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_8_bits_make_a_small_file_and_little_noise(tmp_path):
    model = build(B=64, H=256, Sc=64)
    sizes = []
    for int8 in (False, True):
        export_onnx(*model, tmp_path / "whole.onnx", int8=int8)
        sizes.append((tmp_path / "whole.onnx").stat().st_size)
    assert sizes[1] < 0.45 * sizes[0]
    session = start(tmp_path / "whole.onnx")
    for samples in (1, 17, 4001):
        mixture = torch.randn(2, samples)
        with torch.no_grad():
            expected = separate(*model, mixture)
        noise = run(session, mixture) - expected
        assert 0 < noise.square().sum() < 1e-2 * expected.square().sum()
    kinds = {node.op_type for node in onnx.load(tmp_path / "whole.onnx").graph.node}
    assert {"MatMulInteger", "Conv", "MatMul"} <= kinds  # encoder and decoder keep theirs


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_package_that_is_missing(package, tmp_path, monkeypatch):
    real = importlib.import_module

    def without(name):
        if name == package:
            raise ImportError(name)
        return real(name)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(InputError, match=rf"^{package}: .*speechbrain-tasnet\[export\]"):
        export_onnx(*build(), tmp_path / "whole.onnx", int8=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.long
@pytest.mark.parametrize("name", ["global", "edges", "drop", "reflect", "causal"])
def test_torch_export_in_strides(name):
    model = build(**MODELS[name])
    batch, strides = torch.export.Dim("batch", min=1), torch.export.Dim("strides", min=4)
    program = torch.export.export(
        Model(*model), (torch.randn(2, 800),), dynamic_shapes=({0: batch, 1: 8 * strides},)
    )
    for shape in ((1, 32), (3, 64), (2, 8000)):
        mixture = torch.randn(shape)
        with torch.no_grad():
            torch.testing.assert_close(program.module()(mixture), separate(*model, mixture), rtol=0, atol=1e-4)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A separator of two sources, untrained."""
    path = tmp_path_factory.mktemp("bundle") / "two"
    save_bundle(path, Model(*build(C=2)), 8000)
    return path


@pytest.mark.parametrize("words", [[], ["--int8"]])
def test_a_graph_is_compared_with_torch(bundle, corpus, tmp_path, capsys, words):
    out, folder = tmp_path / "whole.onnx", corpus / "wav8k/min/tt"
    main(["export", "onnx", str(bundle), "--out", str(out), "--compare", str(folder), *words])
    size, head, *lines, last = capsys.readouterr().out.splitlines()
    assert size == f"{out}: {out.stat().st_size / 1e6:.1f} MB, for onnxruntime.InferenceSession"
    mixtures = sorted((folder / "mix").iterdir())
    assert re.fullmatch(rf"{len(mixtures)} mixtures on \d+ threads?", head)
    rows = [
        re.fullmatch(r"(\w+) +SI-SNRi (-?[\d.]+) dB, real-time factor ([\d.]+)", line).groups() for line in lines
    ]
    assert [name for name, _, _ in rows] == ["torch", "onnxruntime"]
    mean, most = map(
        float, re.fullmatch(r"change +([-+][\d.]+) dB on average, ([\d.]+) dB at most", last).groups()
    )
    assert abs(mean) <= most
    assert (most > 0.001) == (words == ["--int8"])
    assert mean == pytest.approx(float(rows[1][1]) - float(rows[0][1]), abs=0.0021)


def test_what_is_compared_is_the_improvement(tmp_path):
    """A network that gives the mixture for each source improves nothing, and one that is right very much."""
    rng = np.random.default_rng(0)
    sources = rng.normal(size=(2, 800)).astype(np.float32) / 10
    targets = Targets(torch.from_numpy(sources).T[None])
    mixture = torch.from_numpy(sources.sum(0))[None]
    same = measure(lambda x: x.unsqueeze(2).expand(-1, -1, 2), mixture, mixture, targets, 8000)
    right = measure(lambda x: torch.from_numpy(sources[::-1].copy()).T[None], mixture, mixture, targets, 8000)
    assert same.improvement == pytest.approx(0, abs=1e-4)
    assert right.improvement > 50


def build_for_two(outputs):
    """A separator of two sources and two microphones, of which the second is the reference."""
    sizes = {**SIZES, "C": 2, "mics": 2, "outputs": outputs}
    encoder = stir(Encoder(16, 16, mics=2, reference=1, outputs=outputs), 1)
    return Model(encoder, stir(MaskNet(**sizes), 2), stir(Decoder(16, 16), 3))


def write_scenes(folder, source_channels=2, mixture_channels=2):
    """Write two mixtures of two sources; a source of one channel is what the second microphone hears."""
    rng = np.random.default_rng(0)
    for name in ("a.wav", "b.wav"):
        sources = rng.normal(0, 0.05, (2, 4000, 2))
        signals = {"mix": sources.sum(0)[:, :mixture_channels]}
        signals |= {f"s{k + 1}": source[:, 2 - source_channels :] for k, source in enumerate(sources)}
        for part, samples in signals.items():
            (folder / part).mkdir(parents=True, exist_ok=True)
            soundfile.write(folder / part / name, samples, 8000, "FLOAT")
    return folder


@pytest.mark.parametrize(
    ("outputs", "source_channels"), [("reference", 1), ("reference", 2), ("sum", 2), ("each", 2)]
)
def test_a_graph_for_two_microphones_is_compared_where_its_sources_are(outputs, source_channels, tmp_path, capsys):
    model, folder = build_for_two(outputs), write_scenes(tmp_path / "tt", source_channels)
    save_bundle(tmp_path / "two", model, 8000)
    words = ["export", "onnx", str(tmp_path / "two"), "--out", str(tmp_path / "whole.onnx")]
    main([*words, "--compare", str(folder)])
    found = [float(value) for value in re.findall(r"SI-SNRi (-?[\d.]+) dB", capsys.readouterr().out)]
    improvements = []
    for path in sorted((folder / "mix").iterdir()):
        mixture, *sources = (
            torch.from_numpy(soundfile.read(folder / part / path.name, dtype="float32", always_2d=True)[0])[None]
            for part in ("mix", "s1", "s2")
        )
        with torch.no_grad():
            estimates = model(mixture)
        if outputs == "each":
            targets, alone = torch.stack(sources, dim=2), torch.stack([mixture] * 2, dim=2)
        else:
            targets, alone = torch.cat([s[..., -1:] for s in sources], dim=2), mixture[..., [1, 1]]
        improvements.append(pit_si_snr_loss(targets, alone) - pit_si_snr_loss(targets, estimates))
    assert found == pytest.approx([torch.cat(improvements).mean().item()] * 2, abs=0.002)


@pytest.mark.parametrize(
    ("outputs", "channels", "message"),
    [
        ("reference", {"mixture_channels": 1}, "mix/a.wav: 1 channel; expected 2, one for each microphone"),
        ("each", {"source_channels": 1}, "s1/a.wav: 1 channel; expected 2, one for each microphone"),
    ],
)
def test_missing_channels_are_said_before_the_export(outputs, channels, message, tmp_path, capsys):
    save_bundle(tmp_path / "two", build_for_two(outputs), 8000)
    out, folder = tmp_path / "whole.onnx", write_scenes(tmp_path / "tt", **channels)
    with pytest.raises(SystemExit):
        main(["export", "onnx", str(tmp_path / "two"), "--out", str(out), "--compare", str(folder)])
    [line] = capsys.readouterr().err.splitlines()
    assert message in line
    assert not out.exists()


@pytest.mark.parametrize(
    ("spoil", "words", "message"),
    [
        (lambda folder: shutil.rmtree(folder / "s2"), [], "has no folder s2; expected the folders mix, s1, s2"),
        (lambda folder: shutil.rmtree(folder / "mix"), [], "has no folder mix;"),
        (lambda folder: shutil.copytree(folder / "s1", folder / "s3"), [], "has a folder s3; .* has 2 sources"),
        (lambda folder: min((folder / "s1").iterdir()).unlink(), [], "no such file"),
        (lambda folder: [path.unlink() for path in (folder / "mix").iterdir()], [], "mix: holds no audio files"),
        (
            lambda folder: soundfile.write(min((folder / "s2").iterdir()), np.ones(80), 8000),
            [],
            r"s2/\S+: expected the length of its mixture",
        ),
        (lambda folder: None, ["--step", "10"], "--step together with --compare"),
    ],
)
def test_what_cannot_be_compared_is_said_before_the_export(
    bundle, corpus, tmp_path, capsys, spoil, words, message
):
    folder = shutil.copytree(corpus / "wav8k/min/tt", tmp_path / "tt")
    spoil(folder)
    out = tmp_path / "whole.onnx"
    with pytest.raises(SystemExit) as ended:
        main(["export", "onnx", str(bundle), "--out", str(out), "--compare", str(folder), *words])
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert re.search(message, line)
    assert not out.exists()


def test_half_a_minute_loses_no_digits(tmp_path):
    """A runtime's own norm adds millions of values up in one float32."""
    model = (
        Encoder(32, 16),
        MaskNet(32, 32, 128, 16, X=2, R=1, C=2),
        Decoder(32, 16),
    )  # gains equal: copies in a graph
    export_onnx(*model, tmp_path / "long.onnx")
    mixture = torch.randn(1, 240_000) * torch.linspace(1, 0.01, 240_000)
    with torch.no_grad():
        expected = separate(*model, mixture)
    torch.testing.assert_close(run(start(tmp_path / "long.onnx"), mixture), expected, rtol=0, atol=1e-5)
