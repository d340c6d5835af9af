"""The scores of a separator on several test sets, from speech to table."""

import csv
import sys

import pytest

from benchmarks.quality import conditions

SPLITS = ("train", "train", "valid", "valid", "test", "test", "test")


@pytest.fixture
def folder(tmp_path, speech_folder):
    """Make a folder of two corpora, of which one has test speakers enough."""
    names = sorted(path.name for path in speech_folder.iterdir() if path.is_dir())
    rows = []
    for corpus, splits in (("large", SPLITS), ("small", SPLITS[2:5])):
        (tmp_path / "voices" / corpus).mkdir(parents=True)
        for name, split in zip(names, splits, strict=False):
            (tmp_path / "voices" / corpus / name).symlink_to(speech_folder / name)
            rows.append((f"{corpus}/{name}", split))
    with (tmp_path / "voices" / "speakers.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("speaker", "split"), *rows])
    return tmp_path / "voices"


def test_corpora_with_test_speakers_are_scored_alone(folder, tmp_path):
    found = dict(conditions.corpora(folder, tmp_path / "links"))
    assert list(found) == ["voices", "voices, large"]
    assert found["voices"] == folder
    assert len(list(found["voices, large"].glob("*/*.wav"))) == 21


def test_a_table_of_all_conditions(folder, trained, tmp_path, monkeypatch, capsys):
    some = {name: conditions.CONDITIONS[name] for name in ("one voice 20 dB louder", "codec GSM")}
    monkeypatch.setattr(conditions, "CONDITIONS", some)
    words = [
        str(trained / "pretrained"),
        "--speech",
        str(folder),
        "--hours",
        "0.002",
        "--out",
        str(tmp_path / "out"),
    ]
    monkeypatch.setattr(sys, "argv", ["conditions", *map(str, words)])
    conditions.main()
    table = [row for row in capsys.readouterr().out.split("| test set")[-1].splitlines()[2:] if row]
    assert [row.split(" | ")[0].strip("| ") for row in table] == [
        *("voices", "voices, large", "voices, one voice 20 dB louder", "voices, codec GSM")
    ]
    assert all(row.count("|") == 10 for row in table)
