"""``python -m benchmarks.faults``: the demo's training with all that can happen to one, against one left alone.

Once it has begun, files of the corpus go bad in all ways there are. It is killed in mid-epoch, and meets a full
disk in mid-checkpoint. Started again each time, it must end as good as the other, and its log must tell all of it.
"""

import argparse
import csv
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.page import RESULTS, write_section
from speechbrain_tasnet.generate.mixing import make_mixtures
from speechbrain_tasnet.generate.synthetic_voices import synthesize_speech

DEMO_STEPS, DEMO_HOURS, EPOCHS = 6276, 3.0, 4
SIGNALS = ("mix", "s1", "s2")
DISK = 64 * 2**20  # bytes of the file system that gets full
SMALL = 2**18  # bytes of a file, where no file system can be made: less than a checkpoint's, more than a log's


def rewrite(path: Path, change: Callable[[np.ndarray], np.ndarray], rate: int = 8000, subtype: str = "PCM_16"):
    """Write a file anew with other samples."""
    soundfile.write(path, change(soundfile.read(path)[0]), rate, subtype)


def put_nan(samples: np.ndarray) -> np.ndarray:
    """Spoil one sample in fifty."""
    samples[::50] = np.nan
    return samples


# What becomes of an item's mixture. The last one is no bad file, but its loss is not finite.
FAULTS: dict[str, Callable[[Path], object]] = {
    "corrupt": lambda path: path.write_bytes(os.urandom(path.stat().st_size)),
    "silent": lambda path: rewrite(path, np.zeros_like),
    "clipped": lambda path: rewrite(path, lambda samples: np.clip(20 * samples, -1, 1)),
    "too short": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 3]),
    "another rate": lambda path: rewrite(path, lambda samples: samples, rate=16000),
    "vanished": lambda path: path.unlink(),
    "NaN": lambda path: rewrite(path, put_nan, subtype="FLOAT"),
    "absurdly loud": lambda path: rewrite(path, lambda samples: 1e30 * samples, subtype="FLOAT"),
}
LOUD = "absurdly loud"


class Training:
    """One training of the demo's recipe, which can be started again and again.

    Parameters
    ----------
    corpus, out : Path
        Where its data and its results are.
    steps : int
        Of all epochs.
    """

    def __init__(self, corpus: Path, out: Path, steps: int):
        self.out, self.errors = out, out.with_suffix(".errors")
        words = ["train", "demo", "--data_folder", corpus, "--output_folder", out, "--total_steps", steps]
        words += ["--device", "cpu", "--noprogressbar", "--ckpt_interval_minutes", 0, "--ckpt_interval_steps", 50]
        self.command = [sys.executable, "-m", "speechbrain_tasnet.cli", *map(str, words)]

    def start(self) -> subprocess.Popen:
        """Start it, or let it go on."""
        with self.errors.open("w") as errors:
            return subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=errors)

    def log(self) -> str:
        """Tell all messages so far."""
        path = self.out / "log.txt"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def wait_for(self, process: subprocess.Popen, message: str) -> None:
        """Wait until a message stands in the log."""
        while message not in self.log():
            if process.poll() is not None:
                raise SystemExit(f"ended before {message!r}: {self.errors.read_text()}")
            time.sleep(0.1)

    def finish(self) -> float:
        """Let it go on to its end; returns its SI-SNR improvement in dB."""
        process = self.start()
        if process.wait() != 0:
            raise SystemExit(f"ended with {process.returncode}: {self.errors.read_text()}")
        results = json.loads((self.out / "test_results.json").read_text(encoding="utf-8"))
        return results["metrics"]["si-snr_i"]["mean"]


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """Let a folder be a small file system of its own; tells whether that could be, as for root."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)]
    mounted = shutil.which("mount") is not None and subprocess.run(mount, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)


def fill_disk(folder: Path, mounted: bool, process: subprocess.Popen) -> Path:
    """Leave no room for a checkpoint; returns the file that takes it."""
    filler = folder / "filler"
    if mounted:
        filler.write_bytes(bytes(shutil.disk_usage(folder).free - SMALL))
    else:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (SMALL, SMALL))
    return filler


def spoil(corpus: Path) -> dict[str, dict[str, str]]:
    """Spoil a training item in every way, and one of the others; returns their ids by split and fault."""
    chosen = {"train": ("tr", list(FAULTS)), "valid": ("cv", ["vanished"]), "test": ("tt", ["corrupt"])}
    spoilt = {}
    for split, (folder, faults) in chosen.items():
        mixtures = sorted((corpus / "wav8k/min" / folder / "mix").glob("*.wav"))
        picked = mixtures[:: len(mixtures) // len(faults)][: len(faults)]
        for fault, path in zip(faults, picked, strict=True):
            FAULTS[fault](path)
        spoilt[split] = {fault: path.stem for fault, path in zip(faults, picked, strict=True)}
    return spoilt


def run_with_faults(corpus: Path, out: Path, steps: int) -> tuple[float, dict, bool]:
    """Train with all faults; returns the improvement, what was spoilt, and whether a file system was full."""
    training = Training(corpus, out, steps)
    with small_disk(out / "save") as mounted:
        process = training.start()
        training.wait_for(process, "Going into epoch 1")
        spoilt = spoil(corpus)
        training.wait_for(process, "Going into epoch 2")
        saved = set((out / "save").glob("CKPT+*"))
        while not set((out / "save").glob("CKPT+*")) - saved:  # until there is one in mid-epoch
            time.sleep(0.1)
        process.kill()
        process.wait()
        process = training.start()
        training.wait_for(process, "Going into epoch 3")
        filler = fill_disk(out / "save", mounted, process)
        status, said = process.wait(), training.errors.read_text()
        if status != 2 or "a checkpoint cannot be written" not in said:
            raise SystemExit(f"the full disk ended it with {status}: {said}")
        filler.unlink(missing_ok=True)
        return training.finish(), spoilt, mounted


def untold(out: Path, spoilt: dict[str, dict[str, str]]) -> list[str]:
    """List what the log and the account of bad items should tell and do not, or tell and should not."""
    log = (out / "log.txt").read_text(encoding="utf-8")
    with (out / "bad_items.csv").open(newline="", encoding="utf-8") as file:
        told = {(row["split"], row["id"]) for row in csv.DictReader(file)}
    bad = {(split, name) for split, faults in spoilt.items() for fault, name in faults.items() if fault != LOUD}
    wrong = [f"{split} {name}" for split, name in bad ^ told]
    wrong += [f"log: {name}" for _, name in bad if f"{name}: " not in log]
    skipped = [line for line in log.splitlines() if "skipped: its" in line]
    wrong += [] if any(spoilt["train"][LOUD] in line for line in skipped) else [f"no skipped step: {LOUD}"]
    messages = (
        "Resuming after 1 complete epochs",
        "Resuming after 2 complete epochs",
        f"{len(bad)} bad items were",
    )
    return wrong + [f"log: {message}" for message in messages if message not in log]


def section(asked: int, steps: int, alone: float, faulted: float, mounted: bool, wrong: list[str]) -> str:
    """Write the section of the page."""
    disk = (
        "a file system of 64 MiB that is full" if mounted else "a limit on the size of files, as of a full disk,"
    )
    told = "The log names each spoilt item with its fault and no other, and both stops"
    if wrong:
        told = f"The log does NOT tell: {'; '.join(wrong)}"
    return (
        "## Faults\n\n"
        f"`python -m benchmarks.faults --steps {asked}`: the demo's training, {steps} steps in {EPOCHS} epochs ("
        f"the whole demo has {DEMO_STEPS}). In its first epoch {len(FAULTS)} training mixtures go bad "
        f"({', '.join(FAULTS)}), one of validation and one of test; SIGKILL comes in the second, {disk} in the "
        f"third. SI-SNRi on the test voices: {faulted:.2f} dB; left alone: {alone:.2f} dB. {told}.\n"
    )


def main() -> None:
    """Run both trainings and write the page's section."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--steps", type=int, default=DEMO_STEPS, help="of the training (%(default)s)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="page to write the figures into (%(default)s)")
    options = parser.parse_args()
    hours = DEMO_HOURS * options.steps / DEMO_STEPS
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        synthesize_speech(home / "speech")
        make_mixtures(home / "speech", home / "corpus", hours=hours, valid_hours=0.03, test_hours=0.15)
        shutil.copytree(home / "corpus", home / "spoilt")
        mixtures = len(list((home / "corpus/wav8k/min/tr/mix").iterdir()))
        steps = EPOCHS * -(-mixtures // 2)
        alone = Training(home / "corpus", home / "alone", steps).finish()
        faulted, spoilt, mounted = run_with_faults(home / "spoilt", home / "faulted", steps)
        wrong = untold(home / "faulted", spoilt)
    text = section(options.steps, steps, alone, faulted, mounted, wrong)
    write_section(options.out, text)
    print(text)
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
