"""A block in Triton equals its readable twin: on a graphics card, or without one in Triton's interpreter."""

import importlib
from types import SimpleNamespace

import pytest
import torch
from interpreted import DEVICE, INTERPRETED, has_no_kernels, run_in_interpreter, runs_kernels

from speechbrain_tasnet.ops import reference
from speechbrain_tasnet.ops.block_weights import BlockWeights

KINDS = {torch.float32: "*fp32", torch.bfloat16: "*bf16", torch.int64: "*i64"}


@pytest.fixture
def gpu(monkeypatch):
    """The module, told to work in so few chunks and so small tiles that each program has several."""
    pytest.importorskip("triton")
    module = importlib.import_module("speechbrain_tasnet.ops.gpu.passes")
    monkeypatch.setattr(module, "CHUNKS", 2)
    monkeypatch.setattr(module, "TILE", 256)
    return module


@pytest.fixture(autouse=True)
def _poisoned_memory():
    """All that is allocated holds NaN until something else is written to it."""
    torch.manual_seed(0)
    torch.set_deterministic_debug_mode("warn")
    yield
    torch.set_deterministic_debug_mode("default")


def draw_valid(batch, frames):
    """Let the first item be the longest one."""
    return torch.randint(1, frames + 1, (batch,)).index_fill(0, torch.tensor([0]), frames)


def draw_inputs(passes, dtype, batch, frames, hidden, taps, dilation, causal):
    """Draw what the passes may be given."""
    valid = draw_valid(batch, frames)
    ended = (torch.arange(frames) >= valid[:, None]).unsqueeze(2)
    rows = [torch.randn(batch, frames, hidden) for _ in range(3)]
    x, dn, dv = (r.masked_fill(ended, float("nan")).to(dtype) for r in rows)
    mean, mean2 = torch.randn(2, batch, frames)
    bias, gain, shift, constant = torch.randn(4, hidden)
    left = (taps - 1) * dilation // (1 if causal else 2)
    rstd, slope = torch.rand(batch, frames) + 0.5, torch.tensor([0.25])
    y, n = rows[1].to(dtype), rows[2].to(dtype)
    activation = passes.Activation(x, bias, slope, mean, rstd, gain, shift)
    taps = passes.Taps(torch.randn(hidden, 1, taps), constant, left, dilation)
    return SimpleNamespace(
        activation=activation, taps=taps, slope=torch.tensor([-0.3]), valid=valid, dn=dn, dv=dv, y=y, n=n,
        residual=torch.randn(batch, frames, 2), skip=torch.randn(batch, frames, hidden), mean2=mean2,
    )  # fmt: skip


def run_passes(passes, i, norm):
    """Run each pass once."""
    a = i.activation
    rest = a.mean, a.rstd, a.gain, a.shift, i.valid, i.residual
    passes.statistics(*a[:3], norm, i.valid)
    passes.convolve(a, i.taps, i.slope, norm, i.valid)
    passes.convolve_again(a, i.taps, i.slope, i.mean2, a.rstd, i.valid)
    passes.finish(i.y, *rest, i.skip[..., 2:])
    passes.activation_backward(i.dn, i.n, i.y, i.slope, norm, i.mean2, a.rstd, i.valid)
    passes.convolve_backward(i.dv, a, i.taps, norm, i.valid)


def largest(x):
    return x.abs().max().item() if x.numel() else 0.0


def draw_weights(channels, hidden, skip, taps, residual):
    def normal(*shape, mean=0.0, std=1.0):
        return mean + std * torch.randn(*shape, dtype=torch.float64)

    return BlockWeights(
        expand_weight=normal(hidden, channels, std=channels**-0.5),
        expand_bias=normal(hidden, std=0.3),
        slope1=normal(1, std=0.3),
        gain1=normal(hidden, mean=1, std=0.3),
        shift1=normal(hidden, std=0.3),
        taps=normal(hidden, 1, taps),
        taps_bias=normal(hidden, std=0.3),
        slope2=normal(1, std=0.3),
        gain2=normal(hidden, mean=1, std=0.3),
        shift2=normal(hidden, std=0.3),
        residual_weight=normal(channels, hidden, std=hidden**-0.5) if residual else None,
        residual_bias=normal(channels) if residual else None,
        skip_weight=normal(skip, hidden, std=hidden**-0.5) if skip else None,
        skip_bias=normal(skip) if skip else None,
    )


def run_block(block, x, skip, weights, dilation, causal, norm, valid, dtype, device):
    """Give a block's outputs on valid frames and the gradients of a fixed mixture of these."""
    inputs = [None if t is None else t.detach().to(device, dtype).requires_grad_() for t in (x, skip, *weights)]
    counts = torch.full((len(x),), x.shape[1]) if valid is None else valid
    keep = (torch.arange(x.shape[1]) < counts[:, None]).to(device)
    valid = None if valid is None else valid.to(device)
    results = block(*inputs[:2], BlockWeights(*inputs[2:]), dilation, causal, norm, valid)
    generator = torch.Generator().manual_seed(1)
    kept = [r[keep] for r in results]
    grads = [torch.randn(r.shape, generator=generator, dtype=torch.float64).to(r) for r in kept]
    torch.autograd.backward(kept, grads)
    return kept + [t.grad for t in inputs if t is not None]


def draw_block(batch, frames, taps, dilation, causal, norm, padded, channels=5, hidden=6, skip=4, residual=True):
    """Draw what a block is given."""
    return (
        torch.randn(batch, frames, channels),
        torch.randn(batch, frames, skip),
        draw_weights(channels, hidden, skip, taps, residual),
        dilation,
        causal,
        norm,
        draw_valid(batch, frames) if padded else None,
    )


def assert_twins(gpu, arguments, dtype, tolerance):
    """Compare with the truth in float64, outputs and gradients, each at its own scale.

    A single number may be the small sum of large ones: the scale of all is its own.
    """

    def fast(*arguments):
        return importlib.import_module("speechbrain_tasnet.ops.gpu.block").conv_block(*arguments)

    expected = run_block(reference.conv_block, *arguments, torch.float64, "cpu")
    scale = max(largest(truth) for truth in expected if truth is not None)
    for k, (mine, truth) in enumerate(zip(run_block(fast, *arguments, dtype, DEVICE), expected, strict=True)):
        if truth is None:  # a path without channels carries nothing back
            assert mine is None or not mine.any()
            continue
        own_scale = max(1, largest(truth) if truth.numel() > 1 else scale)
        assert largest(mine.cpu().double() - truth) <= tolerance * own_scale, k


@runs_kernels
@pytest.mark.parametrize(
    ("batch", "frames", "taps", "dilation", "causal", "norm", "padded"),
    [
        (1, 1, 3, 1, False, "global", False),
        (3, 1, 2, 128, True, "cumulative", True),
        (3, 2, 5, 4, False, "channelwise", False),
        (1, 7, 3, 4, True, "cumulative", False),
        (3, 7, 2, 1, True, "global", True),
        (3, 63, 3, 4, False, "cumulative", True),
        (1, 63, 5, 1, True, "channelwise", False),
        (3, 63, 2, 4, False, "global", True),
        (1, 63, 3, 128, False, "global", False),
        (3, 63, 5, 4, True, "channelwise", True),
    ],
)
def test_block(gpu, batch, frames, taps, dilation, causal, norm, padded):
    arguments = draw_block(batch, frames, taps, dilation, causal, norm, padded)
    assert_twins(gpu, arguments, torch.float32, 1e-5)


@runs_kernels
@pytest.mark.parametrize(("skip", "residual"), [(0, True), (4, False), (1, True)])
def test_block_without_a_path(gpu, skip, residual):
    arguments = draw_block(2, 7, 3, 2, False, "global", True, skip=skip, residual=residual)
    assert_twins(gpu, arguments, torch.float32, 1e-5)


@runs_kernels
@pytest.mark.parametrize("hidden", [1, 33, 600])
def test_block_of_any_width(gpu, monkeypatch, hidden):
    monkeypatch.undo()  # tiles and chunks as they are
    arguments = draw_block(2, 4, 3, 1, False, "global", True, hidden=hidden)
    assert_twins(gpu, arguments, torch.float32, 1e-5)


@runs_kernels
def test_block_in_double_precision(gpu):
    assert_twins(gpu, draw_block(2, 15, 3, 2, True, "cumulative", True), torch.float64, 1e-12)


@runs_kernels
@pytest.mark.parametrize(
    ("dtype", "norm"),
    [(torch.bfloat16, "global"), (torch.bfloat16, "cumulative"), (torch.float16, "channelwise")],
)
def test_block_in_half_precision(gpu, dtype, norm):
    """Slopes of one have no kink, at which a rounded value may fall on the other side."""
    arguments = list(draw_block(2, 15, 3, 4, False, norm, True, hidden=16))
    one = torch.ones(1, dtype=torch.float64)
    arguments[2] = arguments[2]._replace(slope1=one, slope2=one)
    with torch.autocast(DEVICE, dtype):
        assert_twins(gpu, arguments, torch.float32, 2e-2)


@runs_kernels
def test_a_large_mean_costs_no_precision(gpu):
    """A row's variance is taken about its mean: sums of squares would have lost it."""
    x = (300 + torch.randn(1, 7, 16)).to(DEVICE)
    zeros, valid = torch.zeros(16, device=DEVICE), torch.tensor([7], device=DEVICE)
    mean, rstd = gpu.statistics(x, zeros, zeros[:1], "channelwise", valid)
    truth = torch.var_mean(x.double(), dim=2, unbiased=False)
    torch.testing.assert_close((rstd.double() ** -2, mean.double()), truth, rtol=1e-5, atol=0)


@runs_kernels
def test_inputs_in_any_order_of_memory(gpu):
    """The first block is given what came out of a transposition."""
    arguments = list(draw_block(2, 7, 3, 2, False, "global", True))
    arguments[0], arguments[1] = (t.transpose(1, 2).contiguous().transpose(1, 2) for t in arguments[:2])
    assert_twins(gpu, arguments, torch.float32, 1e-5)


@has_no_kernels
def test_in_the_interpreter():
    run_in_interpreter(__file__)


class Compiler:
    """In a kernel's place: compiles it for a card instead of running it."""

    def __init__(self, kernel):
        self.kernel = kernel

    def __getitem__(self, grid):
        return self.compile

    def compile(self, *arguments, num_warps, **constants):
        from triton.backends.compiler import GPUTarget
        from triton.compiler import ASTSource, compile

        kinds = [KINDS[a.dtype] if isinstance(a, torch.Tensor) else "i32" for a in arguments]
        names = self.kernel.arg_names
        signature = {**dict.fromkeys(names, "constexpr"), **dict(zip(names, kinds, strict=False))}
        source = ASTSource(self.kernel, signature, constants)
        assert compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": num_warps}).asm["cubin"]


@pytest.mark.skipif(INTERPRETED, reason="here the kernels are no code to compile")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_kernels_compile(gpu, monkeypatch, tmp_path, dtype):
    """The interpreter takes what the compiler does not."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernels = ["statistics", "convolve", "convolve_again", "finish", "row_sums"]
    for name in [*kernels, "activation_backward", "convolve_backward"]:
        monkeypatch.setattr(gpu, f"_{name}", Compiler(getattr(gpu, f"_{name}")))
    monkeypatch.setattr(gpu, "TILE", 512)
    inputs = draw_inputs(gpu, dtype, batch=2, frames=7, hidden=192, taps=3, dilation=2, causal=False)
    run_passes(gpu, inputs, "global")
