"""Who speaks when as the corpus says: read from manifests, compared with, and shown."""

import csv
import json

import numpy as np
import pytest
import soundfile
import torch

from speechbrain_tasnet.data.custom import prepare_custom
from speechbrain_tasnet.data.segments import Segment, to_seglst
from speechbrain_tasnet.data.spoken import read_turns
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.evaluation.evaluator import Evaluator
from speechbrain_tasnet.report.timeline import lay_out_timeline

RATE = 8000
SAID = [("s2", 0.5, 1.5), ("s1", 1.0, 2.0)]


def seglst(said, name="a"):
    return to_seglst(name, [Segment("who", *times) for _, *times in said], source=[source for source, *_ in said])


def manifest(folder, sources, *texts):
    """Write a manifest of mixtures, each with the text of its segments, or without."""
    rows = [["ID", "mix_wav", *(f"s{n}_wav" for n in range(1, len(sources) + 1)), "segments"]]
    for number, text in enumerate(texts):
        files = [f"$data_root/{name}/{number}.wav" for name in ("mix", *sources)]
        if text is not None:
            (folder / f"{number}.json").write_text(text)
        rows.append([str(number), *files, "" if text is None else f"$data_root/{number}.json"])
    with (folder / "tt.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return read_turns(folder / "tt.csv", folder, len(sources))


@pytest.mark.parametrize("sources", [("s1", "s2"), ("s1_anechoic", "s2_anechoic")])
def test_a_segment_is_of_the_source_that_it_names(tmp_path, sources):
    found = manifest(tmp_path, sources, seglst(SAID), seglst([]))
    assert found == {"0": [(1, 0.5, 1.5), (0, 1.0, 2.0)], "1": []}


def test_those_who_are_no_sources_of_the_task_are_left_out(tmp_path):
    assert manifest(tmp_path, ("s1",), seglst(SAID)) == {"0": [(0, 1.0, 2.0)]}
    assert manifest(tmp_path, ("mix_clean",), seglst(SAID)) == {}


def test_some_segments_are_none(tmp_path):
    assert manifest(tmp_path, ("s1", "s2"), seglst(SAID), None) == {}


@pytest.mark.parametrize("text", ["{", to_seglst("a", [Segment("who", 0.0, 1.0)])])
def test_segments_that_say_no_source_are_refused_with_the_way_out(tmp_path, text):
    with pytest.raises(
        InputError, match=r"1.json: no SegLST with a source .*delete the column segments of .*tt.csv"
    ):
        manifest(tmp_path, ("s1", "s2"), seglst(SAID), text)


@pytest.mark.parametrize(("text", "written"), [(seglst(SAID), True), ('{"snr": 3}', False)])
def test_only_segments_are_taken_for_segments(tmp_path, text, written):
    for split in ("train", "valid", "test"):
        for name in ("mixture", "source1", "source2"):
            (tmp_path / split / name).mkdir(parents=True)
            noise = np.random.default_rng(0).normal(0, 0.1, RATE) * (2 if name == "mixture" else 1)
            soundfile.write(tmp_path / split / name / "a.wav", noise, RATE)
        (tmp_path / split / "mixture/a.json").write_text(text)
    options = {"splits": ["train", "valid", "test"], "mixture": "mixture", "sources": ["source1", "source2"]}
    prepare_custom(tmp_path, tmp_path / "save", num_spks=2, sample_rate=RATE, **options)
    assert ("segments" in (tmp_path / "save/tt.csv").read_text().splitlines()[0]) == written


def noises(*spoken, seconds=10):
    time = torch.arange(seconds * RATE) / RATE
    generator = torch.Generator().manual_seed(0)
    heard = [torch.randn(len(time), generator=generator) * ((a <= time) & (time < b)) for a, b in spoken]
    return torch.stack(heard, 1).double()


def test_errors_are_measured_against_what_is_known(tmp_path):
    targets = noises((0, 6), (4, 10))
    evaluator = Evaluator(RATE, ["der"])
    # By energy both are found where they speak; the corpus knows that the second one begins earlier, softly.
    evaluator.add("a", targets.sum(1), targets, targets, [(0, 0.0, 6.0), (1, 2.0, 10.0)])
    talk = evaluator.summary()["talk"]
    assert talk["reference"] == "segments"
    assert talk["der"]["missed"] == pytest.approx(2 / 14, abs=0.01)
    evaluator.add("b", targets.sum(1), targets, targets)
    assert evaluator.summary()["talk"]["reference"] == "segments and energy"
    evaluator.write(tmp_path)
    rows = list(csv.DictReader((tmp_path / "test_results.csv").open()))
    assert [row["reference"] for row in rows] == ["segments", "energy"]
    assert float(rows[0]["speech"]) == pytest.approx(14)
    assert json.loads((tmp_path / "test_results.json").read_text())["talk"]["reference"] == "segments and energy"


def test_examples_say_what_is_known_in_every_process():
    targets = noises((0, 6), (4, 10), seconds=10)
    known, other = Evaluator(RATE, []), Evaluator(RATE, [])
    other.add("a", targets.sum(1), targets, targets, [(0, 0.0, 6.0)])
    known.merge(other)
    [example] = known.examples(lambda _: (targets.sum(1), targets, targets))
    assert example.spoken == [(0, 0.0, 6.0)]


def test_the_timeline_shows_what_is_known():
    targets = noises((0, 6), (4, 10))
    layout = lay_out_timeline(targets, targets, RATE, [(1, 2.0, 12.0), (0, 11.0, 12.0)])
    x = layout["x"]
    turns = {(line["voice"], line["role"]): line["turns"] for line in layout["lines"]}
    assert turns[1, "reference"] == []
    assert turns[2, "reference"] == [(x(2), pytest.approx(x(10) - x(2), abs=0.1))]
    assert layout["known"]
    assert not lay_out_timeline(targets, targets, RATE)["known"]
