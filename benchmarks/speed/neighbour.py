"""How much of its speed is left beside a busy program: ``python -m benchmarks.speed.neighbour``.

Each contestant takes training steps in a process of its own, begun as a user's program is: alone, beside a Python
loop of the same priority, and alone on one thread. They take turns, so that what else the machine does meets all.
"""

import argparse
import os
import subprocess
import sys
from statistics import median

SECONDS = 6.0  # of a turn

# Builds a network, takes steps for some seconds and prints how many a second it took.
PROGRAM = """
import sys, time
model, seconds, library = sys.argv[1], float(sys.argv[2]), sys.argv[3] == "library"
from speechbrain_tasnet import tune_process
if not library:
    tune_process()
import torch
from benchmarks.speed import networks
from benchmarks.speed.contestants import draw
from benchmarks.speed.sizes import Sizes
from speechbrain_tasnet import pit_si_snr_loss
torch.manual_seed(0)
network = networks.build(model, Sizes(N=256, L=32, B=128, H=256, Sc=128, P=3, X=7, R=2))
mixture, sources = draw(4, 3.0, 2, "cpu")
def step():
    network.zero_grad()
    pit_si_snr_loss(sources, network(mixture)).mean().backward()
step()
steps, start = 0, time.perf_counter()
while time.perf_counter() - start < seconds:
    step()
    steps += 1
print(steps / (time.perf_counter() - start))
"""
BUSY = "while True: pass"
WAYS = {
    "ours, from the command line": ("convtasnet", "command"),
    "ours, from Python": ("convtasnet", "library"),
    "torchaudio": ("torchaudio", "library"),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each (%(default)s)")
    rounds = parser.parse_args().rounds
    rates: dict[str, list[tuple[float, float, float]]] = {name: [] for name in WAYS}
    for _ in range(rounds):
        for name, way in WAYS.items():
            rates[name].append((_rate(way), _rate(way, busy=True), _rate(way, threads=1)))
    print("| training, 4 x 3 s | steps a second | beside a busy program | on one thread |\n|---|--:|--:|--:|")
    for name, turns in rates.items():
        quiet = median(turn[0] for turn in turns)
        beside, alone = (median(turn[i] / turn[0] for turn in turns) for i in (1, 2))
        print(f"| {name} | {quiet:.2f} | {beside:.0%} | {alone:.0%} |")


def _rate(way: tuple[str, str], busy: bool = False, threads: int | None = None) -> float:
    """Return the steps a second of a process, beside a busy one or not."""
    neighbour = subprocess.Popen([sys.executable, "-c", BUSY]) if busy else None
    environment = None if threads is None else os.environ | {"OMP_NUM_THREADS": str(threads)}
    try:
        command = [sys.executable, "-c", PROGRAM, way[0], str(SECONDS), way[1]]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    finally:
        if neighbour is not None:
            neighbour.kill()
            neighbour.wait()
    return float(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
