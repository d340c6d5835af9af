"""``python -m benchmarks.crashes``: a training killed at random moments, against the same training left alone.

Mixtures are made anew for every item. Whenever the training has begun, SIGKILL comes within two seconds: in a
step, in a checkpoint, in validation. Started again each time, it must end with the same weights, bit for bit.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

from benchmarks.page import RESULTS, write_section
from speechbrain_tasnet.generate.mixing import make_mixtures
from speechbrain_tasnet.generate.synthetic_voices import synthesize_speech
from speechbrain_tasnet.training.checkpoints import UNFINISHED

BEGUN = "Going into epoch"
TINY = "--N 32 --L 16 --B 16 --H 32 --Sc 16 --X 4 --R 1 --batch_size 2 --segment 1 --device cpu --noprogressbar"
# A checkpoint every second step, so that many kills meet one.
OFTEN = "--ckpt_interval_minutes 0 --ckpt_interval_steps 2"


def start(corpus: Path, speech: Path, out: Path, epochs: int, workers: int) -> subprocess.Popen:
    """Start the training, or let it go on."""
    words = ["train", "wsj0mix", "--data_folder", corpus, "--speech_folder", speech, "--output_folder", out]
    words += ["--epoch_items", 40, "--number_of_epochs", epochs, "--num_workers", workers]
    words += [*TINY.split(), *OFTEN.split()]
    command = [sys.executable, "-m", "speechbrain_tasnet.cli", *map(str, words)]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, **silent)


def kill_once(process: subprocess.Popen, out: Path, rng: random.Random) -> bool | None:
    """Kill a training some time after it has begun; tells whether it met a checkpoint, or None if all was over."""
    log = out / "log.txt"
    before = log.read_text().count(BEGUN) if log.exists() else 0
    while not log.exists() or log.read_text().count(BEGUN) == before:
        if process.poll() is not None:
            return None
        time.sleep(0.05)
    time.sleep(rng.uniform(0, 2))
    process.kill()
    if process.wait() != -9:
        return None
    return any((out / "save").glob(f"{UNFINISHED}*"))


def main() -> None:
    """Run the campaign and write the page's section."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crashes", description=__doc__)
    parser.add_argument("--kills", type=int, default=20, help="at least (%(default)s)")
    parser.add_argument("--epochs", type=int, default=30, help="of 20 steps (%(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="of the loader (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (%(default)s)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="page to write the figures into (%(default)s)")
    options = parser.parse_args()
    halved: list[bool] = []  # for each kill, whether it left half a checkpoint
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        synthesize_speech(home / "speech", (8, 3, 3), 4, workers=1)
        make_mixtures(home / "speech", home / "corpus", 2, 8000, 0.01, 0.005, 0.005, workers=1)
        data = home / "corpus", home / "speech"
        if start(*data, home / "alone", options.epochs, options.workers).wait() != 0:
            raise SystemExit("the training left alone failed")
        rng = random.Random(options.seed)
        while len(halved) < options.kills:
            process = start(*data, home / "killed", options.epochs, options.workers)
            met = kill_once(process, home / "killed", rng)
            if met is None:
                raise SystemExit(f"the training ended after {len(halved)} kills: give more --epochs")
            halved.append(met)
            print(f"{len(halved)} kills, {sum(halved)} of them in a checkpoint", flush=True)
        if start(*data, home / "killed", options.epochs, options.workers).wait() != 0:
            raise SystemExit("the killed training did not end well")
        alone, killed = (load_file(home / name / "pretrained/model.safetensors") for name in ("alone", "killed"))
    same = all(torch.equal(killed[name], value) for name, value in alone.items())
    end = "those of the training left alone, bit for bit" if same else "NOT those of the training left alone"
    text = (
        "## Crashes\n\n"
        f"`python -m benchmarks.crashes`: a training of {options.epochs} epochs with dynamic mixing and "
        f"{options.workers} process of the loader, killed {len(halved)} times with SIGKILL, {sum(halved)} of them "
        f"while it wrote a checkpoint. Its last weights are {end}.\n"
    )
    write_section(options.out, text)
    print(text)


if __name__ == "__main__":
    main()
