"""A changed future leaves the past bit-identical, and norms stay accurate however long it takes."""

import pytest
import torch

from speechbrain_tasnet import Decoder, Encoder, MaskNet, ops, separate
from speechbrain_tasnet.network.norms import ChannelwiseLayerNorm, CumulativeLayerNorm
from speechbrain_tasnet.network.tcn import ConvBlock, DepthwiseConv, TemporalConvNet
from speechbrain_tasnet.ops import reference

NORMS = ["cumulative", "channelwise"]
FRAMES, CHANGED = 90, 60

LAYERS = {
    "cumulative norm": lambda norm: CumulativeLayerNorm(6),
    "channelwise norm": lambda norm: ChannelwiseLayerNorm(6),
    "depthwise": lambda norm: DepthwiseConv(6, 3, 4, causal=True),
    "block": lambda norm: _Alone(ConvBlock(6, 24, 6, 3, 4, norm, causal=True)),
    "blocks": lambda norm: TemporalConvNet(B=6, H=24, Sc=5, P=3, X=4, R=2, norm=norm, causal=True),
    "blocks without skips": lambda norm: TemporalConvNet(B=6, H=24, Sc=0, P=3, X=4, R=2, norm=norm, causal=True),
}


class _Alone(torch.nn.Module):
    """A block whose skip path starts at zero and is the result."""

    def __init__(self, block):
        super().__init__()
        self.block = block

    def forward(self, x):
        return torch.cat(self.block(x, torch.zeros_like(x)), dim=2)

    def initial_state(self, batch):
        return self.block.initial_state(batch)

    def step(self, x, state):
        *results, state = self.block.step(x, torch.zeros_like(x), state)
        return torch.cat(results, dim=2), state


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    torch.manual_seed(0)


@pytest.fixture(params=["fast", "naive"])
def way(request, monkeypatch):
    """Both ways through a block."""
    if request.param == "naive":
        monkeypatch.setattr(ops, "find_loops", lambda x: None)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("layer", LAYERS)
def test_a_changed_future_leaves_the_past_bit_identical(way, layer, norm):
    layer = LAYERS[layer](norm)
    x = torch.randn(2, FRAMES, 6)
    changed = torch.cat([x[:, :CHANGED], 1e3 * torch.randn(2, FRAMES - CHANGED, 6)], dim=1)
    before, after = layer(x), layer(changed)
    assert torch.equal(before[:, :CHANGED], after[:, :CHANGED])
    assert not torch.equal(before[:, CHANGED], after[:, CHANGED])


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("edge_padding", [False, True])
def test_a_changed_future_leaves_the_past_of_a_model_bit_identical(way, norm, edge_padding):
    L = 8
    encoder, decoder = Encoder(16, L, edge_padding=edge_padding), Decoder(16, L, edge_padding)
    masknet = MaskNet(16, 8, 24, 8, X=3, R=2, norm=norm, causal=True)
    mixture = torch.randn(1, 1000)
    for start in (1, 7, 8, 600, 999):
        changed = mixture.clone()
        changed[:, start:] = 100 * torch.randn(1, 1000 - start)
        before, after = (separate(encoder, masknet, decoder, m) for m in (mixture, changed))
        # Every frame that holds a changed sample may differ, the first of them begins L - 1 samples earlier.
        assert torch.equal(before[:, : max(start - L + 1, 0)], after[:, : max(start - L + 1, 0)])
        assert not torch.equal(before[:, start:], after[:, start:])


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("layer", LAYERS)
def test_steps_joined_are_the_whole(layer, norm):
    layer = LAYERS[layer](norm)
    x = torch.randn(2, FRAMES, 6)
    state = layer.initial_state(2)
    parts = []
    for part in x.split([1, 2, 0, 7, 40, 30, 10], dim=1):
        result, state = layer.step(part, state)
        parts.append(result)
    torch.testing.assert_close(torch.cat(parts, dim=1), layer(x), rtol=1e-5, atol=1e-5)


def exact(x):
    """The cumulative norm in float64 from the definition, with sums about the true mean."""
    x = x.double() - 5
    counts = torch.arange(1, x.shape[1] + 1, dtype=torch.float64) * x.shape[2]
    mean = x.sum(2).cumsum(1) / counts
    variance = x.square().sum(2).cumsum(1) / counts - mean.square()
    return (x - mean[..., None]) / (variance[..., None] + reference.EPS).sqrt()


@pytest.mark.parametrize("chunk", [600_000, 10])
def test_ten_minutes_at_mean_5_and_deviation_0_01(chunk):
    """600 000 frames of 8 channels; the steps of 10 are those of its last minute."""
    x = 5 + 0.01 * torch.randn(1, 600_000, 8)
    norm = CumulativeLayerNorm(8)
    with torch.no_grad():
        head = len(x[0]) if chunk > 10 else 598_000
        first, state = norm.step(x[:, :head], norm.initial_state(1))
        parts = [first]
        for part in x[:, head:].split(chunk, dim=1):
            result, state = norm.step(part, state)
            parts.append(result)
    error = (torch.cat(parts, dim=1).double() - exact(x)).abs().max()
    assert error < 1e-4


def test_the_packed_network_knows_its_moments_as_well():
    """Ten minutes in chunks of a second, then what it remembers beside the definition."""
    net = MaskNet(8, 4, 8, 4, X=1, R=1, norm="cumulative", causal=True)
    x = 5 + 0.01 * torch.randn(1, 600_000, 8)
    streams = net.pack().begin(*net.initial_state(1))
    with torch.no_grad():
        for part in x.split(1000, dim=1):
            streams.step(part)
    moments, *_ = streams.unpack()
    variance, mean = torch.var_mean(x.double(), unbiased=False)
    assert moments.frames.item() == 600_000
    assert abs(moments.mean.item() - mean) < 1e-8
    assert abs(moments.variance.item() / variance - 1) < 1e-5


def test_hours_change_nothing():
    """A state as it is after ten hours: the next frames come out as in the definition."""
    x = 5 + 0.01 * torch.randn(1, 1000, 8)
    frames = 36_000_000.0
    before = ops.Moments(*(torch.full((1, 1), v, dtype=torch.float64) for v in (frames, 5.0, 1e-4)))
    norm = CumulativeLayerNorm(8)
    with torch.no_grad():
        got, after = norm.step(x, before)
    torch.testing.assert_close(got.double(), (x.double() - 5) / (1e-4 + 1e-8) ** 0.5, rtol=0, atol=2e-3)
    assert after.frames.item() == frames + 1000
    assert abs(after.mean.item() - 5) < 1e-7
    assert abs(after.variance.item() - 1e-4) < 1e-9
