"""What a corpus has for validation and test is not trained on, in whatever folder and format it lies."""

import csv
import re
import shutil

import numpy as np
import pytest
import soundfile
from mixed_speech import white, write

from speechbrain_tasnet.data.folders.noise import training_noise
from speechbrain_tasnet.data.held_out import held_out
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.experiment.workflow import run
from speechbrain_tasnet.generate.mixing import make_mixtures

HOURS = {"hours": 2 / 3600, "valid_hours": 2 / 3600, "test_hours": 2 / 3600}


@pytest.fixture(scope="module")
def noise_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("noise")
    for number in range(6):
        write(folder / "street" / f"take.{number}.wav", white(number, seconds=1.5))
    return folder


@pytest.fixture(scope="module")
def noisy(speech_folder, noise_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("noisy") / "corpus"
    make_mixtures(speech_folder, folder, workers=1, noise=noise_folder, **HOURS)
    return folder


def heard(corpus, split):
    with (corpus / f"wav8k/min/{split}/scenes.csv").open(newline="") as file:
        return {row["noise"] for row in csv.DictReader(file)}


def train(recipe, corpus, speech, tiny, out, *words):
    words = ["--speech_folder", str(speech), "--epoch_items", "2", "--number_of_epochs", "1", *words]
    run([recipe, "--data_folder", str(corpus), "--output_folder", str(out), *words, *tiny])


@pytest.mark.parametrize("corpus_folder", ["", "synthetic/"])
def test_speakers_are_left_out_joined_too(corpus, speech_folder, tiny, tmp_path, corpus_folder):
    speakers = sorted(held_out(corpus).speakers)
    assert len(speakers) == 6
    joined = tmp_path / "speech"
    for name in speakers:
        shutil.copytree(speech_folder / name, joined / corpus_folder / name)
    lines = [f"{corpus_folder}{name},train" for name in speakers]
    (joined / "speakers.csv").write_text("\n".join(["speaker,split", *lines]))
    with pytest.raises(InputError, match="6 of them excluded"):
        train("wsj0mix", corpus, joined, tiny, tmp_path / "run")


def test_noise_is_left_out_joined_and_converted(noisy, noise_folder, speech_folder, tiny, tmp_path):
    tested = heard(noisy, "cv") | heard(noisy, "tt")
    joined = tmp_path / "noise"
    for name in tested:
        samples, rate = soundfile.read(noise_folder / name)
        target = (joined / "all" / name).with_suffix(".flac")
        target.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(target, samples, rate)
    with pytest.raises(InputError, match=re.escape(f"{joined}: all {len(tested)} files are excluded")):
        train("wham", noisy, speech_folder, tiny, tmp_path / "refused", "--noise_folder", str(joined))
    free = noise_folder / min(heard(noisy, "tr"))
    shutil.copy(free, joined)
    assert training_noise(joined, held_out(noisy).noise) == [joined / free.name]
    train("wham", noisy, speech_folder, tiny, tmp_path / "taken", "--noise_folder", str(joined))


def test_a_table_that_trains_on_what_is_tested_is_not_believed(tmp_path):
    for name in "abc":
        write(tmp_path / f"{name}.wav", np.ones(8000))
    (tmp_path / "noise.csv").write_text("file,split\na.wav,train\nb.wav,valid\nc.wav,test\n")
    assert [path.name for path in training_noise(tmp_path, {"b"})] == ["a.wav"]
    with pytest.raises(InputError, match="all 1 files are excluded"):
        training_noise(tmp_path, {"a"})


def test_a_corpus_of_others_holds_nothing_back(tmp_path):
    assert held_out(tmp_path) == (frozenset(), frozenset())
