"""Measure a training step on a GPU by each path through a block: ``python -m benchmarks.training.gpu_block``."""

import os
import time
from collections.abc import Callable
from itertools import product

import torch

import speechbrain_tasnet as st
from speechbrain_tasnet.ops.gpu.choice import PATHS, VARIABLE

DEVICE, SAMPLE_RATE = "cuda", 8000
BATCHES, SECONDS = (8, 32), 4  # as in the tables of docs/speed.md
PRECISIONS = ("float32", "tf32", "bfloat16")
STEPS = 10


def main() -> None:
    """Print a table of milliseconds a step and of the most memory, of the paper's best network."""
    torch.manual_seed(0)
    net = torch.nn.ModuleList([st.Encoder(N=512, L=16), st.MaskNet(N=512, C=2), st.Decoder(N=512, L=16)])
    net.to(DEVICE)
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, batches of {SECONDS} s at {SAMPLE_RATE} Hz")
    print("| batch | precision | path | first steps, s | step, ms | memory, GB |\n|--:|---|---|--:|--:|--:|")
    for precision, batch, path in product(PRECISIONS, BATCHES, PATHS):
        os.environ[VARIABLE] = path
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
        sources = torch.randn(batch, SECONDS * SAMPLE_RATE, 2, device=DEVICE) / 10
        cells = measure(lambda: step(net, sources, precision == "bfloat16"))  # noqa: B023
        print(f"| {batch} | {precision} | {path} | {cells} |", flush=True)


def step(net: torch.nn.ModuleList, sources: torch.Tensor, half: bool) -> None:
    """Go forward and back over a batch."""
    net.zero_grad(set_to_none=True)
    with torch.autocast(DEVICE, torch.bfloat16, enabled=half):
        estimates = st.separate(*net, sources.sum(2))
    st.pit_si_snr_loss(sources, estimates.float()).mean().backward()


def measure(run: Callable[[], None]) -> str:
    """Return the cells of a row."""
    first = seconds(run, 2)  # compiles
    torch.cuda.reset_peak_memory_stats()
    each = min(seconds(run, 1) for _ in range(STEPS))
    return f"{first:.1f} | {1e3 * each:.1f} | {torch.cuda.max_memory_allocated() / 1e9:.1f}"


def seconds(run: Callable[[], None], times: int) -> float:
    """Run several times, to the end."""
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(times):
        run()
    torch.cuda.synchronize()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
