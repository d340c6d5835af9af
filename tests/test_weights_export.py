"""Weights go back to torchaudio and Asteroid where these can express a model, and come in again bit for bit."""

import pytest
import torch
from other_toolkits import Asteroid, small, stir

from speechbrain_tasnet import Decoder, Encoder, MaskNet, export_weights, load_weights, separate
from speechbrain_tasnet.convert import write_weights
from speechbrain_tasnet.errors import InputError

SIZES = {"N": 12, "B": 6, "H": 10, "P": 3, "X": 3, "R": 2}

ASTEROID = [
    {"Sc": 5},
    {"Sc": 0, "C": 3, "mask_activation": "softmax"},
    {"Sc": 6, "P": 5, "norm": "cumulative", "mask_activation": "relu", "activation": "relu"},
    {"Sc": 4, "P": 2, "norm": "cumulative", "causal": True, "tail": "drop"},
    {"Sc": 0, "norm": "channelwise", "causal": True},
]


def build(edge_padding=False, activation=None, tail="fill", **options):
    torch.manual_seed(0)
    return (
        stir(Encoder(12, 8, activation, edge_padding, tail), 1),
        stir(MaskNet(**SIZES | options), 2),
        stir(Decoder(12, 8, edge_padding), 3),
    )


def assert_equal(one, other):
    for mine, back in zip(one, other, strict=True):
        assert mine.state_dict().keys() == back.state_dict().keys()
        assert all(torch.equal(value, back.state_dict()[name]) for name, value in mine.state_dict().items())
    mixture = torch.randn(2, 800)
    with torch.no_grad():
        assert torch.equal(separate(*one, mixture), separate(*other, mixture))


def assert_close(theirs, model, samples):
    mixture = torch.randn(2, samples)
    with torch.no_grad():
        torch.testing.assert_close(theirs(mixture), separate(*model, mixture), rtol=0, atol=2e-6)


@pytest.mark.parametrize("mask_activation", ["sigmoid", "relu"])
def test_torchaudio(mask_activation, tmp_path):
    model = build(edge_padding=True, Sc=6, C=3, mask_activation=mask_activation)
    theirs = export_weights("torchaudio", *model)
    assert_equal(model, load_weights("torchaudio", theirs))
    for samples in (800, 803):
        assert_close(lambda mixture: theirs(mixture.unsqueeze(1)).transpose(1, 2), model, samples)
    write_weights("torchaudio", tmp_path / "model.pt", *model)
    assert_equal(model, load_weights("torchaudio", tmp_path / "model.pt", mask_activation=mask_activation, X=3))


@pytest.mark.parametrize("options", ASTEROID, ids=str)
def test_asteroid(options, tmp_path):
    model = build(**options)
    package = export_weights("asteroid", *model, sample_rate=8000)
    assert_equal(model, load_weights("asteroid", package))
    args = package["model_args"]
    names = ("norm_type", "causal", "mask_act", "encoder_activation")
    theirs = Asteroid(**small(P=args["conv_kernel_size"], C=args["n_src"]), Sc=args["skip_chan"], **dict(
        zip(("norm", "causal", "mask", "activation"), (args[name] for name in names), strict=True)
    ))  # fmt: skip
    theirs.load_state_dict(package["state_dict"])
    assert_close(theirs, model, 800)
    write_weights("asteroid", tmp_path / "model.pth", *model, sample_rate=8000)
    assert_equal(model, load_weights("asteroid", tmp_path / "model.pth"))


@pytest.mark.filterwarnings("ignore:In causal configuration")
@pytest.mark.parametrize("options", ASTEROID, ids=str)
def test_asteroid_itself(options, tmp_path):
    models = pytest.importorskip("asteroid.models")
    model = build(**options)
    write_weights("asteroid", tmp_path / "model.pth", *model, sample_rate=16000)
    theirs = models.ConvTasNet.from_pretrained(torch.load(tmp_path / "model.pth", weights_only=True))
    assert theirs.sample_rate == 16000
    assert_close(lambda mixture: theirs(mixture.unsqueeze(1)).transpose(1, 2), model, 800)


@pytest.mark.parametrize("toolkit", ["torchaudio", "asteroid"])
def test_the_model_is_left_as_it_is(toolkit):
    model = build(edge_padding=toolkit == "torchaudio", Sc=6)
    before = [parameter.clone() for module in model for parameter in module.parameters()]
    theirs = export_weights(toolkit, *model, sample_rate=8000)
    for tensor in (theirs["state_dict"] if toolkit == "asteroid" else theirs.state_dict()).values():
        tensor.zero_()
    after = [parameter for module in model for parameter in module.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("toolkit", "options", "expected"),
    [
        ("torchaudio", {"Sc": 6}, "edge_padding=False: the Conv-TasNet of torchaudio has only True"),
        ("torchaudio", {"Sc": 5, "edge_padding": True}, "Sc=5.*only 6"),
        ("torchaudio", {"Sc": 6, "edge_padding": True, "P": 5}, "P=5"),
        ("torchaudio", {"Sc": 6, "edge_padding": True, "tail": "odd"}, "tail='odd'"),
        ("torchaudio", {"Sc": 6, "edge_padding": True, "norm": "channelwise"}, "norm='channelwise'"),
        ("torchaudio", {"Sc": 6, "edge_padding": True, "input_norm": "channelwise"}, "input_norm='channelwise'"),
        ("torchaudio", {"Sc": 6, "edge_padding": True, "mask_activation": "softmax"}, "'sigmoid' or 'relu'"),
        ("asteroid", {"edge_padding": True}, "edge_padding=True"),
        ("asteroid", {"conv_padding": "reflect"}, "conv_padding='reflect'"),
        ("asteroid", {"input_norm": "channelwise"}, "input_norm='channelwise'"),
        ("asteroid", {"mask_activation": "softmax_filters"}, "softmax_filters"),
        ("asteroid", {"P": 4}, "P=4"),
        ("naplab", {}, "naplab: weights can only go to torchaudio and asteroid"),
    ],
    ids=str,
)
def test_what_the_other_toolkit_cannot_express(toolkit, options, expected):
    with pytest.raises(InputError, match=expected):
        export_weights(toolkit, *build(**{"Sc": 4} | options), sample_rate=8000)


def test_asteroid_needs_a_rate():
    with pytest.raises(InputError, match="sample_rate"):
        export_weights("asteroid", *build())
