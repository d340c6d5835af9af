"""Compute what separating many hours costs: ``python -m benchmarks.speed.cost``.

`tasnet separate` separates a short and a long recording with each bundled separator on one thread. Processor time
is counted, not wall-clock time, so that a busy machine does little harm: the difference of both is what the audio
costs, the rest what starting costs. Everything else is arithmetic with a price and a power, both options. The
section of docs/clusters.md is replaced.
"""

import argparse
import os
import resource
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import soundfile

from benchmarks.page import DOCS, write_section
from speechbrain_tasnet.bundle import find_bundle, read_config
from speechbrain_tasnet.bundle.config import CONFIG
from speechbrain_tasnet.shipped import bundled_names
from speechbrain_tasnet.system import processor

PAGE = DOCS / "clusters.md"
SHORT = 1  # minutes of the short recording
RATE = 8000


class Cost(NamedTuple):
    """Processor seconds: of an hour of audio, and of starting a process."""

    hour: float
    start: float

    def core_hours(self, hours: float, starts: int) -> float:
        """Return the core hours that a number of hours of audio take.

        Examples
        --------
        >>> Cost(hour=36.0, start=18.0).core_hours(hours=100, starts=200)
        2.0
        """
        return (self.hour * hours + self.start * starts) / 3600


def measure(model: str, minutes: float, folder: Path) -> Cost:
    """Separate a short and a long recording."""
    _processor_seconds(model, SHORT, folder)  # loops are compiled once on a machine
    short, long = (_processor_seconds(model, length, folder) for length in (SHORT, minutes))
    per_minute = (long - short) / (minutes - SHORT)
    return Cost(60 * per_minute, max(0.0, short - SHORT * per_minute))


def _processor_seconds(model: str, minutes: float, folder: Path) -> float:
    """Return the processor time that separating minutes of noise takes, a channel for each microphone."""
    channels = read_config(find_bundle(model) / CONFIG).mics
    mixture = folder / f"{minutes:g}-{channels}.wav"
    if not mixture.exists():
        samples = np.random.default_rng(0).normal(scale=3000, size=(round(minutes * 60 * RATE), channels))
        soundfile.write(mixture, samples.astype(np.int16), RATE)
    words = ["separate", str(mixture), "--model", model, "--out", str(folder), "--overwrite"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "speechbrain_tasnet.cli", *words],
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def section(costs: dict[str, Cost], hours: float, jobs: int, watts: float, price: float) -> str:
    """Write the section of the page.

    Parameters
    ----------
    costs : dict
        By the name of a separator.
    hours : float
        Of audio.
    jobs : int
        Among which it is shared out.
    watts : float
        That a busy core takes, with its share of the machine.
    price : float
        Of a core hour, in dollars.
    """
    lines = [
        f"## What {hours:,g} hours cost",
        "",
        f"`python -m benchmarks.speed.cost --hours {hours:g} --jobs {jobs} --watts {watts:g} --price {price:g}`:",
        f"processor time is measured on one core of {processor.name()}, and everything else follows from it.",
        f"A busy core is taken to draw {watts:g} W with its share of the machine, and a core hour to cost",
        f"{price:.2f} $; what your cluster or cloud says of both goes into the same options. The recordings",
        "are wavs at 8 kHz, of a channel for each microphone; decoding and resampling others costs more.",
        "",
        "| separator | core seconds for an hour of audio | real-time factor | to start a job, s "
        f"| core hours | days on {jobs} cores | kWh | $ |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for model, cost in costs.items():
        total = cost.core_hours(hours, jobs)
        cells = [f"`{model}`", f"{cost.hour:.0f}", f"{cost.hour / 3600:.4f}", f"{cost.start:.0f}", f"{total:,.0f}"]
        cells += [f"{total / jobs / 24:.2f}", f"{total * watts / 1000:.1f}", f"{total * price:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=10000, help="of audio (%(default)g)")
    parser.add_argument("--jobs", type=int, default=100, help="each on one core (%(default)s)")
    parser.add_argument("--watts", type=float, default=6.0, help="of a busy core (%(default)g)")
    parser.add_argument("--price", type=float, default=0.05, help="dollars for a core hour (%(default)g)")
    parser.add_argument("--minutes", type=float, default=31.0, help="of the long recording (%(default)g)")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        costs = {name: measure(name, options.minutes, Path(folder)) for name in bundled_names()}
    write_section(PAGE, section(costs, options.hours, options.jobs, options.watts, options.price))


if __name__ == "__main__":
    main()
