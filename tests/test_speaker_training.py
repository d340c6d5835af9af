"""The embedding is trained, fitted and measured from a folder of speech on."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from benchmarks.quality import speakers as measuring
from benchmarks.training import same_speaker as fitting
from benchmarks.training import speaker_embedding as training
from speechbrain_tasnet.data.conversations import TurnTaking
from speechbrain_tasnet.generate.mixing import make_mixtures
from speechbrain_tasnet.generate.talk import Talk
from speechbrain_tasnet.speakers.embedding import SpeakerEmbedding, speaker_embedding

MODEL = "convtasnet-8k-talk"


@pytest.fixture(scope="module")
def conversations(speech_folder, tmp_path_factory):
    """Conversations of 20 s: two for training, two for validation, one for tests."""
    folder = tmp_path_factory.mktemp("conversations") / "talk"
    hours = dict(zip(("hours", "valid_hours", "test_hours"), np.array([2, 2, 1]) * 20 / 3600, strict=True))
    make_mixtures(
        speech_folder, folder, num_speakers=3, min_speakers=2, talk=Talk(20.0, TurnTaking()), workers=1, **hours
    )
    return folder


def run(module, monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["", *map(str, arguments)])
    module.main()


def test_the_network_is_trained_on_clean_speech_and_on_turns(
    speech_folder, conversations, tmp_path, monkeypatch, capsys
):
    out = tmp_path / "embedding.safetensors"
    options = ["--speech", speech_folder, "--conversations", conversations, "--minutes", 0.05, "--batch", 4]
    run(training, monkeypatch, *options, "--out", out)
    weights = load_file(out)
    assert all(value.dtype in (torch.float16, torch.int64) for value in weights.values())
    network = SpeakerEmbedding(8000)
    network.load_state_dict(weights)
    shipped = speaker_embedding(8000).state_dict()
    assert {name: value.shape for name, value in weights.items()} == {
        name: value.shape for name, value in shipped.items()
    }
    assert weights["ecapa.fc.conv.weight"].isfinite().all()


def test_turns_are_learnt_from_where_they_are_found(speech_folder, conversations):
    turns = list(training.separated_turns(conversations, MODEL))
    assert {person for person, _ in turns} <= {f"train-00{number}" for number in range(4)}
    assert turns
    people = training.People(speech_folder, iter(turns), seed=0)
    crops = people.crops(np.arange(4))
    assert (len(people), len(crops)) == (12, 4)
    assert 8000 <= crops.shape[1] <= 32000
    assert crops.isfinite().all()
    assert (crops.square().mean(1) > 0.5).all()


def test_lines_colour_what_is_heard_and_nothing_else():
    levels = torch.zeros(3, 7, training.BANDS)
    changed = training.coloured(levels.clone())
    assert changed.std(dim=1).max() == 0
    assert (changed.std(dim=2) > 0).all()


def test_the_weights_of_the_evidence_are_fitted(conversations, monkeypatch, capsys):
    run(fitting, monkeypatch, MODEL, "--corpus", conversations)
    assert "% wrong: [" in capsys.readouterr().out


def test_fitted_weights_are_those_that_made_the_pairs():
    draw = np.random.default_rng(0)
    terms = np.stack([np.ones(20000), draw.normal(size=20000)], axis=1)
    weights = np.array([-0.5, 2.0])
    same = draw.random(20000) < 1 / (1 + np.exp(-terms @ weights))
    assert fitting.fit(terms, same) == pytest.approx(weights, abs=0.1)


def test_who_is_told_apart_is_measured(conversations, tmp_path, monkeypatch):
    monkeypatch.setattr(measuring, "LENGTHS", (0.3, 60.0))
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n## People who share an output\n\nold\n")
    run(measuring, monkeypatch, MODEL, "--corpus", conversations, "--split", "cv", "--out", page)
    text = page.read_text()
    assert "old" not in text
    assert "| people | conversations |" in text
    assert f"`python -m benchmarks.quality.speakers {MODEL} --corpus talk --split cv`" in text


def test_errors_are_equally_frequent_where_the_threshold_is():
    likeness = np.array([0.1, 0.3, 0.4, 0.6, 0.8, 0.9])
    same = np.array([False, True, False, False, True, True])
    assert measuring.equal_error(likeness, same) == pytest.approx(1 / 3)
    assert measuring.equal_error(likeness, likeness > 0.5) == 0
