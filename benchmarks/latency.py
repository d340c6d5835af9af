"""``python -m benchmarks.latency``: how long after a sample was spoken its sources are there, behind the pipes.

A recording goes into `tasnet stream` as fast as it was spoken, a chunk whenever its last sample would be there.
Another thread reads what comes out. The latency of a sample is from when it would have been spoken to when both
of its sources have been read.
"""

import argparse
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

from benchmarks.page import RESULTS, write_section
from speechbrain_tasnet.audio import read_audio

SAMPLE = np.dtype("<i2")


def play(process: subprocess.Popen, pcm: bytes, chunk: int, rate: int) -> float:
    """Write at the pace of speech; returns when the first sample was spoken."""
    start = time.perf_counter()
    for position in range(0, len(pcm), chunk * SAMPLE.itemsize):
        part = pcm[position : position + chunk * SAMPLE.itemsize]
        spoken = start + (position + len(part)) / SAMPLE.itemsize / rate
        time.sleep(max(0, spoken - time.perf_counter()))
        process.stdin.write(part)
    process.stdin.close()
    return start


def listen(process: subprocess.Popen, arrivals: list[tuple[float, int]]) -> None:
    """Note when how many bytes had come."""
    total = 0
    while data := process.stdout.read(2**16):
        total += len(data)
        arrivals.append((time.perf_counter(), total))


def main() -> None:
    """Run it and print quantiles of the latency."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=__doc__)
    parser.add_argument("recording", type=Path, help="audio file")
    parser.add_argument("--model", type=Path, required=True, help="folder of a causal separator of two sources")
    parser.add_argument("--rate", type=int, default=8000, help="of the model, in Hz (%(default)s)")
    parser.add_argument("--chunk", type=float, default=10, help="milliseconds (%(default)g)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="page to write the figures into (%(default)s)")
    options = parser.parse_args()
    samples = read_audio(options.recording, options.rate)
    pcm = np.round(samples / max(1, np.abs(samples).max()) * 32767).astype(SAMPLE).tobytes()
    size = round(options.chunk * options.rate / 1000)
    words = ["stream", "--model", str(options.model), "--chunk", str(options.chunk)]
    command = [sys.executable, "-m", "speechbrain_tasnet.cli", *words]
    arrivals: list[tuple[float, int]] = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        # It is ready once it has answered to silence.
        process.stdin.write(bytes(size * 10 * SAMPLE.itemsize))
        ready = process.stdout.read(1)
        reader = threading.Thread(target=listen, args=(process, arrivals))
        reader.start()
        time.sleep(1)
        silence = size * 10
        start = play(process, pcm, size, options.rate)
        reader.join()
    times, totals = np.array(arrivals).T
    given = (totals + len(ready)) // (2 * SAMPLE.itemsize)  # samples of which both sources were there
    spoken = np.arange(silence, silence + len(samples))
    arrived = times[np.searchsorted(given, spoken + 1)]
    latency = 1e3 * (arrived - start - (spoken - silence + 1) / options.rate)
    middle, late = np.quantile(latency, [0.5, 0.99])
    worst = latency.max()
    text = (
        "## Latency behind pipes\n\n"
        f"`python -m benchmarks.latency`: {len(samples) / options.rate:.0f} s of speech in real time "
        f"into `tasnet stream` in chunks of {options.chunk:g} ms. From a sample to both of its sources at the "
        f"far end: median {middle:.1f} ms, 99 % {late:.1f} ms, worst {worst:.1f} ms.\n"
    )
    write_section(options.out, text)
    print(text)


if __name__ == "__main__":
    main()
