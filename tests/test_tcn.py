"""Blocks and norms against their definitions, written out slowly."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from speechbrain_tasnet import ops
from speechbrain_tasnet.network.encoder_decoder import Decoder, Encoder
from speechbrain_tasnet.network.tcn import ConvBlock, DepthwiseConv, TemporalConvNet
from speechbrain_tasnet.padding import padding_mask


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("taps", [1, 2, 3, 5])
@pytest.mark.parametrize("dilation", [1, 4, 128])
@pytest.mark.parametrize("frames", [1, 2, 7, 63])
def test_depthwise_is_a_zero_padded_convolution(frames, dilation, taps, causal):
    x, weight, bias = torch.randn(2, frames, 6), torch.randn(6, 1, taps), torch.randn(6)
    reach = (taps - 1) * dilation
    left = reach if causal else reach // 2
    padded = F.pad(x.transpose(1, 2), (left, reach - left))
    expected = F.conv1d(padded, weight, bias, dilation=dilation, groups=6).transpose(1, 2)
    torch.testing.assert_close(ops.depthwise(x, weight, bias, dilation, causal), expected, rtol=1e-5, atol=1e-5)


def test_global_norm_over_the_valid_frames():
    x, weight, bias = torch.randn(2, 20, 6) * 3 + 1, torch.randn(6), torch.randn(6)
    padding = torch.zeros(2, 20, 1, dtype=torch.bool)
    padding[1, 12:] = True
    got = ops.global_norm(x, weight, bias, padding)
    for item, frames in ((0, 20), (1, 12)):
        valid = x[item, :frames].double()
        expected = (valid - valid.mean()) / valid.var(unbiased=False).sqrt() * weight + bias
        torch.testing.assert_close(got[item, :frames].double(), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ops.global_norm(x[:1], weight, bias), got[:1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("mean", "std", "tolerance"), [(0, 1, 1e-5), (5, 0.01, 1e-5), (-100, 1, 1e-5)])
def test_cumulative_norm_over_all_frames_so_far(mean, std, tolerance):
    x = torch.randn(2, 300, 6) * std + mean
    weight, bias = torch.randn(6), torch.randn(6)
    got = ops.cumulative_norm(x, weight, bias)
    for k in (1, 2, 17, 300):
        seen = x[:, :k].double()
        centred = x[:, k - 1].double() - seen.mean((1, 2))[:, None]
        variance = seen.var((1, 2), unbiased=False)[:, None] + 1e-8
        expected = centred / variance.sqrt() * weight + bias
        torch.testing.assert_close(got[:, k - 1].double(), expected, rtol=0, atol=tolerance)


def test_channelwise_norm_over_each_frame():
    x, weight, bias = torch.randn(2, 20, 6), torch.randn(6), torch.randn(6)
    expected = (x - x.mean(2, keepdim=True)) / x.var(2, unbiased=False, keepdim=True).sqrt() * weight + bias
    torch.testing.assert_close(ops.channelwise_norm(x, weight, bias), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("norm", ["global_norm", "cumulative_norm", "channelwise_norm"])
def test_norms_survive_silence(norm):
    x = torch.zeros(1, 30, 6, requires_grad=True)
    y = getattr(ops, norm)(x, torch.ones(6), torch.zeros(6))
    y.sum().backward()
    assert (y == 0).all()
    assert x.grad.isfinite().all()


def test_a_padded_item_that_is_silent_has_a_gradient():
    x = torch.zeros(1, 30, 6, requires_grad=True)
    padding = padding_mask(torch.tensor([20]), 30)
    ops.global_norm(x, torch.ones(6), torch.zeros(6), padding)[:, :20].sum().backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("taps", [2, 3, 4])
def test_lookahead_is_as_far_as_a_frame_sees(taps):
    tcn = TemporalConvNet(B=4, H=8, Sc=4, P=taps, X=3, R=2, norm="channelwise", causal=False)
    x = torch.randn(1, 121, 4, requires_grad=True)
    tcn(x)[0, 60].sum().backward()
    reached = x.grad[0].abs().sum(1).nonzero().flatten()
    assert reached[-1] - 60 == tcn.lookahead
    assert reached[-1] - reached[0] + 1 == tcn.receptive_field


def test_weights_begin_as_those_of_torch_do():
    for ours, theirs in (
        (DepthwiseConv(512, 3, 1, causal=False), torch.nn.Conv1d(512, 512, 3, groups=512)),
        (Encoder(N=512, L=16), torch.nn.Conv1d(1, 512, 16)),
        (Decoder(N=512, L=16), torch.nn.Conv1d(1, 512, 16)),
    ):
        assert ours.weight.std().item() == pytest.approx(theirs.weight.std().item(), rel=0.05)


def test_gradcheck():
    def double(*shape):
        return torch.randn(*shape, dtype=torch.float64, requires_grad=True)

    padding = torch.zeros(2, 9, 1, dtype=torch.bool)
    padding[1, 5:] = True

    def valid(x, weight, bias):
        return ops.global_norm(x, weight, bias, padding).masked_fill(padding, 0)

    for norm in (ops.global_norm, ops.cumulative_norm, ops.channelwise_norm, valid):
        assert torch.autograd.gradcheck(norm, (double(2, 9, 3), double(3), double(3)))
    for causal in (False, True):
        assert torch.autograd.gradcheck(
            lambda *a, causal=causal: ops.depthwise(*a, 2, causal),
            (double(2, 9, 3), double(3, 1, 3), double(3)),
        )


def test_block_is_the_papers():
    """1x1, PReLU, norm, depthwise, PReLU, norm, then residual and skip, on channels first."""
    block = ConvBlock(4, 6, 5, kernel_size=3, dilation=2, norm="global", causal=False)
    x = torch.randn(2, 30, 4)
    y = F.conv1d(x.transpose(1, 2), block.expand.weight.unsqueeze(2), block.expand.bias)
    y = F.group_norm(F.prelu(y, block.prelu1.weight), 1, block.norm1.weight, block.norm1.bias, 1e-8)
    y = F.conv1d(y, block.depthwise.weight, block.depthwise.bias, padding=2, dilation=2, groups=6)
    y = F.group_norm(F.prelu(y, block.prelu2.weight), 1, block.norm2.weight, block.norm2.bias, 1e-8)
    residual = F.conv1d(y, block.residual.weight.unsqueeze(2), block.residual.bias).transpose(1, 2)
    skip = F.conv1d(y, block.skip.weight.unsqueeze(2), block.skip.bias).transpose(1, 2)
    before = torch.randn(2, 30, 5)
    got_residual, got_skip = block(x, before)
    torch.testing.assert_close(got_residual, x + residual, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(got_skip, before + skip, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("norm", ["cumulative", "channelwise"])
def test_a_causal_block_leaves_the_past_bit_identical(norm):
    block = ConvBlock(4, 6, 5, kernel_size=3, dilation=4, norm=norm, causal=True)
    x = torch.randn(1, 40, 4)
    changed = torch.cat([x[:, :25], 9 * torch.randn(1, 15, 4)], dim=1)
    skip = torch.zeros(1, 40, 5)
    for before, after in zip(block(x, skip), block(changed, skip), strict=True):
        assert torch.equal(before[:, :25], after[:, :25])
        assert not torch.equal(before[:, 25:], after[:, 25:])


def test_output_is_the_sum_of_the_skips_and_the_last_residual_does_not_exist():
    tcn = TemporalConvNet(B=4, H=6, Sc=5, P=3, X=2, R=2, norm="global", causal=False)
    x = torch.randn(1, 20, 4)
    state, total = x, torch.zeros(1, 20, 5)
    for block in tcn.blocks:
        state, skip = block(state, torch.zeros(1, 20, 5))
        total = total + skip
    torch.testing.assert_close(tcn(x), total)
    assert tcn.blocks[-1].residual is None
    assert state.shape == (1, 20, 0)
    assert [block.depthwise.dilation for block in tcn.blocks] == [1, 2, 1, 2]


def test_without_skip_path_the_output_is_the_last_residual():
    tcn = TemporalConvNet(B=4, H=6, Sc=0, P=3, X=2, R=1, norm="global", causal=False)
    x = torch.randn(1, 20, 4)
    state = x
    for block in tcn.blocks:
        state, skip = block(state, torch.zeros(1, 20, 0))
        assert skip.shape == (1, 20, 0)
    assert torch.equal(tcn(x), state)


def test_hooks_on_blocks_are_called():
    tcn = TemporalConvNet(B=4, H=6, Sc=3, P=3, X=2, R=1, norm="global", causal=False)
    x, seen = torch.randn(1, 20, 4), []
    expected = tcn(x)
    handle = tcn.blocks[1].register_forward_hook(lambda block, given, outputs: seen.append(outputs[1].shape))
    torch.testing.assert_close(tcn(x), expected)
    handle.remove()
    tcn(x)
    assert seen == [(1, 20, 3)]
