"""Every fast path equals its readable twin, outputs and gradients, at awkward sizes, on poisoned memory."""

import itertools
import logging
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
import torch

from speechbrain_tasnet import ops
from speechbrain_tasnet.ops import cpu, dispatch, fallbacks, matmul, norm_statistics, reference
from speechbrain_tasnet.ops.block_weights import BlockWeights
from speechbrain_tasnet.ops.cpu import linear

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
NORMS = ["global", "cumulative", "channelwise"]


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    """Among many random values one may round to the other side of a PReLU's kink."""
    torch.manual_seed(0)


def make_weights(channels=6, hidden=16, skip=4, taps=3, residual=True):
    """Draw weights of a block in float64, about as large as training leaves them."""

    def normal(*shape, mean=0.0, std=1.0):
        return mean + std * torch.randn(*shape, dtype=torch.float64)

    return BlockWeights(
        expand_weight=normal(hidden, channels, std=channels**-0.5),
        expand_bias=normal(hidden, std=0.3),
        slope1=torch.tensor([0.25], dtype=torch.float64),
        gain1=normal(hidden, mean=1, std=0.3),
        shift1=normal(hidden, std=0.3),
        taps=normal(hidden, 1, taps),
        taps_bias=normal(hidden, std=0.3),
        slope2=torch.tensor([-0.3], dtype=torch.float64),
        gain2=normal(hidden, mean=1, std=0.3),
        shift2=normal(hidden, std=0.3),
        residual_weight=normal(channels, hidden, std=hidden**-0.5) if residual else None,
        residual_bias=normal(channels) if residual else None,
        skip_weight=normal(skip, hidden, std=hidden**-0.5) if skip else None,
        skip_bias=normal(skip) if skip else None,
    )


def run(block, x, skip, weights, dilation, causal, norm, valid, dtype):
    """Give a block's outputs on valid frames and the gradients of a fixed mixture of these."""
    torch.full((1 << 20,), float("nan"))  # what the allocator hands out next is poisoned
    x, skip, *weights = (None if t is None else t.detach().to(dtype).requires_grad_() for t in (x, skip, *weights))
    results = block(x, skip, BlockWeights(*weights), dilation, causal, norm, valid)
    generator = torch.Generator().manual_seed(1)
    total = 0
    kept = []
    for result in results:
        frames = torch.arange(x.shape[1]).expand(len(x), -1)
        keep = torch.ones_like(frames, dtype=torch.bool) if valid is None else frames < valid[:, None]
        kept.append(result[keep])
        weighing = torch.randn(result.shape, generator=generator, dtype=torch.float64)
        total = total + (result.double() * weighing)[keep].sum()
    total.backward()
    return kept, [t.grad for t in (x, skip, *weights) if t is not None]


def assert_twins(fast, slow, tolerance):
    """Compare outputs each at its own scale, and gradients too, but those smaller than the rest at 1."""
    for got, expected in zip(fast[0], slow[0], strict=True):
        if expected.numel():
            error = (got.double() - expected).abs().max() / expected.abs().max().clamp(min=1)
            assert error <= tolerance, error
    for i, (got, expected) in enumerate(zip(fast[1], slow[1], strict=True)):
        if expected is None or expected.numel() == 0:
            assert got is None or not got.any()
            continue
        # A slope's gradient is one sum over all that is negative, and may be small beside its terms.
        scale = max(1, expected.abs().max().item(), *(g.abs().max().item() for g in slow[1][2:5] if g.numel()))
        error = (got.double() - expected).abs().max().item() / scale
        assert error <= tolerance, (i, error)


def cpu_block(x, skip, weights, dilation, causal, norm, valid):
    residual, added = cpu.Blocks([weights], [dilation], causal, norm)(x, valid)
    return residual, skip + added


SIZES = list(itertools.product([1, 5], [1, 2, 7, 63, 1000]))


@pytest.mark.parametrize(("batch", "frames"), SIZES)
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("causal", [False, True])
def test_block(batch, frames, norm, causal):
    for taps, dilation, padded in ((2, 1, False), (3, 1, True), (3, 4, False), (3, 128, True), (5, 2, True)):
        x, skip = torch.randn(batch, frames, 6), torch.randn(batch, frames, 4)
        valid = torch.randint(1, frames + 1, (batch,)) if padded else None
        arguments = x, skip, make_weights(taps=taps), dilation, causal, norm, valid
        slow = run(reference.conv_block, *arguments, torch.float64)
        assert_twins(run(cpu_block, *arguments, torch.float32), slow, 1e-5)


@pytest.mark.parametrize(("skip_channels", "residual"), [(0, True), (4, False)])
def test_block_without_a_path(skip_channels, residual):
    weights = make_weights(skip=skip_channels, residual=residual)
    arguments = torch.randn(2, 63, 6), torch.randn(2, 63, skip_channels), weights, 4, False, "global", None
    slow = run(reference.conv_block, *arguments, torch.float64)
    assert_twins(run(cpu_block, *arguments, torch.float32), slow, 1e-5)


@pytest.mark.parametrize("hidden", [1, 3, 16, 33, 192])
def test_block_of_any_width(hidden):
    weights = make_weights(channels=5, hidden=hidden, skip=3)
    arguments = torch.randn(2, 63, 5), torch.randn(2, 63, 3), weights, 4, False, "global", None
    slow = run(reference.conv_block, *arguments, torch.float64)
    assert_twins(run(cpu_block, *arguments, torch.float32), slow, 1e-5)


def autocast(block):
    """Run a block with products in bfloat16."""

    def run_block(*arguments):
        with torch.autocast("cpu", torch.bfloat16):
            return block(*arguments)

    return run_block


def relative(got, expected):
    return (got.double() - expected).norm() / expected.norm().clamp(min=1e-6)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("frames", [7, 63, 1000])
def test_block_in_bfloat16(norm, frames):
    """Slopes of one have no kink, at which a rounded value may fall on the other side."""
    one = torch.ones(1, dtype=torch.float64)
    weights = make_weights(hidden=64)._replace(slope1=one, slope2=one)
    valid = torch.randint(1, frames + 1, (5,))
    arguments = torch.randn(5, frames, 6), torch.randn(5, frames, 4), weights, 4, False, norm, valid
    outputs, gradients = run(autocast(cpu_block), *arguments, torch.float32)
    assert outputs[0].dtype == torch.float32, "what adds up from block to block stays whole"
    truth = run(reference.conv_block, *arguments, torch.float64)
    names = ["x", "skip", *BlockWeights._fields]
    for name, got, expected in zip(["", "", *names], outputs + gradients, truth[0] + truth[1], strict=True):
        if not name.startswith("slope"):  # a single sum may be small beside its terms
            assert relative(got, expected) < 2e-2, name


@pytest.mark.parametrize("norm", NORMS)
def test_block_in_bfloat16_errs_no_more_than_autograd(norm):
    arguments = torch.randn(5, 300, 6), torch.randn(5, 300, 4), make_weights(hidden=64), 4, False, norm, None
    truth = run(reference.conv_block, *arguments, torch.float64)
    fast, slow = (run(autocast(block), *arguments, torch.float32) for block in (cpu_block, reference.conv_block))
    for got, other, expected in zip(*(r[0] + r[1] for r in (fast, slow, truth)), strict=True):
        if expected.numel() > 1:
            assert relative(got, expected) < 1.5 * relative(other, expected) + 5e-3


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("causal", [False, True])
def test_derivative_of_the_readable_twin(norm, causal):
    x, skip = torch.randn(2, 9, 3, dtype=torch.float64), torch.randn(2, 9, 2, dtype=torch.float64)
    inputs = [t.requires_grad_() for t in (x, skip, *make_weights(channels=3, hidden=4, skip=2))]
    valid = torch.tensor([9, 5])

    def block(x, skip, *weights):
        residual, total = reference.conv_block(x, skip, BlockWeights(*weights), 2, causal, norm, valid)
        return residual[0], residual[1, :5], total[0], total[1, :5]

    assert torch.autograd.gradcheck(block, inputs)


@pytest.mark.parametrize("threads", [1, 2, 3, (os.cpu_count() or 1) + 3])
@pytest.mark.parametrize("norm", NORMS)
def test_blocks_in_a_row(threads, norm):
    """Threads share the rows of each item; there may be fewer rows than threads, and fewer processors."""
    draws = [make_weights(channels=6, hidden=33, skip=4, taps=3, residual=i < 3) for i in range(4)]
    x, valid, dilations = torch.randn(3, 130, 6), torch.tensor([130, 61, 2]), [1, 2, 4, 1]

    def several(blocks):
        def block(x, skip, first, dilation, causal, norm, valid):
            weights = [first, *(BlockWeights(*(None if t is None else t.to(x) for t in w)) for w in draws[1:])]
            residual, added = blocks(x, valid, weights, dilations, causal, norm)
            return residual, skip + added

        return block

    def fast(x, valid, weights, dilations, causal, norm):
        return cpu.Blocks(weights, dilations, causal, norm)(x, valid)

    arguments = x, torch.randn(3, 130, 4), draws[0], None, norm != "global", norm, valid
    slow = run(several(reference.conv_blocks), *arguments, torch.float64)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert_twins(run(several(fast), *arguments, torch.float32), slow, 1e-5)
    finally:
        torch.set_num_threads(before)


def test_no_memory_is_read_before_it_is_written():
    """With an allocator that fills what it hands out with junk, results stay the same."""
    code = (
        "import torch\n"
        "from speechbrain_tasnet.network.tcn import TemporalConvNet\n"
        "for norm in ('global', 'cumulative', 'channelwise'):\n"
        "    torch.manual_seed(0)\n"
        "    net = TemporalConvNet(6, 33, 4, 3, 2, 2, norm, norm != 'global')\n"
        "    out = net(torch.randn(2, 70, 6), torch.tensor([70, 9]))\n"
        "    out[:, :9].square().sum().backward()\n"
        "    print(*(p.grad.double().sum().item() for p in net.parameters()), out[:, :9].sum().item())\n"
    )
    results = [
        subprocess.run(
            [sys.executable, "-c", code],
            env=ENVIRONMENT | {"MALLOC_PERTURB_": junk},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for junk in ("0", "255")
    ]
    assert results[0] == results[1]
    assert "nan" not in results[0]


@pytest.mark.skipif(not cpu.half_is_fast(), reason="no instructions for bfloat16 here")
@pytest.mark.parametrize(("rows", "inner", "outer"), [(1, 1, 1), (60, 100, 70), (33, 32, 64)])
def test_products_of_bfloat16(rows, inner, outer):
    x, weight = torch.randn(rows, inner), torch.randn(outer, inner)
    packed = cpu.products.room(1, outer, inner, half=True)[0]
    out = np.zeros((rows, cpu.products.rounded.py_func(outer)), np.float32)
    sums = np.ones((outer, cpu.products.rounded.py_func(inner)), np.float32)
    y = torch.randn(rows, outer)
    multiply_in_half(x.numpy(), weight.numpy(), packed, out, y.numpy(), sums)
    rounded = [t.bfloat16().float() for t in (x, weight, y)]
    torch.testing.assert_close(torch.from_numpy(out[:, :outer]), rounded[0] @ rounded[1].T)
    torch.testing.assert_close(torch.from_numpy(sums[:, :inner]), 1 + rounded[2].T @ rounded[0])


@numba.njit
def multiply_in_half(x, weight, packed, out, y, sums):
    memory = cpu.products.scratch(128)
    cpu.products.pack(cpu.products.transposed(weight), packed)
    cpu.products.multiply(x, 0, len(x), packed, len(weight), out, 0, memory)
    cpu.products.add_product_over_rows(packed, y, 0, 0, y.shape[1], x, 0, x.shape[1], len(x), sums, memory)


@pytest.mark.parametrize("norm", NORMS)
def test_statistics_have_the_derivative_that_autograd_finds(norm):
    """Those of tensors are for graphics cards; the loops for processors have theirs in their sweeps."""
    valid, size = torch.tensor([9, 4]), 5
    seen = (torch.arange(9) < valid[:, None]).unsqueeze(2)
    rows = (torch.randn(2, 9, size, dtype=torch.float64) * seen).requires_grad_()
    dn = torch.randn(2, 9, size, dtype=torch.float64) * seen

    def spread_of(rows):
        variance, mean = torch.var_mean(rows, dim=2, unbiased=False)
        return [s.unsqueeze(2) for s in norm_statistics.spread(norm, mean, variance, valid)]

    mean, rstd = spread_of(rows)
    n = (rows - mean) * rstd
    (expected,) = torch.autograd.grad(n, rows, dn)
    sums = (dn * seen).sum(2), (dn * n * seen).sum(2)
    with torch.no_grad():
        alpha, gamma = norm_statistics.spread_backward(norm, *sums, mean.squeeze(2), rstd.squeeze(2), valid, size)
        got = rstd * dn + alpha.unsqueeze(2) + gamma.unsqueeze(2) * rows
    torch.testing.assert_close(got * seen, expected * seen)


@pytest.mark.parametrize("norm", NORMS)
def test_a_large_mean_costs_no_precision(norm):
    """A row's variance is taken about its mean: sums of squares would have lost it."""
    weights = make_weights()
    weights = weights._replace(expand_bias=weights.expand_bias * 0 + 50, slope2=weights.slope2.abs())
    arguments = torch.randn(2, 63, 6), torch.zeros(2, 63, 4), weights, 1, True, norm, None
    slow = run(reference.conv_block, *arguments, torch.float64)
    assert_twins(run(cpu_block, *arguments, torch.float32), slow, 1e-4)


def test_nothing_of_the_padding_comes_through():
    x, skip, weights = torch.randn(2, 30, 6), torch.randn(2, 30, 4), make_weights()
    valid = torch.tensor([30, 11])
    results = []
    for junk in (0.0, 1e8):
        x[1, 11:] = junk
        results.append(run(cpu_block, x, skip, weights, 4, False, "global", valid, torch.float32)[0])
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)


def test_results_do_not_depend_on_the_number_of_threads():
    arguments = torch.randn(2, 200, 6), torch.randn(2, 200, 4), make_weights(), 4, False, "global", None
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = run(cpu_block, *arguments, torch.float32)
        torch.set_num_threads(2)
        two = run(cpu_block, *arguments, torch.float32)
    finally:
        torch.set_num_threads(threads)
    assert_twins(one, ([t.double() for t in two[0]], [t.double() for t in two[1]]), 1e-6)


@pytest.mark.parametrize(
    ("rows", "inner", "outer"), [(1, 1, 1), (1, 5, 3), (7, 3, 1), (63, 128, 512), (129, 70, 65), (1000, 6, 4)]
)
def test_products(rows, inner, outer):
    x, weight, bias, grad = (
        torch.randn(*size) for size in ((rows, inner), (outer, inner), (outer,), (rows, outer))
    )
    close = {"rtol": 1e-5, "atol": 1e-5 * max(rows, inner) ** 0.5}
    torch.testing.assert_close(linear.product(x, weight), x @ weight.T, **close)
    torch.testing.assert_close(linear.product_over_rows(grad, x), grad.T @ x, **close)
    inputs = [t.clone().requires_grad_() for t in (x, weight, bias)]
    twins = [t.clone().requires_grad_() for t in (x, weight, bias)]
    for count in (2, 3):  # without bias, and with it
        matmul.linear(*inputs[:count]).backward(grad)
        torch.nn.functional.linear(*twins[:count]).backward(grad)
    for mine, truth in zip(inputs, twins, strict=True):
        torch.testing.assert_close(mine.grad, truth.grad, **close)


def test_factors_that_do_not_fit_are_refused():
    """Loops that trusted their shapes would read past the end."""
    for rows in (3, 200):
        with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
            ops.linear(torch.randn(rows, 6), torch.randn(5, 3))


def test_a_product_over_rows_does_not_depend_on_who_does_which_part():
    y, x = torch.randn(200, 65), torch.randn(200, 70)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(linear.product_over_rows(y, x))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


@pytest.mark.parametrize("summed", [1, 3])
def test_masks(summed):
    masks, mixture_w = torch.rand(3, 2, 6, 7, requires_grad=True), torch.randn(2, 6, 7, requires_grad=True)
    found = ops.apply_masks(masks, mixture_w, summed)
    expected = (masks * mixture_w).unflatten(2, (summed, -1)).sum(2)
    torch.testing.assert_close(found, expected)
    grad = torch.randn_like(expected)
    got, wanted = (torch.autograd.grad(product, (masks, mixture_w), grad) for product in (found, expected))
    for mine, truth in zip(got, wanted, strict=True):
        torch.testing.assert_close(mine, truth)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_decode_in_any_order_of_memory(order):
    frames = torch.randn(2, 3, 7, 5).permute(*order, 3)
    weight = torch.randn(5, 1, 8)
    signals = torch.nn.functional.conv_transpose1d(frames.flatten(0, 1).mT, weight, stride=4)
    for decode in (ops.decode, reference.decode):
        torch.testing.assert_close(decode(frames, weight).flatten(0, 1), signals.squeeze(1))


def test_who_does_the_loops():
    x = torch.randn(1, 4, 6)
    assert dispatch.find_loops(x) is cpu
    assert dispatch.find_loops(x.double()) is None
    assert dispatch.find_loops(x.bfloat16()) is None
    with torch.autocast("cpu", torch.bfloat16):
        assert dispatch.find_loops(x.bfloat16()) is cpu
    with torch.autocast("cpu", torch.float16):
        assert dispatch.find_loops(x) is None


def any_block(x, skip, weights, dilation, causal, norm, valid):
    residual, added = ops.stack([weights], [dilation], causal, norm, x)(x, valid)
    return residual, skip + added


def test_without_numba_it_runs_and_says_so_once(monkeypatch, capsys, caplog):
    monkeypatch.setattr(fallbacks, "_noted", {})
    monkeypatch.setitem(sys.modules, "numba", None)
    for name in [name for name in sys.modules if name.startswith("speechbrain_tasnet.ops.cpu")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(dispatch, "_load", dispatch.cache(dispatch._load.__wrapped__))
    arguments = torch.randn(2, 7, 6), torch.randn(2, 7, 4), make_weights(), 1, False, "global", None
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            got = run(any_block, *arguments, torch.float32)
    assert_twins(got, run(reference.conv_block, *arguments, torch.float64), 1e-5)
    (line,) = capsys.readouterr().err.splitlines()
    assert [record.message for record in caplog.records] == [line.removeprefix("tasnet: warning: ")]
    assert re.match(
        r"tasnet: warning: numba kernels \(cpu\): numba [\d.]+ does not import beside numpy [\d.]+", line
    )
    assert "pip install --force-reinstall numba" in line
    assert list(fallbacks.noted()) == ["numba kernels (cpu)"]


def test_it_compiles_where_nothing_can_be_written(tmp_path):
    """In a read-only installation without a home the machine code is simply not kept."""
    code = (
        "import torch, numba.core.caching as caching\n"
        "caching.CacheImpl._locator_classes = []\n"
        "from speechbrain_tasnet.ops.cpu import linear\n"
        "print(linear.product_over_rows(torch.ones(2, 1), torch.ones(2, 3)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "tensor([[2., 2., 2.]])"
    assert done.stderr.count("tasnet: warning: machine code on disk: ") == 1


def test_machine_code_is_not_kept_where_numba_has_no_stamp(tmp_path):
    """The stamp that tells old machine code from new is no public attribute of numba."""
    code = (
        "import torch, numba.core.caching as caching\n"
        "caching.IndexDataCacheFile = lambda **_: object()\n"
        "from speechbrain_tasnet.ops.cpu import linear\n"
        "linear.product_over_rows(torch.ones(2, 1), torch.ones(2, 3))\n"
        "print(linear._add_product_over_rows.stats.cache_path)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "None"
    assert "machine code on disk: numba" in done.stderr


def test_machine_code_is_made_anew_when_a_loop_taken_in_from_another_file_changes(tmp_path):
    """An upgrade may change `microkernel.py` alone, whose loops are part of what Numba keeps of `stream.py`."""
    package = shutil.copytree(
        Path(ops.__file__).parent, tmp_path / "ops", ignore=shutil.ignore_patterns("__pycache__")
    )
    (package / "inner.py").write_text(
        "from .cpu.compile import inline\n@inline\ndef inner(x):\n    return x + 1\n"
    )
    (package / "outer.py").write_text(
        "from .cpu.compile import serial\nfrom .inner import inner\n@serial\ndef outer(x):\n    return inner(x)\n"
    )
    (package / "__init__.py").write_text("")
    outer = [
        sys.executable,
        "-B",
        "-c",
        "from ops.outer import outer; print(outer(1), sum(outer.stats.cache_hits.values()))",
    ]

    def run_outer():
        return subprocess.run(outer, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.split()

    assert run_outer() == ["2", "0"]
    assert run_outer() == ["2", "1"]
    inner = package / "inner.py"
    inner.write_text(inner.read_text().replace("+ 1", "+ 2"))
    assert run_outer() == ["3", "0"]


@pytest.mark.parametrize(("environment", "kept"), [({}, True), ({"MALLOC_ARENA_MAX": "2"}, False)])
def test_freed_memory_is_kept_unless_the_user_tunes_malloc(environment, kept):
    code = (
        "import resource, torch\n"
        "from speechbrain_tasnet import tune_process\n"
        "tune_process()\n"
        "for _ in range(9): torch.zeros(1 << 24)\n"
        "counts = [resource.getrusage(resource.RUSAGE_SELF).ru_minflt]\n"
        "for _ in range(5):\n"
        "    torch.zeros(1 << 24)\n"
        "    counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)\n"
        # The least: now and then the heap puts one in another place.
        "print(min(later - earlier for earlier, later in zip(counts, counts[1:])))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT | environment, capture_output=True, text=True, check=True
    )
    assert (int(done.stdout) < 100) == kept


def test_one_thread_stays_one_thread():
    """Numba's pool must not talk the products of torch into using all cores."""
    code = (
        "import os, torch\n"
        "from speechbrain_tasnet import MaskNet\n"
        "masknet = MaskNet(N=64, B=32, H=64, Sc=32, X=2, R=1)\n"
        "masknet(torch.randn(1, 64, 4000)).sum().backward()\n"
        "print(len(os.listdir('/proc/self/task')))\n"
    )
    environment = ENVIRONMENT | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "1"


def test_linear_algebra_stays_right():
    """Who tells torch its number of threads breaks, on some processors, the solver on which SDR relies."""
    code = (
        "import torch\n"
        "from speechbrain_tasnet.ops.cpu import linear\n"
        "linear.product_over_rows(torch.ones(2, 1), torch.ones(2, 3))\n"
        "torch.manual_seed(0)\n"
        "a, b = torch.randn(2, 512, 512, dtype=torch.float64), torch.randn(2, 512, dtype=torch.float64)\n"
        "print(((a @ torch.linalg.solve(a, b)[..., None])[..., 0] - b).abs().max().item() < 1e-8)\n"
    )
    environment = {name: value for name, value in ENVIRONMENT.items() if not name.startswith("OMP_")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "True"
