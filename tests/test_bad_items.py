"""Files that go bad in mid-training: reported by id, skipped up to a limit, listed at the end."""

import csv
import json
import os
import shutil

import numpy as np
import pytest
import soundfile
from speechbrain import Stage

from speechbrain_tasnet.data.dynamic_mixing.dataset import DynamicMixing
from speechbrain_tasnet.data.pipeline import make_dataset
from speechbrain_tasnet.data.segments import Segment, to_seglst
from speechbrain_tasnet.data.skipping import BadItemError, SkipBadItems
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.experiment import workflow
from speechbrain_tasnet.training.bad_items import BadItems


def remove(path):
    path.unlink()


def garble(path):
    path.write_bytes(os.urandom(path.stat().st_size))


def silence(path):
    soundfile.write(path, np.zeros(soundfile.info(path).frames), 8000)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])


def change_rate(path):
    soundfile.write(path, soundfile.read(path)[0], 16000)


def put_nan(path):
    samples = soundfile.read(path)[0]
    samples[::50] = np.nan
    soundfile.write(path, samples, 8000, "FLOAT")


def clip(path):
    samples, rate = soundfile.read(path)
    soundfile.write(path, np.clip(100 * samples, -1, 1), rate)


@pytest.fixture
def copied(trained, corpus, tmp_path):
    """A copy of the corpus, and the manifests of the original."""
    shutil.copytree(corpus, tmp_path / "corpus")
    return tmp_path / "corpus", trained / "save"


def signal(corpus, number=0, split="tr", name="mix"):
    return sorted((corpus / "wav8k/min" / split / name).glob("*.wav"))[number]


@pytest.mark.parametrize("segment", [None, 0.5])
@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (remove, "the file is gone"),
        (garble, "cannot be read as audio"),
        (silence, "silent"),
        (cut, "expected one length above 0"),
        (change_rate, "16000 Hz, expected 8000 Hz"),
        (put_nan, "NaN"),
        (clip, "clipped, 8 samples in a row at full scale"),
    ],
)
def test_a_bad_file_is_told_with_the_id_of_its_item(copied, spoil, reason, segment):
    corpus, manifests = copied
    path = signal(corpus)
    spoil(path)
    dataset = make_dataset(manifests / "tr.csv", corpus, 2, 8000, segment)
    with pytest.raises(BadItemError, match=reason) as caught:
        dataset[dataset.data_ids.index(path.stem)]
    assert caught.value.name == path.stem
    assert "\n" not in str(caught.value)


def test_a_manifest_of_another_rate_is_refused(copied):
    corpus, manifests = copied
    with pytest.raises(InputError, match=r"tr\.csv: 8000 Hz, expected sample_rate=16000"):
        make_dataset(manifests / "tr.csv", corpus, 2, 16000)


def test_one_silent_source_is_no_fault_but_none_that_sounds_is(copied):
    corpus, manifests = copied
    dataset = make_dataset(manifests / "tr.csv", corpus, 2, 8000)
    silence(signal(corpus, name="s1"))
    assert not dataset[0]["sources"][:, 0].any()
    silence(signal(corpus, name="s2"))
    with pytest.raises(BadItemError, match="as are all sources"):
        dataset[0]


@pytest.mark.parametrize("segment", [None, 0.5])
def test_where_the_segments_say_that_nobody_speaks_silence_is_no_fault(copied, segment):
    corpus, manifests = copied
    mixture = signal(corpus)
    for file in (mixture, signal(corpus, name="s1"), signal(corpus, name="s2")):
        silence(file)
    lines = (manifests / "tr.csv").read_text().splitlines()
    said = mixture.relative_to(corpus).with_suffix(".json").as_posix()
    listed = [lines[0] + ",segments", *(f"{line},$data_root/{said}" for line in lines[1:])]
    (manifests / "tr.csv").write_text("\n".join(listed) + "\n")
    dataset = make_dataset(manifests / "tr.csv", corpus, 2, 8000, segment)
    (corpus / said).write_text(to_seglst("a", []))
    assert not dataset[0]["mixture"].any()
    (corpus / said).write_text(to_seglst("a", [Segment("alice", 0.0, 1.0)]))
    with pytest.raises(BadItemError, match="silent"):
        dataset[0]


def test_a_peak_at_full_scale_is_not_clipped_nor_are_floats_beyond_it(copied):
    corpus, manifests = copied
    dataset = make_dataset(manifests / "tr.csv", corpus, 2, 8000)
    samples, rate = soundfile.read(signal(corpus))
    samples[100:107] = 1  # one sample less than a millisecond
    soundfile.write(signal(corpus), samples, rate)
    assert dataset[0]["mixture"].max() > 0.9999
    soundfile.write(signal(corpus), 10 * samples, rate, "FLOAT")
    assert dataset[0]["mixture"].max() > 1


def test_another_item_comes_in_its_place_and_always_the_same(copied):
    corpus, manifests = copied
    items = SkipBadItems(make_dataset(manifests / "tr.csv", corpus, 2, 8000), replace=True)
    remove(signal(corpus))
    (one, bad), (other, _) = items[0], items[0]
    assert one["id"] == other["id"] != items.dataset.data_ids[0]
    assert [name for name, _ in bad] == [items.dataset.data_ids[0]]
    assert len(list(items)) == len(items)
    left_out = SkipBadItems(items.dataset, replace=False)
    assert [fetched.item is None for fetched in left_out] == [True] + [False] * (len(items) - 1)


def test_where_nothing_can_be_read_any_more(copied):
    corpus, manifests = copied
    items = SkipBadItems(make_dataset(manifests / "tr.csv", corpus, 2, 8000), replace=True)
    shutil.rmtree(corpus)
    with pytest.raises(InputError, match=r"bad items in a row; .*the file is gone"):
        items[0]


@pytest.mark.parametrize("spoil", [remove, garble, silence])
def test_dynamic_mixing_names_the_file_and_stays_a_function_of_the_index(speech_folder, tmp_path, spoil):
    shutil.copytree(speech_folder, tmp_path / "speech")
    mixing = DynamicMixing(tmp_path / "speech", 2, 8000, 1.0, length=30)
    items = SkipBadItems(mixing, replace=True)
    assert not any(bad for _, bad in items)  # and all levels are known
    path = min((tmp_path / "speech").glob("train-*/*.wav"))
    spoil(path)
    there, back = [items[i] for i in range(30)], [items[i] for i in reversed(range(30))][::-1]
    assert {name for _, bad in there for name, _ in bad} == {str(path)}
    assert [item["id"] for item, _ in there] == [item["id"] for item, _ in back]
    assert not any(f"{path.parent.name}/{path.stem}" in item["id"] for item, _ in there)


def test_the_account_counts_once_and_ends_in_one_line(tmp_path, caplog):
    account = BadItems(tmp_path / "bad_items.csv", limit=2)
    for name in ("a", "a", "b"):
        account.add("train", name, "silent")
    assert account.names("train") == ["a", "b"]
    with pytest.raises(InputError, match=r"^3 bad items, more than max_bad_items=2, .* the last is a: gone$"):
        account.add("test", "a", "gone")
    with open(tmp_path / "bad_items.csv", newline="") as file:
        assert [list(row) for row in csv.reader(file)][1:] == [
            ["test", "a", "gone"],
            ["train", "a", "silent"],
            ["train", "b", "silent"],
        ]


def test_an_account_goes_on_from_its_file_but_for_what_is_read_anew(tmp_path):
    account = BadItems(tmp_path / "bad_items.csv", limit=2)
    account.add("train", "a", "silent, twice")
    account.add("test", "b", "gone")
    again = BadItems(tmp_path / "bad_items.csv", limit=2)
    again.forget("test")
    assert (again.names("train"), again.names("test")) == (["a"], [])
    assert "silent, twice" in (tmp_path / "bad_items.csv").read_text()
    again.forget("train")
    assert not (tmp_path / "bad_items.csv").exists()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_survives_files_that_go_bad_between_its_epochs(copied, tmp_path, tiny, monkeypatch, workers):
    corpus, _ = copied
    spoilt = {"train": signal(corpus), "valid": signal(corpus, 0, "cv"), "test": signal(corpus, 1, "tt")}

    class Brain(workflow.SeparationBrain):
        def on_stage_start(self, stage, epoch=None):
            if (stage, epoch) == (Stage.TRAIN, 2):
                for path, spoil in zip(spoilt.values(), (garble, silence, remove), strict=True):
                    spoil(path)
            super().on_stage_start(stage, epoch)

    monkeypatch.setattr(workflow, "SeparationBrain", Brain)
    arguments = ["wsj0mix", "--data_folder", str(corpus), "--output_folder", str(tmp_path / "run"), *tiny]
    arguments[arguments.index("--num_workers") + 1] = str(workers)
    folder = workflow.run([*arguments, "--number_of_epochs", "2"])
    with open(folder / "bad_items.csv", newline="") as file:
        assert {row["split"]: row["id"] for row in csv.DictReader(file)} == {k: p.stem for k, p in spoilt.items()}
    first, second, test = (folder / "train_log.txt").read_text().splitlines()
    assert "bad items" not in first
    assert "train bad items: 1" in second
    assert "valid bad items: 1" in second
    assert "test bad items: 1" in test
    results = json.loads((folder / "test_results.json").read_text())
    assert results["bad_items"] == [spoilt["test"].stem]
    assert results["utterances"] == len(list(spoilt["test"].parent.iterdir()))
    workflow.run([*arguments, "--number_of_epochs", "3"])  # started again, it goes on
    assert "train bad items: 1" in (folder / "train_log.txt").read_text().splitlines()[-2]
    assert json.loads((folder / "test_results.json").read_text())["bad_items"] == [spoilt["test"].stem]
    log = (folder / "log.txt").read_text()
    assert log.count("3 bad items were skipped") == 2
    assert "The corpus has changed since this training began" in log
    assert "Traceback" not in log


def test_one_bad_item_too_many_ends_the_run(copied, tmp_path, tiny):
    corpus, manifests = copied
    remove(signal(corpus))
    shutil.copytree(manifests, tmp_path / "run/save", ignore=shutil.ignore_patterns("CKPT*"))
    arguments = ["wsj0mix", "--data_folder", str(corpus), "--output_folder", str(tmp_path / "run"), *tiny]
    with pytest.raises(InputError, match="1 bad items, more than max_bad_items=0"):
        workflow.run([*arguments, "--skip_prep", "True", "--max_bad_items", "0"])


def test_texts_that_a_spreadsheet_would_run_are_made_harmless_and_read_back(tmp_path):
    path = tmp_path / "bad_items.csv"
    names = ['=HYPERLINK("http://x")', "+x", "@x", "-x", "\tx", "\rx", "'=x", "'x'", "-1.5", "x=y"]
    account = BadItems(path, limit=20)
    for name in names:
        account.add("train", name, name)
    with path.open(newline="", encoding="utf-8") as file:
        cells = {cell for row in csv.reader(file) for cell in row}
    assert not {cell for cell in cells if cell[0] in "=+@\t\r" or (cell[0] == "-" and cell != "-1.5")}
    assert BadItems(path, limit=20).names("train") == sorted(names)
