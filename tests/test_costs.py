"""What a network costs, against sums done by hand and against products that are really done."""

import math
from functools import partial

import pytest
import torch
from tiny_models import SIZES, build
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from speechbrain_tasnet import Decoder, Encoder, MaskNet
from speechbrain_tasnet.configuration.model_files import sizes_of
from speechbrain_tasnet.network.costs import count_parameters, latency_ms, macs_per_second
from speechbrain_tasnet.network.model import Model
from speechbrain_tasnet.network.separate import separate

N, L, B, H, Sc, P, X, R, C = 16, 8, 6, 10, 5, 3, 3, 2, 3
RATE, SECONDS = 1000, 0.5


def conv_tasnet(Sc=Sc, edge_padding=False, **changes):
    masknet = MaskNet(N, B, H, Sc, P, X, R, C, **changes)
    return Model(Encoder(N, L, edge_padding=edge_padding), masknet, Decoder(N, L, edge_padding=edge_padding))


@pytest.mark.parametrize("changes", [{}, {"norm": "cumulative", "causal": True}, {"conv_padding": "reflect"}])
@pytest.mark.parametrize("skip", [Sc, 0])
def test_conv_tasnet_by_hand(changes, skip):
    blocks = X * R
    residuals = blocks - 1 if skip else blocks
    frame = (
        N * L + N * B + blocks * (B * H + H * P + H * skip) + residuals * H * B + (skip or B) * C * N + C * N * L
    )
    frames = SECONDS * RATE / (L // 2) - 1
    assert macs_per_second(conv_tasnet(skip, **changes), RATE, SECONDS) == frames * frame / SECONDS


def test_another_toolkits_conv_tasnet_costs_as_much(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    theirs = build("torchaudio", "--N 16 --L 8 --B 6 --H 10 --X 3 --R 2 --num_spks 3")
    ours = conv_tasnet(Sc=B, edge_padding=True)
    assert macs_per_second(theirs, RATE, SECONDS) == macs_per_second(ours, RATE, SECONDS)
    assert count_parameters(theirs) == count_parameters(ours)


@pytest.mark.parametrize("name", ["dprnn", "skim", "dptnet"])
def test_recurrences_cost_the_products_that_they_do(name, tmp_path, monkeypatch, request):
    monkeypatch.chdir(tmp_path)
    request.addfinalizer(partial(torch.set_default_dtype, torch.get_default_dtype()))
    torch.set_default_dtype(torch.float64)  # in which every product of an LSTM is one of its own
    modules = build(name)
    before = {key: value.clone() for key, value in modules.state_dict().items()}
    counter = FlopCounterMode(display=False)
    with counter, sdpa_kernel(SDPBackend.MATH):
        separate(**modules, mixture=torch.randn(1, 500))
    assert counter.get_total_flops() > 0
    assert macs_per_second(modules, RATE, SECONDS) == counter.get_total_flops() / 2 / SECONDS
    assert all(torch.equal(before[key], value) for key, value in modules.state_dict().items())


def test_attention_by_hand(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    modules = build(
        "sepformer", "--N 12 --L 8 --channels 8 --chunk 10 --repeats 2 --heads 2 --feedforward 6 --layers 3"
    )
    filters, channels, chunk, repeats, feedforward, layers, sources = 12, 8, 10, 2, 6, 3, 2
    frames = 124
    half = chunk // 2
    chunks = 2 * (frames + chunk - (half + frames % chunk) % chunk + half) // chunk
    layer = 4 * channels**2 + 2 * channels * feedforward  # of a frame; attention itself comes on top
    tokens = chunk * chunks
    transformers = tokens * layers * (2 * layer + 2 * channels * (chunk + chunks)) * repeats
    ends = frames * filters * channels + tokens * channels * channels * sources
    ends += sources * frames * (2 * channels**2 + channels * filters)
    encoder_and_decoder = frames * filters * 8 * (1 + sources)
    total = transformers + ends + encoder_and_decoder
    assert macs_per_second(modules, RATE, SECONDS) == total / SECONDS


def test_the_packaged_successors_cost_what_a_small_conv_tasnet_does(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = build("convtasnet", "--N 256 --L 32 --B 128 --H 256 --Sc 128 --X 7 --R 2")
    expected = macs_per_second(small, 8000)
    names = [
        name for name in SIZES if all(value is not None for key, value in sizes_of(name).items() if key != "C")
    ]
    assert names == ["dprnn", "dptnet", "resepformer", "sepformer", "skim"]
    for name in names:
        assert macs_per_second(build(name, ""), 8000) == pytest.approx(expected, rel=0.03), name


def test_who_waits_for_how_long(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert latency_ms(build("causal"), 8000) == 2
    assert latency_ms(build("convtasnet"), 8000) == math.inf
    assert latency_ms(build("torchaudio"), 8000) == math.inf
