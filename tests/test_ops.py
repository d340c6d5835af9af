"""Every fast path equals its readable twin, outputs and gradients, at awkward sizes."""

import pytest
import torch

from speechbrain_tasnet.ops import handwritten, naive


def check_twins(fast, slow, inputs, rest=(), rtol=1e-5):
    """Compare a fast function in float32 with its twin in float64, after memory was left full of NaN."""
    torch.full((1 << 20,), float("nan"))  # what the allocator hands out next is poisoned
    mine = [x.float().clone().requires_grad_() for x in inputs]
    truth = [x.double().clone().requires_grad_() for x in inputs]
    got, expected = fast(*mine, *rest), slow(*truth, *rest)
    grad = torch.randn(expected.shape, dtype=torch.float64)
    got.backward(grad.float())
    expected.backward(grad)
    pairs = [(got, expected), *((m.grad, t.grad) for m, t in zip(mine, truth, strict=True))]
    for result, reference in pairs:
        scale = reference.abs().max().clamp(min=1e-6).item()
        torch.testing.assert_close(result.double(), reference, rtol=rtol, atol=rtol * scale)


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("frames", [1, 2, 7, 63, 1000])
@pytest.mark.parametrize("taps", [1, 2, 3, 5])
@pytest.mark.parametrize("dilation", [1, 2, 128])
@pytest.mark.parametrize("causal", [False, True])
def test_depthwise(batch, frames, taps, dilation, causal):
    inputs = torch.randn(batch, frames, 6), torch.randn(6, 1, taps), torch.randn(6)
    check_twins(handwritten.depthwise, naive.depthwise, inputs, (dilation, causal))


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 63, 6), (1, 1000, 6)])
def test_prelu(shape):
    check_twins(handwritten.prelu, naive.prelu, (torch.randn(shape), torch.tensor([0.3])))


def test_gradcheck():
    def double(*shape):
        return torch.randn(*shape, dtype=torch.float64, requires_grad=True)

    assert torch.autograd.gradcheck(handwritten.prelu, (double(2, 9, 3), double(1)))
    for causal in (False, True):
        arguments = double(2, 9, 3), double(3, 1, 3), double(3), 2, causal
        assert torch.autograd.gradcheck(handwritten.depthwise, arguments)


def test_bfloat16_input_gets_a_gradient_of_its_own_type():
    x = torch.randn(2, 30, 6).bfloat16().requires_grad_()
    weight, bias, slope = torch.randn(6, 1, 3), torch.randn(6), torch.tensor([0.25])
    y = handwritten.depthwise(handwritten.prelu(x, slope), weight, bias, 2, False)
    y.sum().backward()
    expected = naive.depthwise(naive.prelu(x.detach(), slope.bfloat16()), weight, bias, 2, False)
    torch.testing.assert_close(y.float(), expected.float(), rtol=2e-2, atol=2e-2)
    assert x.grad.dtype == torch.bfloat16
