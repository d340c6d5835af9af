"""Manifests of a corpus in wsj0-mix layout, and the datasets read from them."""

import csv
import shutil

import numpy as np
import pytest
import soundfile
import torch
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.dataio.dataio import load_data_csv

from speechbrain_tasnet.data.pipeline import make_dataset
from speechbrain_tasnet.data.wsj0mix import prepare_wsj0mix
from speechbrain_tasnet.errors import InputError


@pytest.fixture
def manifests(corpus, tmp_path):
    prepare_wsj0mix(corpus, tmp_path)
    return tmp_path


@pytest.fixture
def own_corpus(corpus, tmp_path):
    """A copy that a test may spoil."""
    return shutil.copytree(corpus, tmp_path / "own")


def first(corpus, signal="s1", split="tr"):
    return min((corpus / "wav8k/min" / split / signal).glob("*.wav"))


def test_rows_are_sorted_and_durations_true(corpus, manifests):
    for split in ("tr", "cv", "tt"):
        with open(manifests / f"{split}.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        assert list(rows[0]) == ["ID", "duration", "sample_rate", "mix_wav", "s1_wav", "s2_wav"]
        names = [row["ID"] for row in rows]
        assert names == sorted(path.stem for path in (corpus / "wav8k/min" / split / "mix").iterdir())
        for row in rows:
            assert row["mix_wav"].startswith("$data_root/")
            frames = soundfile.info(row["s2_wav"].replace("$data_root", str(corpus))).frames
            assert float(row["duration"]) == pytest.approx(frames / 8000, abs=1e-6)


def test_the_toolkits_loader_reads_them(corpus, manifests):
    rows = load_data_csv(manifests / "tt.csv", replacements={"data_root": str(corpus)})
    for row in rows.values():
        assert soundfile.info(row["mix_wav"]).duration == pytest.approx(row["duration"], abs=1e-6)


def test_items_are_mixture_and_sources(corpus, manifests):
    dataset = make_dataset(manifests / "tt.csv", corpus, num_spks=2, sample_rate=8000)
    for item in dataset:
        assert item["sources"].shape == (*item["mixture"].shape, 2)
        # Each of the three files is rounded to 16 bits by itself.
        torch.testing.assert_close(item["sources"].sum(1), item["mixture"], rtol=0, atol=2 / 2**15)


def test_segments_are_cut_at_random_and_in_step(corpus, manifests):
    dataset = make_dataset(manifests / "tr.csv", corpus, 2, 8000, segment=0.5)
    one, other = dataset.at(1, 0), dataset.at(2, 0)
    assert one["mixture"].shape == (4000,)
    assert not torch.equal(one["mixture"], other["mixture"])
    torch.testing.assert_close(one["sources"].sum(1), one["mixture"], rtol=0, atol=2 / 2**15)


@pytest.mark.parametrize("speeds", [(1.0,), (0.9, 1.1)])
def test_what_is_drawn_depends_on_seed_epoch_and_index_alone(corpus, manifests, speeds):
    options = {"segment": 0.5, "speeds": speeds}
    dataset = make_dataset(manifests / "tr.csv", corpus, 2, 8000, **options, seed=3)
    dataset.set_epoch(2)
    torch.manual_seed(1)
    before = dataset[0]["mixture"]
    torch.randn(1000)  # as a network does that is larger
    assert torch.equal(dataset[0]["mixture"], before)
    assert torch.equal(dataset.at(2, 0)["mixture"], before)
    other = make_dataset(manifests / "tr.csv", corpus, 2, 8000, **options, seed=4)
    assert not torch.equal(other.at(2, 0)["mixture"], before)


def test_what_is_shorter_than_a_segment_comes_whole_and_is_padded_in_the_batch(corpus, manifests):
    dataset = make_dataset(manifests / "tr.csv", corpus, 2, 8000, segment=1000.0)
    batch = PaddedBatch([dataset[0], dataset[1]])
    whole = make_dataset(manifests / "tr.csv", corpus, 2, 8000)
    sizes = [len(whole[i]["mixture"]) for i in (0, 1)]
    assert batch.mixture.data.shape == (2, max(sizes))
    assert batch.sources.data.shape == (2, max(sizes), 2)
    assert (batch.mixture.lengths * max(sizes)).round().int().tolist() == sizes


def test_speed_perturbation_moves_the_pitch_and_keeps_the_sum(corpus, manifests, own_corpus):
    time = np.arange(16000) / 8000
    path = first(own_corpus)
    for signal, hz in (("s1", 200), ("s2", 1000)):
        soundfile.write(first(own_corpus, signal), 0.3 * np.sin(2 * np.pi * hz * time), 8000)
    mixture = 0.3 * np.sin(2 * np.pi * 200 * time) + 0.3 * np.sin(2 * np.pi * 1000 * time)
    soundfile.write(first(own_corpus, "mix"), mixture, 8000)
    dataset = make_dataset(manifests / "tr.csv", own_corpus, 2, 8000, segment=1.0, speeds=(1.25,))
    item = dataset[dataset.data_ids.index(path.stem)]
    assert item["mixture"].shape == (8000,)
    torch.testing.assert_close(item["sources"].sum(1), item["mixture"], rtol=0, atol=1e-3)
    peaks = np.abs(np.fft.rfft(item["sources"].numpy()[1000:-1000], axis=0)).argmax(0) * 8000 / 6000
    np.testing.assert_allclose(peaks, [250, 1250], atol=2)


def test_noise_stays_where_speeds_change(manifests, own_corpus):
    path = first(own_corpus, "mix")
    mixture, rate = soundfile.read(path)
    noise = 0.1 * np.sin(np.arange(len(mixture)))
    soundfile.write(path, mixture + noise, rate)
    dataset = make_dataset(manifests / "tr.csv", own_corpus, 2, rate, speeds=(0.8,))
    item = dataset[dataset.data_ids.index(path.stem)]
    rest = item["mixture"] - item["sources"].sum(1)
    np.testing.assert_allclose(rest, noise[: len(rest)], atol=1e-3)


@pytest.mark.parametrize("speeds", [(0.8,), (0.8, 1.2)])
def test_a_perturbed_segment_has_its_full_length(corpus, manifests, speeds):
    dataset = make_dataset(manifests / "tr.csv", corpus, 2, 8000, segment=0.5, speeds=speeds)
    assert all(item["sources"].shape == (4000, 2) for item in dataset)


def spoil_missing(corpus):
    first(corpus).unlink()


def spoil_text(corpus):
    first(corpus).write_text("no audio")


def spoil_rate(corpus):
    samples, _ = soundfile.read(first(corpus))
    soundfile.write(first(corpus), samples, 16000)


def spoil_length(corpus):
    samples, rate = soundfile.read(first(corpus))
    soundfile.write(first(corpus), samples[:-1], rate)


def spoil_empty(corpus):
    for signal in ("mix", "s1", "s2"):
        soundfile.write(first(corpus, signal), np.zeros(0), 8000)


def spoil_folder(corpus):
    shutil.rmtree(corpus / "wav8k/min/cv/s2")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_missing, "no such file"),
        (spoil_text, "cannot be read as audio"),
        (spoil_rate, "16000 Hz, expected sample_rate=8000"),
        (spoil_length, "expected one length"),
        (spoil_empty, "holds no samples"),
        (spoil_folder, "s2: no such folder"),
    ],
)
def test_a_spoiled_corpus_is_refused_by_name_and_leaves_no_manifest(own_corpus, tmp_path, spoil, message):
    spoil(own_corpus)
    with pytest.raises(InputError, match=message) as caught:
        prepare_wsj0mix(own_corpus, tmp_path / "save")
    assert "\n" not in str(caught.value)
    spoiled = "cv.csv" if spoil is spoil_folder else "tr.csv"
    assert not (tmp_path / "save" / spoiled).exists()
    assert not list((tmp_path / "save").glob(".*")) if (tmp_path / "save").exists() else True


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_spks": 3}, "s3: no such folder"),
        ({"num_spks": 1}, "more speakers"),
        ({"mode": "mean"}, "mode='mean'"),
        ({"mode": "max"}, "no such folder"),
        ({"sample_rate": 16000}, "wav16k"),
    ],
)
def test_a_corpus_of_another_kind_is_refused(corpus, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        prepare_wsj0mix(corpus, tmp_path, **options)


def test_skip_prep_leaves_manifests_alone(corpus, manifests):
    before = (manifests / "tr.csv").read_text()
    (manifests / "tr.csv").write_text(before + "mine")
    prepare_wsj0mix(corpus, manifests, skip_prep=True)
    assert (manifests / "tr.csv").read_text() == before + "mine"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"segment": 0}, "segment=0"),
        ({"speeds": ()}, "speeds"),
        ({"speeds": (1.0, -1.0)}, "speeds"),
        ({"num_spks": 3}, "num_spks=3"),
    ],
)
def test_impossible_options_are_refused(corpus, manifests, options, message):
    with pytest.raises(InputError, match=message):
        make_dataset(manifests / "tr.csv", corpus, **{"num_spks": 2, "sample_rate": 8000, **options})


def test_missing_manifest(corpus, tmp_path):
    with pytest.raises(InputError, match="no such manifest"):
        make_dataset(tmp_path / "tr.csv", corpus, 2, 8000)
