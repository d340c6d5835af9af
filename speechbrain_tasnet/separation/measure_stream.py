"""``python -m benchmarks.latency``: how long after a sample was spoken its sources are there, behind the pipes.

A recording goes into `tasnet stream` as fast as it was spoken, a chunk whenever its last sample would be there.
Another thread reads what comes out. The latency of a sample is from when it would have been spoken to when both
of its sources have been read.
"""

import argparse
import shlex
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

from benchmarks.page import RESULTS, write_section
from speechbrain_tasnet.audio.reading import read_audio

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


def measure(command: str, pcm: bytes, chunk: int, rate: int) -> np.ndarray:
    """Run a pipeline of a shell and tell the latency of each sample in ms."""
    arrivals: list[tuple[float, int]] = []
    with subprocess.Popen(
        command, shell=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as process:
        # It is ready once it has answered to silence.
        process.stdin.write(bytes(chunk * 10 * SAMPLE.itemsize))
        ready = process.stdout.read(1)
        reader = threading.Thread(target=listen, args=(process, arrivals))
        reader.start()
        time.sleep(1)
        # With silence behind it, for the last samples would wait for the end of the stream.
        rest = -len(pcm) % (chunk * SAMPLE.itemsize) + 10 * chunk * SAMPLE.itemsize
        start = play(process, pcm + bytes(rest), chunk, rate)
        reader.join()
    times, totals = np.array(arrivals).T
    given = (totals + len(ready)) // (2 * SAMPLE.itemsize)  # samples of which both sources were there
    spoken = np.arange(len(pcm) // SAMPLE.itemsize)
    arrived = times[np.searchsorted(given, spoken + 10 * chunk + 1)]
    return 1e3 * (arrived - start - (spoken + 1) / rate)


def main() -> None:
    """Run it and write quantiles of the latency."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=__doc__)
    parser.add_argument("recording", type=Path, help="audio file")
    parser.add_argument("--model", type=Path, required=True, help="folder of a causal separator of two sources")
    parser.add_argument("--rate", type=int, default=8000, help="of the model, in Hz (%(default)s)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="page to write the figures into (%(default)s)")
    options = parser.parse_args()
    samples = read_audio(options.recording, options.rate)
    pcm = np.round(samples / max(1, np.abs(samples).max()) * 32767).astype(SAMPLE).tobytes()
    text = (
        "## Latency behind pipes\n\n"
        f"`python -m benchmarks.latency`: {len(samples) / options.rate:.0f} s of speech, written in real time. "
        "From the end of a sample to both of its sources at the far end, in ms:\n\n"
        "| chunk | pipe | median | 99 % | worst |\n|--:|---|--:|--:|--:|\n"
    )
    for milliseconds in (10, 2):
        chunk = round(milliseconds * options.rate / 1000)
        model = shlex.quote(str(options.model))
        tasnet = f"{sys.executable} -m speechbrain_tasnet.cli stream --model {model} --chunk {milliseconds}"
        # sox reads 8192 bytes at a time and writes 4096 unless told otherwise.
        sox = f"stdbuf -o0 sox -V1 --buffer {max(17, chunk * SAMPLE.itemsize)} -t s16 -r {options.rate}"
        behind = {"tasnet stream": tasnet}
        if shutil.which("sox"):
            behind["sox, tasnet stream, sox"] = f"{sox} -c 1 - -t s16 - | {tasnet} | {sox} -c 2 - -t s16 -"
        for name, command in behind.items():
            latency = measure(command, pcm, chunk, options.rate)
            middle, late = np.quantile(latency, [0.5, 0.99])
            text += f"| {milliseconds} ms | {name} | {middle:.1f} | {late:.1f} | {latency.max():.1f} |\n"
    write_section(options.out, text)
    print(text)


if __name__ == "__main__":
    main()
