"""``python -m benchmarks.streaming``: what live separation costs, beside doing it anew for each chunk.

A peer cannot stream: for the same latency it computes, for each chunk, all the signal
that its network looks back on, of which only the newest samples are used.
"""

import argparse
import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import Tensor

from benchmarks.page import RESULTS, write_section
from speechbrain_tasnet import Decoder, Encoder, MaskNet, StreamingSeparator, receptive_field, separate

RATE = 8000
CHUNKS = (2, 10, 100)  # ms
SIZES = {
    "5 M": {"N": 512, "L": 16, "B": 128, "H": 512, "Sc": 128, "X": 8, "R": 3},
    "1.5 M": {"N": 128, "L": 40, "B": 128, "H": 256, "Sc": 128, "X": 7, "R": 2},
}
Step = Callable[[Tensor], object]


class Row(NamedTuple):
    """What one contestant took for chunks of one length."""

    sizes: str
    name: str
    chunk: int
    seconds: float
    worst: float
    chunks: int

    def line(self) -> str:
        """Write it as a row of the table."""
        length = self.chunk / 1e3
        return (
            f"| {self.sizes} | {self.name} | {self.chunk} ms | {self.seconds / length:.3f} "
            f"| {1e3 * self.worst:.2f} ms | {self.chunks} |\n"
        )


def build(letters: dict) -> tuple[Encoder, MaskNet, Decoder]:
    """Build our causal model with the paper's cumulative norm."""
    N, L = letters["N"], letters["L"]
    net = {name: value for name, value in letters.items() if name != "L"}
    return Encoder(N, L), MaskNet(**net, C=2, norm="cumulative", causal=True), Decoder(N, L)


def ours(model: tuple) -> Step:
    """Stream."""
    return StreamingSeparator(*model).step


def ours_anew(model: tuple) -> Step:
    """Separate the receptive field anew for each chunk."""
    return _window(lambda signal: separate(*model, signal), receptive_field(*model[:2], RATE).samples)


def speechbrain_anew(letters: dict, samples: int) -> Step:
    """Let SpeechBrain's causal network separate as much anew for each chunk; it has no cumulative norm."""
    from speechbrain.lobes.models.conv_tasnet import MaskNet as TheirMaskNet
    from speechbrain.lobes.models.dual_path import Decoder as TheirDecoder
    from speechbrain.lobes.models.dual_path import Encoder as TheirEncoder

    N, L, B, H, X, R = (letters[name] for name in ("N", "L", "B", "H", "X", "R"))
    encoder = TheirEncoder(kernel_size=L, out_channels=N)
    masknet = TheirMaskNet(N, B, H, 3, X, R, 2, norm_type="cLN", causal=True, mask_nonlinear="relu")
    decoder = TheirDecoder(in_channels=N, out_channels=1, kernel_size=L, stride=L // 2, bias=False)

    def run(signal: Tensor) -> None:
        mixture_w = encoder(signal)
        for mask in masknet(mixture_w):
            decoder(mixture_w * mask)

    return _window(run, samples)


def in_onnxruntime(model: tuple, chunk: int) -> Step:
    """Stream the exported graph."""
    import onnxruntime

    from speechbrain_tasnet.export import export_streaming_onnx

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "step.onnx"
        export_streaming_onnx(*model, path, chunk)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    kinds = {"tensor(float)": torch.float32, "tensor(double)": torch.float64}
    state = {i.name: torch.zeros(i.shape, dtype=kinds[i.type]).numpy() for i in session.get_inputs()[1:]}
    names = [output.name for output in session.get_outputs()]

    def step(signal: Tensor) -> None:
        _, *after = session.run(names, {"chunk": signal.numpy(), **state})
        state.update(zip((name.removeprefix("next.") for name in names[1:]), after, strict=True))

    return step


def _window(run: Callable[[Tensor], object], samples: int) -> Step:
    window = torch.zeros(1, samples)

    @torch.inference_mode()
    def step(chunk: Tensor) -> None:
        nonlocal window
        window = torch.cat([window, chunk], dim=1)[:, -samples:]
        run(window)

    return step


def clock(step: Step, chunk: int, seconds: float) -> tuple[float, float, int]:
    """Feed chunks for some time; returns the median and the largest time, and how many there were."""
    signal = torch.randn(50, 1, chunk) / 10
    step(signal[0])
    step(signal[1])
    times = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        step(signal[len(times) % len(signal)])
        times.append(time.perf_counter() - start)
    return median(times), max(times), len(times)


def measure(seconds: float) -> Iterator[Row]:
    """Let everybody run, one after the other."""
    for sizes, letters in SIZES.items():
        torch.manual_seed(0)
        model = build(letters)
        samples = receptive_field(*model[:2], RATE).samples
        for chunk in CHUNKS:
            size = chunk * RATE // 1000
            contestants = {
                "StreamingSeparator": lambda model=model: ours(model),
                "its model anew": lambda model=model: ours_anew(model),
                "SpeechBrain's causal model anew": lambda letters=letters, n=samples: speechbrain_anew(letters, n),
            }
            if size % (letters["L"] // 2) == 0:
                contestants["ONNX step in onnxruntime"] = lambda model=model, n=size: in_onnxruntime(model, n)
            for name, make in contestants.items():
                yield Row(sizes, name, chunk, *clock(make(), size, seconds))


def an_hour(sizes: str) -> str:
    """Stream an hour, and tell how much memory that took."""
    live = StreamingSeparator(*build(SIZES[sizes]))
    chunks = torch.randn(100, 1, 80) / 10
    for chunk in chunks.repeat(10, 1, 1):
        live.step(chunk)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    for i in range(360_000):
        live.step(chunks[i % 100])
    took = time.perf_counter() - start
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return (
        f"An hour in chunks of 10 ms ({sizes}): {took:.0f} s; the peak of memory rose by {grown / 1024:.1f} MB.\n"
    )


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streaming", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5, help="for each row (%(default)g)")
    parser.add_argument("--hour", choices=SIZES, help="also stream an hour through this configuration")
    parser.add_argument("--out", type=Path, default=RESULTS, help="page to write the figures into (%(default)s)")
    options = parser.parse_args()
    threads = torch.get_num_threads()
    text = (
        "## Live separation\n\n"
        '`python -m benchmarks.streaming --hour "5 M"`. '
        f"One stream at {RATE} Hz on {threads} thread{'s' * (threads > 1)}, float32, causal, two sources; "
        f"{platform.machine()}, torch {torch.__version__}, load {os.getloadavg()[0]:.1f} before. The real-time "
        "factor is the median time of a chunk by its length. *Anew* means: for each chunk the network runs over "
        "its whole receptive field again, which a network that cannot stream must for the same latency.\n\n"
        "| parameters | | chunk | real-time factor | worst chunk | chunks |\n|---|---|--:|--:|--:|--:|\n"
    )
    for row in measure(options.seconds):
        print(row.line(), end="", flush=True)
        text += row.line()
    if options.hour:
        text += f"\n{an_hour(options.hour)}"
    write_section(options.out, text)


if __name__ == "__main__":
    main()
