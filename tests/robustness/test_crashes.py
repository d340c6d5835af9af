"""Trainings killed at random moments end with the weights of one that was left alone, bit for bit.

Mixtures are made for every item, and a checkpoint is written every second step, so that kills come in a step, in a
checkpoint and in validation.
"""

import random
import shlex

import pytest
import torch
from safetensors.torch import load_file
from training_process import Training

BEGUN = "Going into epoch"
EPOCHS = 12  # more than are reached before the last kill
KILLS = 4  # of one training
LONGEST = 2.0  # seconds from the begin to a kill
TINY = (
    "--N 32 --L 16 --B 16 --H 32 --Sc 16 --X 4 --R 1 --batch_size 2 --segment 1 --device cpu --noprogressbar "
    f"--epoch_items 40 --number_of_epochs {EPOCHS} --num_workers 1 "
    "--ckpt_interval_minutes 0 --ckpt_interval_steps 2"
)

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def words(corpus, speech_folder):
    """The recipe, without its output folder."""
    return ["wsj0mix", "--data_folder", str(corpus), "--speech_folder", str(speech_folder), *shlex.split(TINY)]


@pytest.fixture(scope="module")
def left_alone(words, tmp_path_factory):
    """The weights of a training that nobody kills."""
    out = tmp_path_factory.mktemp("alone") / "run"
    Training([*words, "--output_folder", str(out)]).finish()
    return load_file(out / "pretrained/model.safetensors")


@pytest.mark.parametrize("seed", range(5))
def test_a_killed_training_ends_with_the_same_weights(words, left_alone, tmp_path, seed):
    words = [*words, "--output_folder", str(tmp_path / "run")]
    moments = random.Random(seed)
    for _ in range(KILLS):
        training = Training(words)
        training.wait_for(BEGUN)
        assert training.kill(moments.uniform(0, LONGEST)), f"{EPOCHS} epochs are over: give it more"
    Training(words).finish()
    killed = load_file(tmp_path / "run/pretrained/model.safetensors")
    assert killed.keys() == left_alone.keys()
    assert [name for name, value in left_alone.items() if not torch.equal(killed[name], value)] == []
