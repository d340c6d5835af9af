"""Check every fast path: whether it is used here, equals its readable reference, and how much faster it is."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from speechbrain_tasnet.network.mask_network import MaskNet
from speechbrain_tasnet.network.precision import relative_time
from speechbrain_tasnet.ops import fallbacks, matmul, reference, stack
from speechbrain_tasnet.ops.block_weights import BlockWeights
from speechbrain_tasnet.ops.dispatch import find_loops

# A block of the separators that are bundled, on one second and a bit: sizes that no kernel likes.
FRAMES, CHANNELS, HIDDEN = 517, 128, 256
BLOCK = [4], False, "global"  # dilations, whether it is causal, norm
TOLERANCE = 1e-4  # of the largest value


class FastPath(NamedTuple):
    """A fast path as it was found.

    ``used`` says whether it is; if so, ``error`` is how far it is from its twin, as a share of the largest value,
    and ``speedup`` is how many times faster it is. ``note`` says why it is not used, or what is wrong.
    """

    name: str
    used: bool
    error: float | None
    speedup: float | None
    note: str

    @property
    def wrong(self) -> bool:
        """Whether its results differ from its twin's."""
        return self.error is not None and not self.error <= TOLERANCE


def examine() -> list[FastPath]:
    """Run every fast path on a small input beside its readable reference."""
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        blocks = [_block(), *(_gpu_blocks() if "cuda" in devices else ())]
        return [*blocks, _streaming(), _product(), _bfloat16(devices[-1])]


def _block() -> FastPath:
    """Compare a convolutional block on the CPU."""
    name = "convolutional block (Numba)"
    if find_loops(torch.ones(1)) is None:
        return FastPath(name, False, None, None, _why("numba kernels"))
    return _compare_blocks(name, "cpu", lambda x, weights: stack([weights], *BLOCK, x)(x, None))


def _gpu_blocks() -> list[FastPath]:
    """Compare a convolutional block by the kernels of the GPU, and by what can take their place.

    Both are run whether they are trusted or not: that is what is to be found out.
    """
    names = {"triton": "convolutional block (Triton)", "compiled": "the same, compiled by torch"}
    if find_loops(torch.ones(1, device="cuda")) is None:
        return [FastPath(name, False, None, None, _why("triton kernels")) for name in names.values()]
    return [_gpu_block(path, name) for path, name in names.items()]


def _gpu_block(path: str, name: str) -> FastPath:
    from speechbrain_tasnet.ops.gpu.choice import PATHS

    def fast(x: Tensor, weights: BlockWeights) -> Sequence[Tensor]:
        valid = torch.full((len(x),), x.shape[1], device=x.device)
        return reference.conv_blocks(x, valid, [weights], *BLOCK, one=PATHS[path])

    try:
        return _compare_blocks(name, "cuda", fast)
    except Exception as error:  # whatever a compiler or a kernel fails with
        return FastPath(name, False, None, None, f"{type(error).__name__}: {str(error).strip()[:200]}")


def _compare_blocks(name: str, device: str, fast: Callable[[Tensor, BlockWeights], Sequence[Tensor]]) -> FastPath:
    """Compare a convolutional block with the readable one, forward and back."""
    x, weights = _inputs(device)

    def run(blocks: Callable) -> Sequence[Tensor]:
        leaves = [tensor.detach().requires_grad_() for tensor in (x, *weights)]
        outputs = blocks(leaves[0], BlockWeights(*leaves[1:]))
        sum(output.square().mean() for output in outputs).backward()
        return [*outputs, *(leaf.grad for leaf in leaves)]

    def slow(x: Tensor, weights: BlockWeights) -> Sequence[Tensor]:
        return reference.conv_blocks(x, None, [weights], *BLOCK)

    return _compare(name, lambda: run(fast), lambda: run(slow))


def _streaming() -> FastPath:
    """Compare a causal mask network packed for streams with its layers, 10 ms at a time."""
    name = "streaming network (Numba)"
    net = MaskNet(64, 64, 128, 64, X=4, R=1, norm="cumulative", causal=True).eval()
    frames = torch.randn(1, 64, 80)
    if find_loops(frames) is None:
        return FastPath(name, False, None, None, _why("numba kernels"))

    def run(state: object) -> list[Tensor]:
        masks = []
        for chunk in frames.split(10, dim=2):
            out, state = net.step(chunk, state)
            masks.append(out)
        return [torch.cat(masks, dim=3)]

    with torch.no_grad():
        packed, fresh = net.pack(), net.initial_state(1)
        return _compare(name, lambda: run(packed.begin(*fresh)), lambda: run(fresh))


def _product() -> FastPath:
    """Compare a linear layer and its derivatives with torch's own."""
    name = "linear layer (Numba)"
    x, weight = torch.randn(FRAMES, CHANNELS), torch.randn(HIDDEN, CHANNELS)
    if find_loops(x) is None:
        return FastPath(name, False, None, None, _why("numba kernels"))

    def run(linear: Callable) -> Sequence[Tensor]:
        leaves = [tensor.detach().requires_grad_() for tensor in (x, weight)]
        out = linear(*leaves)
        out.square().mean().backward()
        return [out, *(leaf.grad for leaf in leaves)]

    return _compare(name, lambda: run(matmul.linear), lambda: run(torch.nn.functional.linear))


def _bfloat16(device: str) -> FastPath:
    """Measure whether half precision is faster; its results differ by design."""
    name = f"bfloat16 on the {'GPU' if device == 'cuda' else 'processor'}"
    ratio = relative_time("bf16", device)
    if ratio < 1:
        return FastPath(name, True, None, 1 / ratio, "with --precision bf16 or auto")
    return FastPath(name, False, None, None, f"{ratio:.1f} times slower than float32 here: use --precision fp32")


def _inputs(device: str) -> tuple[Tensor, BlockWeights]:
    """Draw the input of a block and weights about as large as training leaves them."""

    def normal(*shape: int, mean: float = 0.0, std: float = 0.3) -> Tensor:
        return mean + std * torch.randn(*shape, device=device)

    half, width = HIDDEN**-0.5, CHANNELS**-0.5
    slope = torch.tensor([0.25], device=device)
    weights = BlockWeights(
        normal(HIDDEN, CHANNELS, std=width), normal(HIDDEN), slope, normal(HIDDEN, mean=1), normal(HIDDEN),
        normal(HIDDEN, 1, 3), normal(HIDDEN), slope, normal(HIDDEN, mean=1), normal(HIDDEN),
        normal(CHANNELS, HIDDEN, std=half), normal(CHANNELS), normal(CHANNELS, HIDDEN, std=half), normal(CHANNELS),
    )  # fmt: skip
    return normal(2, FRAMES, CHANNELS, std=1.0), weights


def _compare(name: str, fast: Callable[[], Sequence[Tensor]], slow: Callable[[], Sequence[Tensor]]) -> FastPath:
    """Run both; the first run of each, in which things are compiled, is not timed."""
    pairs = zip(fast(), slow(), strict=True)
    error = max(((a - b).abs().max() / b.abs().max().clamp(min=1e-3)).item() for a, b in pairs)
    note = "" if error <= TOLERANCE else "its results are wrong; please report this page"
    return FastPath(name, True, error, _seconds(slow) / _seconds(fast), note)


def _seconds(run: Callable[[], Sequence[Tensor]]) -> float:
    """Return the time of the fastest of five runs."""

    def once() -> float:
        start = time.perf_counter()
        run()[0].sum().item()
        return time.perf_counter() - start

    return min(once() for _ in range(5))


def _why(path: str) -> str:
    reasons = [reason for name, reason in fallbacks.noted().items() if name.startswith(path)]
    return reasons[0] if reasons else "not available"
