"""Work for some seconds as a user's program does, and print the work per second; `neighbour` starts it.

``python -m benchmarks.speed.work training|separation NETWORK [--tuned]``; ``--tuned`` tunes the process as the
command line does.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from speechbrain_tasnet import tune_process

SECONDS = 6.0


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["training", "separation"])
    parser.add_argument("network")
    parser.add_argument("--tuned", action="store_true")
    options = parser.parse_args()
    if options.tuned:
        tune_process()
    work, amount = {"training": _training, "separation": _separation}[options.kind](options.network)
    work()  # compiles
    rounds, start = 0, time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        work()
        rounds += 1
    print(rounds * amount / (time.perf_counter() - start))


def _training(model: str) -> tuple[Callable[[], object], float]:
    """Return a step of training, and that it is one."""
    from benchmarks.speed.contestants import draw
    from speechbrain_tasnet import pit_si_snr_loss

    network = _build(model)
    mixture, sources = draw(4, 3.0, 2, "cpu")

    def step() -> None:
        network.zero_grad()
        pit_si_snr_loss(sources, network(mixture)).mean().backward()

    return step, 1.0


def _separation(model: str) -> tuple[Callable[[], object], float]:
    """Return the separation of a recording in windows, and its seconds."""
    import torch

    from benchmarks.speed.contestants import draw

    seconds, window = 120, 10
    if model == "convtasnet":
        return _separation_of_a_file(seconds, window), seconds
    network, (mixture, _) = _build(model), draw(1, window, 2, "cpu")

    def separate() -> None:
        with torch.inference_mode():
            for _ in range(seconds // window):
                network(mixture)

    return separate, seconds


def _separation_of_a_file(seconds: int, window: int) -> Callable[[], object]:
    """Return what separates it by the bundled separator, whose sizes are those of the others."""
    import soundfile

    from benchmarks.speed.contestants import draw
    from benchmarks.speed.sizes import SAMPLE_RATE
    from speechbrain_tasnet import TasNetSeparation

    folder = TemporaryDirectory()
    path = Path(folder.name) / "recording.wav"
    soundfile.write(path, draw(1, seconds, 2, "cpu")[0][0].numpy(), SAMPLE_RATE)
    separator = TasNetSeparation.from_bundle("convtasnet-8k-2spk")

    def separate() -> None:
        assert folder  # it lives as long as this function
        separator.separate_file(path, window=window)

    return separate


def _build(model: str):
    import torch

    from benchmarks.speed import networks
    from benchmarks.speed.sizes import SIZES

    torch.manual_seed(0)
    return networks.build(model, SIZES["shipped"])


if __name__ == "__main__":
    main()
