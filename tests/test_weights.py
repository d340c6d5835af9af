"""Weights of other toolkits: the same samples come out, whatever the toolkit does otherwise than the paper."""

import numpy as np
import pytest
import torch
import torchaudio
from other_toolkits import Asteroid, ESPnet, Kaituoxu, Naplab, small, stir
from speechbrain.lobes.models.conv_tasnet import MaskNet as TheirMaskNet
from speechbrain.lobes.models.dual_path import Decoder as TheirDecoder
from speechbrain.lobes.models.dual_path import Encoder as TheirEncoder

from speechbrain_tasnet import StreamingSeparator, load_weights, separate

# Whole frames, one sample more, half a window more, awkward, and one less than whole.
LENGTHS = (800, 801, 804, 1003, 1007)


def speech_like(samples):
    """Voiced stretches under an envelope, with silence between them."""
    t = torch.arange(samples) / 8000
    voice = sum(torch.sin(2 * torch.pi * 140 * k * t + k) / k for k in range(1, 12))
    return 0.05 * voice * (torch.sin(2 * torch.pi * 6 * t) + 0.2).clamp(min=0)


def assert_same(theirs, modules, lengths=LENGTHS):
    """Compare outputs on noise and on what resembles speech, to 1e-4 of the largest sample and more closely."""
    for samples in lengths:
        for mixture in (torch.randn(2, samples), speech_like(samples).repeat(2, 1)):
            with torch.no_grad():
                expected, got = theirs(mixture), separate(*modules, mixture)
            assert got.shape == expected.shape == (2, samples, expected.shape[2])
            assert expected.abs().max() > 1e-4
            assert (got - expected).abs().max() <= 2e-5 * expected.abs().max()


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    torch.manual_seed(0)


def make_torchaudio(C=2, activation="sigmoid"):
    return stir(torchaudio.models.ConvTasNet(C, 8, 12, 3, 6, 10, 3, 2, activation))


@pytest.mark.parametrize(("C", "activation"), [(2, "sigmoid"), (3, "relu")])
def test_torchaudio(C, activation):
    theirs = make_torchaudio(C, activation)

    def forward(mixture):
        return theirs(mixture.unsqueeze(1)).transpose(1, 2)

    assert_same(forward, load_weights("torchaudio", theirs))
    assert_same(forward, load_weights("torchaudio", theirs.state_dict(), mask_activation=activation, X=3))


class SpeechBrain:
    """The toolkit's three modules, as its recipes run them."""

    def __init__(self, N, L, B, H, P, X, R, C, **options):
        self.encoder = stir(TheirEncoder(kernel_size=L, out_channels=N))
        self.masknet = stir(TheirMaskNet(N, B, H, P, X, R, C, **options))
        self.decoder = stir(TheirDecoder(in_channels=N, out_channels=1, kernel_size=L, stride=L // 2, bias=False))

    def __call__(self, mixture):
        w = self.encoder(mixture)
        estimates = torch.stack([self.decoder(mask * w) for mask in self.masknet(w)], dim=-1)
        return torch.nn.functional.pad(estimates, (0, 0, 0, mixture.shape[1] - estimates.shape[1]))


@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        ({"norm_type": "gLN"}, {}),
        ({"norm_type": "gLN", "mask_nonlinear": "softmax"}, {"C": 3}),
        ({"norm_type": "cLN"}, {"P": 5}),
        ({"norm_type": "cLN", "causal": True}, {}),
        ({"norm_type": "cLN", "causal": True}, {"P": 5, "X": 2}),
        ({"norm_type": "gLN", "causal": True}, {}),
        ({"norm_type": "gLN", "causal": True}, {"P": 5, "X": 2}),
    ],
    ids=str,
)
def test_speechbrain(options, sizes, tmp_path):
    theirs = SpeechBrain(**small(**sizes), **options)
    parts = theirs.encoder, theirs.masknet, theirs.decoder
    assert_same(theirs, load_weights("speechbrain", parts))
    for name, part in zip(("encoder", "masknet", "decoder"), parts, strict=True):
        torch.save(part.state_dict(), tmp_path / f"{name}.ckpt")
    answers = {
        "norm": {"gLN": "global", "cLN": "channelwise"}[options["norm_type"]],
        "causal": options.get("causal", False),
        "mask_activation": {"relu": "relu", "softmax": "softmax_filters"}[options.get("mask_nonlinear", "relu")],
    }
    assert_same(theirs, load_weights("speechbrain", tmp_path, **answers), lengths=(801,))


@pytest.mark.parametrize("toolkit", ["speechbrain", "kaituoxu", "naplab", "asteroid"])
def test_imported_causal_models_stream(toolkit):
    models = {
        "speechbrain": lambda: SpeechBrain(**small(), norm_type="cLN", causal=True),
        "kaituoxu": lambda: Kaituoxu(**small(), norm="channelwise", causal=True),
        "naplab": lambda: Naplab(**small(), causal=True),
        "asteroid": lambda: Asteroid(**small(), norm="cgLN", causal=True),
    }
    theirs = models[toolkit]()
    if toolkit == "speechbrain":
        modules = load_weights(toolkit, (theirs.encoder, theirs.masknet, theirs.decoder))
    else:
        state = stir(theirs).state_dict() if toolkit != "asteroid" else stir(theirs).serialize()
        answers = {"kaituoxu": {"norm": "channelwise", "mask_activation": "relu"}, "naplab": {"X": 3}}
        modules = load_weights(toolkit, state, **answers.get(toolkit, {}))
    live, mixture = StreamingSeparator(*modules), torch.randn(2, 1003)
    got = torch.cat([*(live.step(chunk) for chunk in mixture.split(70, dim=1)), live.flush()], dim=1)
    with torch.no_grad():
        expected = theirs(mixture)
    assert (got - expected).abs().max() <= 2e-5 * expected.abs().max()


@pytest.mark.parametrize(
    ("options", "sizes"),
    [({}, {}), ({"skip": False}, {"C": 3}), ({"causal": True}, {}), ({"causal": True}, {"P": 5, "L": 10})],
    ids=str,
)
def test_naplab(options, sizes):
    theirs = stir(Naplab(**small(**sizes), **options))
    assert_same(theirs, load_weights("naplab", theirs), range(800, 817))
    assert_same(theirs, load_weights("naplab", theirs.state_dict(), X=3), lengths=(801,))


KAITUOXU = [
    ({"norm": "global"}, {}),
    ({"norm": "channelwise", "mask": "softmax"}, {"C": 3, "P": 5}),
    ({"norm": "channelwise", "causal": True}, {"P": 2}),
    ({"norm": "global", "causal": True}, {}),
]


@pytest.mark.parametrize(("options", "sizes"), KAITUOXU, ids=str)
def test_kaituoxu(options, sizes, tmp_path):
    theirs = stir(Kaituoxu(**small(**sizes), **options))
    mask, causal = options.get("mask", "relu"), options.get("causal", False)
    norm_type = {"global": "gLN", "channelwise": "cLN"}[options["norm"]]
    package = {"norm_type": norm_type, "causal": causal, "mask_nonlinear": mask, "epoch": 3}
    torch.save({**small(**sizes), **package, "state_dict": theirs.state_dict()}, tmp_path / "final.pth.tar")
    assert_same(theirs, load_weights("kaituoxu", tmp_path / "final.pth.tar"))
    answers = {"norm": options["norm"], "mask_activation": mask}
    assert_same(theirs, load_weights("kaituoxu", theirs.state_dict(), **answers), lengths=(801,))


@pytest.mark.parametrize(("options", "sizes"), [*KAITUOXU, ({"prelu": True, "mask": "sigmoid"}, {})], ids=str)
def test_espnet(options, sizes):
    theirs = stir(ESPnet(**small(**sizes), **options))
    answers = {"norm": options.get("norm", "global"), "mask_activation": options.get("mask", "relu")}
    modules = load_weights("espnet", theirs.state_dict(), **answers)
    assert_same(theirs, modules)
    quiet = 1e-3 * torch.randn(2, 800)  # its larger constant below the square root shows here
    with torch.no_grad():
        expected = theirs(quiet)
        assert (separate(*modules, quiet) - expected).abs().max() <= 2e-5 * expected.abs().max()


ASTEROID = [
    ({}, {}),
    ({"Sc": 0, "mask": "softmax"}, {"C": 3}),
    ({"norm": "cgLN", "mask": "relu", "activation": "relu"}, {"P": 5}),
    ({"norm": "cLN", "causal": True}, {}),
    ({"norm": "cgLN", "causal": True}, {"P": 2}),
    ({"norm": "gLN", "causal": True}, {}),
]


@pytest.mark.parametrize(("options", "sizes"), ASTEROID, ids=str)
def test_asteroid(options, sizes, tmp_path):
    theirs = stir(Asteroid(**small(**sizes), **options))
    torch.save(theirs.serialize(), tmp_path / "best_model.pth")
    assert_same(theirs, load_weights("asteroid", tmp_path / "best_model.pth"))
    assert_same(theirs, load_weights("asteroid", theirs), lengths=(801,))


def make_real_asteroid(Sc=5, norm="gLN", causal=False, mask="sigmoid", activation=None, **sizes):
    N, L, B, H, P, X, R, C = small(**sizes).values()
    models = pytest.importorskip("asteroid.models")
    arguments = {"n_src": C, "n_filters": N, "kernel_size": L, "stride": L // 2, "bn_chan": B, "hid_chan": H}
    arguments |= {"skip_chan": Sc, "conv_kernel_size": P, "n_blocks": X, "n_repeats": R, "norm_type": norm}
    return stir(models.ConvTasNet(**arguments, mask_act=mask, causal=causal, encoder_activation=activation))


@pytest.mark.filterwarnings("ignore:In causal configuration")
@pytest.mark.parametrize(("options", "sizes"), ASTEROID, ids=str)
def test_asteroid_itself(options, sizes, tmp_path):
    theirs = make_real_asteroid(**options, **sizes)
    torch.save(theirs.serialize(), tmp_path / "best_model.pth")
    modules = load_weights("asteroid", tmp_path / "best_model.pth")
    assert_same(lambda mixture: theirs(mixture.unsqueeze(1)).transpose(1, 2), modules)
    stand_in = Asteroid(**small(**sizes), **options)
    stand_in.load_state_dict(theirs.state_dict())
    assert_same(stand_in, modules)


def test_plain_values_in_a_file_are_let_through(tmp_path):
    theirs = stir(Asteroid(**small()))
    package = theirs.serialize()
    package["model_args"] |= {"n_blocks": np.int64(3), "sample_rate": np.float32(16000), "causal": np.bool_(False)}
    package["infos"] = {"torch_version": torch.__version__, "final_metrics": {"si_sdr": np.float64(14.76)}}
    torch.save(package, tmp_path / "model.pth")
    assert_same(theirs, load_weights("asteroid", tmp_path / "model.pth"), lengths=(801,))


def test_weights_in_other_wrappings(tmp_path):
    from safetensors.torch import save_file

    theirs = stir(Naplab(**small()))
    state = theirs.state_dict()
    save_file(state, tmp_path / "model.safetensors")
    torch.save({f"module.{name}": tensor for name, tensor in state.items()}, tmp_path / "model.pt")
    torch.save({"state_dict": state}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    for name in ("model.safetensors", "model.pt", "old.pt"):
        assert_same(theirs, load_weights("naplab", tmp_path / name, X=3), lengths=(801,))
    half = {name: tensor.half() for name, tensor in state.items()}
    assert all(p.dtype == torch.float32 for m in load_weights("naplab", half, X=3) for p in m.parameters())


def test_an_imported_model_is_ours_alone():
    theirs = make_torchaudio()
    encoder, masknet, _ = load_weights("torchaudio", theirs)
    with torch.no_grad():
        encoder.weight.zero_()
        masknet.bottleneck.weight.zero_()
    assert theirs.encoder.weight.abs().min() > 0
    assert theirs.mask_generator.input_conv.weight.abs().min() > 0
