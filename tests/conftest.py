"""Fixtures that several files share: synthetic speakers and a corpus mixed from them."""

import logging
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

# The tests' tensors are too small to share between threads, which only wait for each other on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import soundfile
import torch
from headless import Visit, open_page
from mixed_speech import white, write
from speechbrain.utils.importutils import LazyModule

from speechbrain_tasnet.experiment.workflow import run
from speechbrain_tasnet.generate.mixing import make_mixtures
from speechbrain_tasnet.generate.synthetic_voices import synthesize_speech

# SpeechBrain logs to the standard output of the test that first ran it, which is closed when the next one runs.
logging.raiseExceptions = False

# Hypothesis asks every module for its file, and SpeechBrain's lazy ones would then import what is not installed.
for module in list(sys.modules.values()):
    if isinstance(module, LazyModule):
        module.__file__ = None


# The files that take longest, the longest first.
LONGEST = [
    "checkpoints",
    "portability",
    "wheel",
    "corpora",
    "ops",
    "experiment",
    "distributed",
    "microphone_corpora",
    "study",
    "forks",
    "gpu_trust",
    "benchmarks",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that two processes which share them end together."""
    order = {f"test_{name}": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


@pytest.fixture(autouse=True)
def same_draws() -> None:
    """Let each test draw the same numbers, whatever ran before it.

    An activation within rounding of PReLU's bend gets another derivative from another implementation; one in
    thirty draws has one.
    """
    torch.manual_seed(0)


@pytest.fixture
def two_threads():
    """Let torch compute on two threads, whatever machine this is."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def roomy_disk(monkeypatch) -> None:
    """Let every disk have a terabyte to spare, whatever machine this is."""
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=10**12))


@pytest.fixture
def visit() -> Iterator[Visit]:
    """An empty page in a headless Chromium, and what it asks for; skips where there is none."""
    with open_page() as visit:
        yield visit


@pytest.fixture(scope="session")
def speech_folder(tmp_path_factory) -> Path:
    """A speech folder at 8000 Hz: 4 train, 3 valid and 3 test speakers with 3 utterances each."""
    folder = tmp_path_factory.mktemp("speech") / "synthetic"
    synthesize_speech(folder, num_speakers=(4, 3, 3), utterances=3, workers=1)
    return folder


@pytest.fixture(scope="session")
def two_voices(speech_folder, tmp_path_factory) -> Path:
    """Two synthetic voices at once, in ``talk.wav``: 3 s at 8000 Hz."""
    voices = [soundfile.read(next((speech_folder / f"test-00{n}").glob("*.wav")))[0] for n in (0, 2)]
    mixture = sum(np.resize(voice, 3 * 8000) / voice.std() for voice in voices)
    return write(tmp_path_factory.mktemp("two_voices") / "talk.wav", 0.05 * mixture)


@pytest.fixture(scope="session")
def noise_folder(tmp_path_factory) -> Path:
    """Six files of white noise, 1.5 s each."""
    folder = tmp_path_factory.mktemp("noise")
    for number in range(6):
        write(folder / f"{number}.wav", white(number, seconds=1.5))
    return folder


@pytest.fixture(scope="session")
def hiss(tmp_path_factory) -> Path:
    """Five speakers of white noise, each louder than the one before, two utterances of 2 s each."""
    folder = tmp_path_factory.mktemp("hiss")
    for speaker in range(5):
        for utterance in range(2):
            samples = white(speaker, utterance, power=0.0004 * 2**speaker)
            write(folder / f"spk{speaker}" / "deep" / f"{utterance}.wav", samples)
    return folder


@pytest.fixture(scope="session")
def corpus(speech_folder, tmp_path_factory) -> Path:
    """A two-speaker corpus at 8000 Hz: about 20 s of training, 8 s of validation and 8 s of test mixtures."""
    folder = tmp_path_factory.mktemp("corpus") / "mix"
    second = 1 / 3600
    make_mixtures(
        speech_folder, folder, hours=20 * second, valid_hours=8 * second, test_hours=8 * second, workers=1
    )
    return folder


@pytest.fixture(scope="session")
def tiny() -> list[str]:
    """The smallest recipe that does everything, as overrides of a packaged YAML file."""
    return shlex.split(
        "--N 16 --L 16 --B 8 --H 16 --Sc 8 --X 2 --R 1 --batch_size 2 --segment 0.5 --num_workers 0 "
        "--noprogressbar --device cpu"
    )


@pytest.fixture(scope="session")
def trained(corpus, tiny, tmp_path_factory) -> Path:
    """The output folder of a tiny run of the recipe ``wsj0mix``."""
    folder = tmp_path_factory.mktemp("run") / "tiny"
    run(
        ["wsj0mix", "--data_folder", str(corpus), "--output_folder", str(folder), "--number_of_epochs", "2", *tiny]
    )
    return folder
