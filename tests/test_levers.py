"""The study of levers, on a tiny network."""

import json

import pytest
import torch

from benchmarks.training import validation
from benchmarks.training.levers import Contestant, parser
from speechbrain_tasnet.bundle import load_bundle
from speechbrain_tasnet.generate.mixing import make_mixtures
from speechbrain_tasnet.generate.room_plan import Array
from speechbrain_tasnet.generate.room_simulation import make_room_bank
from speechbrain_tasnet.generate.talk import Talk

SIZES = "N=16,B=8,H=16,Sc=8,X=2,R=1"


@pytest.fixture
def contestant(speech_folder, corpus, tmp_path):
    def make(*words):
        options = ["tiny", "--speech", str(speech_folder), "--valid", str(corpus), "--out", str(tmp_path / "out")]
        threads = torch.get_num_threads()
        made = Contestant(parser().parse_args([*options, "--sizes", SIZES, "--segment", "0.5", *words]))
        torch.set_num_threads(threads)
        return made

    return make


def test_a_contestant_is_trained_validated_and_kept(contestant, tmp_path):
    trained = contestant("--minutes", "0.005", "--validations", "2", "--clip-percentile", "10")
    trained.run()
    lines = [json.loads(line) for line in (tmp_path / "out" / "tiny.jsonl").read_text().splitlines()]
    assert lines[0]["options"]["sizes"] == SIZES
    assert [list(line)[-1] for line in lines if "options" not in line and "training" not in line] == [
        *("averaged", "valid", "averaged", "valid")
    ]
    assert trained.steps == len(trained.norms) == len(trained.gains) / 4
    assert trained.heard == pytest.approx(trained.steps * 4 * 0.5 / 3600)
    last = load_bundle(tmp_path / "out" / "tiny" / "last").model
    for weight, kept in zip(trained.weights, last.parameters(), strict=True):
        assert torch.equal(weight, kept)
    averaged = load_bundle(tmp_path / "out" / "tiny" / "averaged").model
    assert not torch.equal(averaged.encoder.weight, last.encoder.weight)
    deeper = contestant("--start", str(tmp_path / "out" / "tiny" / "last"), "--sizes", "X=3")
    assert deeper.model.masknet.config["X"] == 3


def test_the_rate_rises_and_falls(contestant):
    trained = contestant("--optimizer", "adam", "--fall", "0.5")
    rates = []
    for steps, spent in ((0, 0.0), (200, 0.1), (200, 0.5), (200, 0.75), (200, 0.999)):
        trained.steps = steps
        trained.step(spent)
        rates.append(trained.optimizer.param_groups[0]["lr"] / 1e-3)
    assert rates == pytest.approx([0.02, 1, 1, 0.5, 0.002])


def test_voices_may_be_silent(contestant, tmp_path, speech_folder):
    talk = tmp_path / "talk"
    talks = Talk(seconds=8.0)
    hours = {"hours": 0.002, "valid_hours": 0.03, "test_hours": 0.002}
    make_mixtures(speech_folder, talk, num_speakers=3, min_speakers=1, talk=talks, workers=1, **hours)
    words = ["--voices", "3", "--min-voices", "1", "--talk-share", "0.5", "--valid", str(talk)]
    trained = contestant(*words, "--loss", "snr", "--loss-silence", "power", "--loss-cap", "30")
    trained.step(0.0)
    scores = validation.scores(trained.separate, trained.corpora["talk"])
    assert set(scores) == {"1 voice", "2 voices", "3 voices", "silence", "not improved"}
    mixtures = trained.corpora["talk"]

    def right(mixture):
        [sources] = [sources for mixed, sources in mixtures if mixed is mixture]
        return sources.flip(2)

    perfect = validation.scores(right, mixtures)
    assert perfect["2 voices"] > 60
    assert perfect["silence"] == -100
    assert perfect["not improved"] == 0


def test_a_contestant_of_two_microphones_learns_where_voices_are(
    contestant, speech_folder, noise_folder, tmp_path
):
    rooms, scenes = tmp_path / "rooms.npz", tmp_path / "scenes"
    pair = Array.parse(2, "linear:0.1")
    make_room_bank(rooms, rooms=4, positions=3, array=pair, workers=1)
    second = 1 / 3600
    hours = {"hours": 4 * second, "valid_hours": 4 * second, "test_hours": 4 * second}
    make_mixtures(speech_folder, scenes, noise=noise_folder, reverb=True, array=pair, workers=1, **hours)
    words = ["--valid", str(scenes), "--rooms", str(rooms), "--noise", str(noise_folder), "--minutes", "0.003"]
    words += ["--validations", "1"]
    for mics, order, outputs in (("2", "location", "sum"), ("1", "best", "reference")):
        trained = contestant(*words, "--mics", mics, "--source-order", order, "--outputs", outputs)
        assert (trained.model.encoder.mics, trained.model.encoder.masked) == (int(mics), int(mics))
        trained.run()
        lines = [json.loads(line) for line in (tmp_path / "out" / "tiny.jsonl").read_text().splitlines()]
        assert list(lines[-1]["valid"]["scenes"]) == ["2 voices", "not improved"]
        assert trained.loss.in_order == (order == "location")
