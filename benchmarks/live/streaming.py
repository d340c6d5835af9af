"""Measure what live separation costs: ``python -m benchmarks.live.streaming``.

Another toolkit's network cannot stream. For the same latency it has to compute, for each chunk, the whole signal
that the network looks back on, of which only the newest samples are used. What can stream is also measured while
another program is busy.
"""

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from torch import Tensor

from benchmarks.page import DOCS, write_section
from benchmarks.speed.neighbour import busy_program
from benchmarks.speed.networks import build
from benchmarks.speed.sizes import Sizes
from speechbrain_tasnet import StreamingSeparator, receptive_field
from speechbrain_tasnet.network.model import Model
from speechbrain_tasnet.system import processor

RATE = 8000
CHUNKS = (2, 10, 100)  # ms
SIZES = {
    "5 M": Sizes(N=512, L=16, B=128, H=512, Sc=128, P=3, X=8, R=3),
    "1.5 M": Sizes(N=128, L=40, B=128, H=256, Sc=128, P=3, X=7, R=2),
}
PAGE = DOCS / "live.md"
HEAD = """\
## Real-time factors of streaming

`python -m benchmarks.live.streaming --hour "5 M"`: one stream at {rate} Hz on {threads} thread(s), float32,
causal, two sources; {machine}, torch {version}, load {load:.1f} before. The real-time factor is the median time
of a chunk divided by its length; the last columns are the times within which 99 % of the chunks are done, alone
and while a loop in Python keeps one of {cores} cores busy. *Recomputed* means that the network runs over its whole
receptive field again for each chunk, as a network that cannot stream must for the same latency.

| parameters | | chunk | real-time factor | 99 % of the chunks | beside a busy program |
|---|---|--:|--:|--:|--:|
"""

Step = Callable[[Tensor], object]


class Row(NamedTuple):
    """The times that one contestant took for chunks of one length."""

    sizes: str
    name: str
    chunk: int
    alone: list[float]
    beside: list[float]  # a busy program; none for those that are hopeless anyway

    def line(self) -> str:
        """Write it as a row of the table."""
        factor = median(self.alone) / (self.chunk / 1e3)
        late = [f"{1e3 * np.quantile(times, 0.99):.2f} ms" if times else "" for times in (self.alone, self.beside)]
        return f"| {self.sizes} | {self.name} | {self.chunk} ms | {factor:.3f} | {' | '.join(late)} |\n"


def recomputed(model: Model, samples: int) -> Step:
    """Return a step that separates the last ``samples`` again for each chunk."""
    window = torch.zeros(1, samples)

    @torch.inference_mode()
    def step(chunk: Tensor) -> None:
        nonlocal window
        window = torch.cat([window, chunk], dim=1)[:, -samples:]
        model(window)

    return step


def in_onnxruntime(model: Model, chunk: int) -> Step:
    """Return a step of the exported graph."""
    import onnxruntime

    from speechbrain_tasnet.export import export_streaming_onnx

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "step.onnx"
        export_streaming_onnx(*model.values(), path, chunk)
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


def clock(step: Step, chunk: int, seconds: float) -> list[float]:
    """Feed chunks for some time; return the seconds of each."""
    signal = torch.randn(50, 1, chunk) / 10
    step(signal[0])
    step(signal[1])
    times = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        step(signal[len(times) % len(signal)])
        times.append(time.perf_counter() - start)
    return times


def measure(seconds: float) -> Iterator[Row]:
    """Measure all contestants, one after the other."""
    for name, sizes in SIZES.items():
        torch.manual_seed(0)
        ours = build("causal", sizes)
        # SpeechBrain has no cumulative norm.
        theirs = build("speechbrain", sizes, norm_type="cLN", causal=True)
        samples = receptive_field(ours.encoder, ours.masknet, RATE).samples
        for chunk in CHUNKS:
            size = chunk * RATE // 1000
            contestants = {
                "StreamingSeparator": StreamingSeparator(*ours.values()).step,
                "the same model, recomputed": recomputed(ours, samples),
                "SpeechBrain's causal model, recomputed": recomputed(theirs, samples),
            }
            if size % ours.encoder.stride == 0:
                contestants["ONNX step in onnxruntime"] = in_onnxruntime(ours, size)
            for contestant, step in contestants.items():
                alone, beside = clock(step, size, seconds), []
                if not contestant.endswith("recomputed"):
                    with busy_program():
                        beside = clock(step, size, seconds)
                yield Row(name, contestant, chunk, alone, beside)


def stream_an_hour(sizes: str) -> str:
    """Stream an hour of noise; return a sentence about the time and the memory that it took."""
    live = StreamingSeparator(*build("causal", SIZES[sizes]).values())
    chunks = torch.randn(100, 1, 80) / 10
    for chunk in chunks.repeat(10, 1, 1):
        live.step(chunk)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    for i in range(360_000):
        live.step(chunks[i % 100])
    took = time.perf_counter() - start
    increase = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return f"An hour in chunks of 10 ms ({sizes}) took {took:.0f} s and {increase / 1024:.1f} MB more memory.\n"


def main() -> None:
    """Measure, and write the section of the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live.streaming", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5, help="for each row (%(default)g)")
    parser.add_argument("--hour", choices=SIZES, help="also stream an hour through this configuration")
    parser.add_argument("--out", type=Path, default=PAGE, metavar="PAGE", help="page to write into (%(default)s)")
    options = parser.parse_args()
    text = HEAD.format(
        rate=RATE,
        threads=torch.get_num_threads(),
        machine=processor.name(),
        cores=os.cpu_count(),
        version=torch.__version__,
        load=os.getloadavg()[0],
    )
    for row in measure(options.seconds):
        print(row.line(), end="", flush=True)
        text += row.line()
    if options.hour:
        text += f"\n{stream_an_hour(options.hour)}"
    write_section(options.out, text)


if __name__ == "__main__":
    main()
