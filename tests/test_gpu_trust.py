"""On a GPU a path through a block is trusted only after it was compared with the readable one."""

import importlib
import sys
from itertools import product

import pytest
import torch
from interpreted import DEVICE, INTERPRETED, has_no_kernels, run_in_interpreter, runs_kernels
from torch.autograd.graph import saved_tensors_hooks

from speechbrain_tasnet import ops
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.network.tcn import TemporalConvNet
from speechbrain_tasnet.ops import fallbacks, reference

NORMS = {"global": False, "cumulative": True, "channelwise": True}
INPUTS = ["x", "skip", *ops.BlockWeights._fields]


@pytest.fixture(autouse=True)
def choice(monkeypatch):
    """The module as in a process that has not used it, with small tiles and a compiler that does nothing."""
    pytest.importorskip("triton")
    module = importlib.import_module("speechbrain_tasnet.ops.gpu.choice")
    monkeypatch.setattr(module, "_trusted", {})
    monkeypatch.setattr(module, "_preferred", ["triton"])
    monkeypatch.setattr(module.trust.passes, "CHUNKS", 2)
    monkeypatch.setattr(module.trust.passes, "TILE", 256)
    monkeypatch.setattr(module.compiled, "BACKEND", "eager")
    monkeypatch.setattr(fallbacks, "_noted", {})
    monkeypatch.delenv(module.VARIABLE, raising=False)
    yield module
    if "torch._dynamo" in sys.modules:
        torch.compiler.reset()


def make_kind(choice, norm="global", half=None, residual=True, skip=4, dtype=torch.float32):
    sizes = {"channels": 8, "hidden": 24, "kernel_size": 3, "skip": skip, "residual": residual}
    device = torch.device(DEVICE)
    return choice.Kind(device, dtype, half, torch.float32, NORMS[norm], norm, **sizes)


def take(choice, monkeypatch, path):
    """Put a path in the place of the kernels."""
    monkeypatch.setitem(choice.PATHS, "triton", path)
    return path


def wrong_output(x, skip, *rest):
    residual, skip = reference.conv_block(x, skip, *rest)
    return residual, skip * 1.001


def not_a_number(*arguments):
    residual, skip = reference.conv_block(*arguments)
    return residual, skip.index_fill(1, torch.tensor([0]), torch.nan)


def does_not_compile(*arguments):
    raise RuntimeError("no kernel image is available\nfor execution on the device")


class Bent(torch.autograd.Function):
    """Gives back what it is given, and a derivative that is too large."""

    @staticmethod
    def forward(ctx, x, factor):
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.factor, None


def draw_block(causal=False, norm="global"):
    torch.manual_seed(0)
    net = TemporalConvNet(B=8, H=24, Sc=4, P=3, X=2, R=1, norm=norm, causal=causal)
    return net, torch.randn(2, 50, 8)


def run_network(net, x):
    net.zero_grad()
    out = net(x, torch.tensor([50, 31], device=x.device))
    there = torch.cat([out[0], out[1, :31]])
    there.square().mean().backward()
    return [there, *(p.grad.clone() for p in net.parameters())]


@runs_kernels
@pytest.mark.parametrize(
    ("norm", "residual", "skip"), [("global", True, 4), ("cumulative", False, 4), ("channelwise", True, 0)]
)
@pytest.mark.parametrize(
    ("half", "dtype"),
    [
        (None, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.bfloat16, torch.bfloat16),
        (torch.float16, torch.float32),
    ],
)
def test_the_kernels_are_kept(choice, capsys, norm, residual, skip, half, dtype):
    kind = make_kind(choice, norm, half, residual, skip, dtype)
    assert choice.choose(kind) is choice.PATHS["triton"]
    assert capsys.readouterr().err == ""


def scaled(function, place, factor):
    """Let a sweep return one of its results too large."""

    def wrong(*arguments, **options):
        results = list(function(*arguments, **options))
        results[place] = results[place] * factor
        return tuple(results)

    return wrong


@runs_kernels
@pytest.mark.parametrize(
    ("sweep", "place"),
    [("statistics", 1), ("convolve", 0), ("finish", 1), ("activation_backward", 2), ("convolve_backward", 5)],
)
def test_a_wrong_kernel_is_left(choice, monkeypatch, capsys, sweep, place):
    passes = choice.trust.passes
    monkeypatch.setitem(choice.PATHS, "compiled", reference.conv_block)
    monkeypatch.setattr(passes, sweep, scaled(getattr(passes, sweep), place, 1.001))
    net, x = draw_block()
    right = run_network(net, x)
    net, x = net.to(DEVICE), x.to(DEVICE)
    monkeypatch.setattr(ops, "find_loops", lambda x: importlib.import_module("speechbrain_tasnet.ops.gpu"))
    for mine, truth in zip(run_network(net, x), right, strict=True):
        torch.testing.assert_close(mine.cpu(), truth, rtol=1e-4, atol=1e-5)
    (line,) = capsys.readouterr().err.splitlines()
    assert "triton kernels" in line
    assert "wrong on this device" in line


@pytest.mark.long
@has_no_kernels
def test_in_the_interpreter():
    run_in_interpreter(__file__)


@pytest.mark.skipif(INTERPRETED, reason="needs no kernels")
class TestChoice:
    """What is decided, with readable functions in the place of kernels."""

    def test_what_is_right_is_compared_once(self, choice, monkeypatch, capsys):
        calls = []

        def right(*arguments):
            calls.append(arguments)
            return reference.conv_block(*arguments)

        take(choice, monkeypatch, right)
        assert [choice.choose(make_kind(choice)) for _ in range(3)] == [right] * 3
        assert len(calls) == 1
        choice.choose(make_kind(choice, residual=False))
        assert len(calls) == 2
        assert capsys.readouterr().err == ""

    @pytest.mark.parametrize(
        ("path", "reason"),
        [
            (wrong_output, "wrong on this device: off by 1.0e-03"),
            (not_a_number, "wrong on this device: off by nan"),
            (does_not_compile, "fails: RuntimeError: no kernel image is available; next"),
        ],
    )
    def test_what_is_wrong_is_left_loudly_and_once(self, choice, monkeypatch, capsys, path, reason):
        take(choice, monkeypatch, path)
        kind = make_kind(choice)
        for residual in (True, False, True):
            assert choice.choose(make_kind(choice, residual=residual)) is choice.PATHS["compiled"]
        with torch.no_grad():
            assert choice.choose(kind) is reference.conv_block
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"tasnet: warning: triton kernels ({kind.device}, float32, global norm): ")
        assert reason in line
        assert line.endswith("next comes the readable path, compiled by torch")
        assert choice.is_left("triton")

    @pytest.mark.parametrize("norm", NORMS)
    @pytest.mark.parametrize("bent", INPUTS)
    def test_every_derivative_is_compared(self, choice, bent, norm):
        def path(x, skip, weights, *rest):
            given = {"x": x, "skip": skip, **weights._asdict()}
            given[bent] = Bent.apply(given[bent], 1.01)
            x, skip, *weights = given.values()
            return reference.conv_block(x, skip, ops.BlockWeights(*weights), *rest)

        assert not choice.trust.compare(path, make_kind(choice, norm)).tolerable

    @pytest.mark.parametrize("norm", NORMS)
    def test_half_precision_is_compared_in_half_precision(self, choice, norm):
        def wrong(*arguments):
            residual, skip = reference.conv_block(*arguments)
            return residual * 1.2, skip

        kind = make_kind(choice, norm, torch.bfloat16)
        errors = choice.trust.compare(reference.conv_block, kind)
        assert 1e-3 < errors.path == errors.readable < 0.1
        assert errors.tolerable
        assert not choice.trust.compare(wrong, kind).tolerable

    def test_if_torch_cannot_compile_the_readable_path_runs(self, choice, monkeypatch, capsys):
        take(choice, monkeypatch, does_not_compile)
        monkeypatch.setattr(choice.compiled, "BACKEND", "no such compiler")
        assert choice.choose(make_kind(choice)) is reference.conv_block
        first, second = capsys.readouterr().err.splitlines()
        assert "next comes the readable path, compiled by torch" in first
        assert "compiled by torch" in second
        assert "float32, global norm): fails: " in second
        assert second.endswith("next comes the readable path, several times slower")

    def test_without_memory_nothing_is_decided(self, choice, monkeypatch, capsys):
        def full(*arguments):
            raise torch.OutOfMemoryError("CUDA out of memory")

        right = choice.PATHS["triton"]
        take(choice, monkeypatch, full)
        with pytest.raises(torch.OutOfMemoryError):
            choice.choose(make_kind(choice))
        assert not choice.is_left("triton")
        assert capsys.readouterr().err == ""
        assert right is not full

    def test_while_a_graph_is_captured_nothing_is_decided(self, choice, monkeypatch):
        right = take(choice, monkeypatch, lambda *arguments: reference.conv_block(*arguments))
        with monkeypatch.context() as patch:
            patch.setattr(choice, "_is_captured", lambda kind: True)
            assert choice.choose(make_kind(choice)) is reference.conv_block
        assert choice.choose(make_kind(choice)) is right

    def test_the_caller_does_not_notice(self, choice, monkeypatch):
        saved = []

        def modes():
            deterministic = torch.are_deterministic_algorithms_enabled(), torch.get_deterministic_debug_mode()
            autocast = torch.is_autocast_enabled(DEVICE), torch.get_autocast_dtype(DEVICE)
            return torch.is_grad_enabled(), torch.is_inference_mode_enabled(), deterministic, autocast

        def seen(*arguments):
            inside.append(modes())
            return reference.conv_block(*arguments)

        take(choice, monkeypatch, seen)
        drawn = torch.get_rng_state()
        for mode, half in [(torch.inference_mode, None), (torch.no_grad, torch.bfloat16)]:
            inside = []
            hooks = saved_tensors_hooks(saved.append, lambda tensor: tensor)
            other = torch.autocast(DEVICE, torch.float16, enabled=half is None)
            with mode(), other, hooks, torch.device("meta"):
                before = modes()
                assert choice.choose(make_kind(choice, half=half)) is seen
                assert modes() == before
            (grad, inference, deterministic, (autocast, dtype)) = inside[0]
            assert (grad, inference, deterministic) == (True, False, before[2])
            assert autocast == (half is not None)
            assert dtype == half or half is None
        assert torch.equal(torch.get_rng_state(), drawn)
        assert saved == []

    def test_the_order(self, choice, monkeypatch):
        learning, alone = ["triton", "compiled", "reference"], ["triton", "reference"]
        assert choice.order() == learning
        with torch.no_grad():
            assert choice.order() == alone
        choice.prefer("compiled")
        assert choice.order() == ["compiled", "triton", "reference"]
        with torch.no_grad():
            assert choice.order() == alone
        monkeypatch.setenv(choice.VARIABLE, "triton")
        assert choice.order() == learning
        monkeypatch.setenv(choice.VARIABLE, "compiled")
        with torch.no_grad():
            assert choice.order() == ["compiled", "triton", "reference"]
        monkeypatch.setenv(choice.VARIABLE, "reference")
        assert choice.order() == ["reference"]
        assert choice.choose(make_kind(choice)) is reference.conv_block
        monkeypatch.setenv(choice.VARIABLE, "cuda")
        with pytest.raises(InputError, match="TASNET_GPU_BLOCK=cuda: expected one of triton, compiled, reference"):
            choice.order()

    def test_blocks_share_what_is_compiled(self, choice, monkeypatch):
        """One graph for all dilations and lengths, and one each for the first block and the last.

        The skip path that the first is given has no derivative, the last has no residual path.
        """
        graphs = []

        def count(graph, _):
            graphs.append(graph)
            return graph

        monkeypatch.setattr(choice.compiled, "BACKEND", count)
        monkeypatch.setenv(choice.VARIABLE, "compiled")
        monkeypatch.setattr(ops, "find_loops", lambda x: importlib.import_module("speechbrain_tasnet.ops.gpu"))
        net = TemporalConvNet(B=8, H=24, Sc=4, P=3, X=6, R=1, norm="global", causal=False).to(DEVICE)
        for frames in (50, 64, 77):
            x = torch.randn(2, frames, 8, device=DEVICE, requires_grad=True)
            net(x, torch.tensor([frames, 31], device=DEVICE)).sum().backward()
        assert len(graphs) == 3


@pytest.mark.skipif(INTERPRETED, reason="needs no kernels")
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.long)])
def test_compiled_it_is_the_readable_path(choice, monkeypatch, backend, norm):
    monkeypatch.setattr(choice.compiled, "BACKEND", backend)
    for half, residual in product([None, torch.bfloat16], [True, False]):
        kind = make_kind(choice, norm, half, residual)
        errors = choice.trust.compare(choice.PATHS["compiled"], kind)
        assert errors.tolerable, (kind, errors)
