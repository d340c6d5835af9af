"""Trainings whose files go bad or whose disk is full: they go on, report it, and end as well as one left alone."""

import csv
import json
import os
import shlex
import shutil
import subprocess
import sys
from contextlib import contextmanager
from statistics import mean

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file
from training_process import Training

from speechbrain_tasnet.experiment.workflow import run

BEGUN, EPOCHS = "2", "4"  # when the trouble begins, and how many there are
SMALLEST = (
    "--N 64 --L 16 --B 32 --H 128 --Sc 8 --X 2 --R 1 --batch_size 2 --segment 0.5 --num_workers 0 --noprogressbar "
    "--device cpu"
)
SMALL = 2**16  # bytes of a file: fewer than a checkpoint's largest has, more than all that is written before it

pytestmark = pytest.mark.long


def rewrite(path, change, rate=8000, subtype="PCM_16"):
    """Write a file again with other samples."""
    soundfile.write(path, change(soundfile.read(path)[0]), rate, subtype)


def put_nan(samples):
    """Spoil one sample in fifty."""
    samples[::50] = np.nan
    return samples


# What becomes of an item's mixture, and the reason that is given.
FAULTS = {
    "corrupt": (lambda path: path.write_bytes(os.urandom(path.stat().st_size)), "cannot be read as audio"),
    "silent": (lambda path: rewrite(path, np.zeros_like), "silent"),
    "clipped": (lambda path: rewrite(path, lambda samples: np.clip(20 * samples, -1, 1)), "clipped"),
    "too short": (lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 3]), "one length"),
    "another rate": (lambda path: rewrite(path, lambda samples: samples, rate=16000), "16000 Hz"),
    "vanished": (lambda path: path.unlink(), "the file is gone"),
    "NaN": (lambda path: rewrite(path, put_nan, subtype="FLOAT"), "NaN"),
}
CASES = [("train", fault) for fault in FAULTS] + [("valid", "vanished"), ("test", "corrupt")]
FOLDERS = {"train": "tr", "valid": "cv", "test": "tt"}


class Begun:
    """A training with its own copy of the corpus, stopped after two epochs of four."""

    def __init__(self, corpus, home):
        self.corpus, self.out = home / "corpus", home / "run"
        shutil.copytree(corpus, self.corpus)
        folders = ["--data_folder", str(self.corpus), "--output_folder", str(self.out)]
        begun = ["wsj0mix", *folders, *shlex.split(SMALLEST), "--number_of_epochs"]
        run([*begun, BEGUN])
        self.words = [*begun, EPOCHS]

    def mixture(self, split):
        """Return the path of a mixture."""
        return sorted((self.corpus / "wav8k/min" / FOLDERS[split] / "mix").glob("*.wav"))[1]

    def log(self):
        """Return what this start has logged."""
        return (self.out / "log.txt").read_text(encoding="utf-8").rpartition("Resuming after 2 complete epochs")[2]

    def ledger(self):
        return json.loads((self.out / "ledger.json").read_text(encoding="utf-8"))

    def scores(self):
        """Return the SI-SNR improvement of each test mixture in dB."""
        with (self.out / "test_results.csv").open(newline="", encoding="utf-8") as file:
            return {row["snt_id"]: float(row["si-snr_i"]) for row in csv.DictReader(file)}

    def weights(self):
        return load_file(self.out / "pretrained/model.safetensors")


@pytest.fixture
def training(corpus, tmp_path):
    return Begun(corpus, tmp_path)


@pytest.fixture(scope="module")
def left_alone(corpus, tmp_path_factory):
    """The same training without a fault."""
    training = Begun(corpus, tmp_path_factory.mktemp("alone"))
    run(training.words)
    return training


@pytest.mark.parametrize(("split", "fault"), CASES)
def test_a_file_that_goes_bad_is_skipped_and_reported(training, left_alone, split, fault):
    spoil, reason = FAULTS[fault]
    path = training.mixture(split)
    spoil(path)
    run(training.words)
    with (training.out / "bad_items.csv").open(newline="", encoding="utf-8") as file:
        [row] = csv.DictReader(file)
    assert (row["split"], row["id"]) == (split, path.stem)
    assert reason in row["reason"]
    assert f"{split} {path.stem}: {row['reason']}" in training.log()
    assert "1 bad items were skipped" in training.log()
    # Another item takes the place of one in training, so that all steps are taken.
    assert training.ledger()["steps"] == left_alone.ledger()["steps"]
    scores, expected = training.scores(), left_alone.scores()
    assert expected.keys() - scores.keys() == ({path.stem} if split == "test" else set())
    assert mean(scores.values()) == pytest.approx(mean(expected[name] for name in scores), abs=2)


def test_a_file_that_is_absurdly_loud_costs_the_steps_that_meet_it(training, left_alone):
    """No reader finds fault with it, but its loss is not finite."""
    path = training.mixture("train")
    rewrite(path, lambda samples: 1e30 * samples, subtype="FLOAT")
    run(training.words)
    skipped = [line for line in training.log().splitlines() if "skipped: its" in line]
    assert skipped
    assert all(path.stem in line for line in skipped)
    assert not (training.out / "bad_items.csv").exists()
    assert training.ledger()["batches"] == left_alone.ledger()["batches"]
    assert training.ledger()["steps"] == left_alone.ledger()["steps"] - len(skipped)
    assert all(value.isfinite().all() for value in training.weights().values())


@contextmanager
def full_disk(folder):
    """Make a folder a file system of its own without room for a checkpoint; skip where that is not allowed."""
    aside = folder.rename(folder.with_name("aside"))
    size = sum(path.stat().st_size for path in aside.rglob("*") if path.is_file())
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={2 * size + SMALL}", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("no file system can be mounted here")
    try:
        shutil.copytree(aside, folder, dirs_exist_ok=True)
        filler = folder / "filler"
        filler.write_bytes(bytes(shutil.disk_usage(folder).free - SMALL))
        yield []
        filler.unlink()
        shutil.rmtree(aside)
        shutil.copytree(folder, aside)
    finally:
        subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()
        aside.rename(folder)


@contextmanager
def limited_files(folder):
    """Yield a command that runs the one behind it under a limit on the size of files."""
    program = f"import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({SMALL}, {SMALL})); "
    yield [sys.executable, "-c", f"{program} os.execv(sys.argv[1], sys.argv[1:])"]


@pytest.mark.parametrize("trouble", [full_disk, limited_files])
def test_a_full_disk_ends_it_in_one_line_and_costs_nothing(training, left_alone, trouble):
    words = [*training.words, "--ckpt_interval_minutes", "0", "--ckpt_interval_steps", "2"]
    with trouble(training.out / "save") as wrapper:
        last = Training(words, wrapper).finish(expected=2)
        assert "a checkpoint cannot be written" in last
        assert "those before it are sound" in last
        assert not list((training.out / "save").glob(".unfinished*"))
    run(words)
    assert [
        name for name, value in left_alone.weights().items() if not torch.equal(training.weights()[name], value)
    ] == []
