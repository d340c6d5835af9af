"""SparseLibriMix, against a plain reading of the original's algorithm, and from making it to its scores."""

import csv
import json
import shutil

import numpy as np
import pyloudnorm
import pytest
import soundfile
from scipy.signal import resample_poly

from speechbrain_tasnet.cli import main
from speechbrain_tasnet.data.read_manifest import read_manifest
from speechbrain_tasnet.data.segments import read_segments
from speechbrain_tasnet.data.sparselibrimix import prepare_sparselibrimix
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.generate.sparselibrimix import generate_sparselibrimix


@pytest.fixture(scope="module")
def raw(speech_folder, tmp_path_factory):
    """A folder with test-clean (flac, 16 kHz), tt (two channels) and metadata for 2 and 3 speakers."""
    root = tmp_path_factory.mktemp("sparselibrimix")
    for number, path in enumerate(sorted(speech_folder.glob("*/000.wav"))[:3]):
        samples = 0.02 + 0.9 * resample_poly(soundfile.read(path)[0], 2, 1)
        file = root / f"test-clean/{number}/7/{number}-7-0000.flac"
        file.parent.mkdir(parents=True)
        soundfile.write(file, samples, 16000)
    (root / "tt").mkdir()
    noise = np.random.default_rng(0).normal(0, 0.05, (48000, 2))
    soundfile.write(root / "tt/a.wav", noise, 16000)
    for speakers in (2, 3):
        folder = root / f"metadata/sparse_{speakers}_0.2"
        folder.mkdir(parents=True)
        (folder / "metadata.json").write_text(json.dumps([mixture(k, speakers) for k in range(3)]))
    return root


def mixture(number, speakers):
    names = [f"s{speaker}" for speaker in range(1, speakers + 1)]
    row = {"mixture_name": f"mix_{number:07d}"}
    for speaker, name in enumerate(names):
        row[name] = [
            {
                "file": f"{speaker}/7/{speaker}-7-0000.flac",
                "words": ["word", str(part)],
                "spk_id": str(speaker),
                "start": 0.2137 + 0.7 * part + 0.3 * speaker,
                "stop": 0.2137 + 0.7 * part + 0.3 * speaker + 0.45,
                "orig_start": 0.0313 + 0.4 * part,
                "orig_stop": 0.4813 + 0.4 * part,
                "lvl": -28.3 + speaker - number,
                "source": name,
                "sub_utt_num": part,
            }
            for part in range(2)
        ]
    noise = {"file": "a.wav", "start": 0, "stop": 2.5, "orig_start": 0.123, "orig_stop": 2.623, "lvl": -35.1}
    return row | {"noise": [noise | {"source": "noise", "channel": 1}]}


def make(raw, out, **options):
    folders = {"librispeech": raw / "test-clean", "noise": raw / "tt", "metadata": raw / "metadata", "out": out}
    return generate_sparselibrimix(**folders | {"workers": 1} | options)


def plain(raw, row, rate):
    """Compute all signals of a mixture as the original's script does, in float64."""
    placed = {}
    for name in [key for key in row if key != "mixture_name"]:
        placed[name] = []
        for part in row[name]:
            file = (raw / "tt" if name == "noise" else raw / "test-clean") / part["file"]
            first, last = int(part["orig_start"] * 16000), int(part["orig_stop"] * 16000)
            samples, own = soundfile.read(file, start=first, stop=last)
            samples = samples[:, part["channel"]] if samples.ndim > 1 else samples
            samples = samples - np.mean(samples)
            samples = samples if own == rate else resample_poly(samples, rate, own)
            loudness = pyloudnorm.Meter(rate, block_size=0.1).integrated_loudness(samples)
            samples = pyloudnorm.normalize.loudness(samples, loudness, part["lvl"])
            placed[name].append(np.concatenate([np.zeros(int(part["start"] * rate)), samples]))
    longest = max(len(samples) for parts in placed.values() for samples in parts)
    signals = {}
    for name, parts in placed.items():
        signals[name] = np.sum([np.concatenate([p, np.zeros(longest - len(p))]) for p in parts], 0)
    signals["mix_clean"] = signals["s1"].copy()
    for name in sorted(set(signals) - {"s1", "noise", "mix_clean"}):
        signals["mix_clean"] += signals[name]
    signals["mix_noisy"] = signals["mix_clean"] + signals["noise"]
    return signals


@pytest.mark.parametrize("rate", [8000, 16000])
def test_samples_are_those_of_the_original_to_the_last_bit(raw, tmp_path, rate):
    sets = make(raw, tmp_path / "out", rates=(rate,))
    assert [folder.name for folder in sets] == ["sparse_2_0.2", "sparse_3_0.2"]
    compared = set()
    for folder in sets:
        for row in json.loads((raw / "metadata" / folder.name / "metadata.json").read_text()):
            for name, samples in plain(raw, row, rate).items():
                soundfile.write(tmp_path / "expected.wav", samples, rate)
                path = folder / f"wav{rate}" / name / f"{row['mixture_name']}.wav"
                assert path.read_bytes()[44:] == (tmp_path / "expected.wav").read_bytes()[44:]
                compared.add(path)
    assert compared == set((tmp_path / "out").rglob("*.wav"))


def test_who_speaks_when_stands_beside_each_mixture(raw, tmp_path):
    [folder] = make(raw, tmp_path, metadata=raw / "metadata/sparse_2_0.2")
    said = json.loads((folder / "wav8000/mix_noisy/mix_0000001.json").read_text())
    assert said == json.loads((folder / "wav8000/mix_clean/mix_0000001.json").read_text())
    assert said[0] == {
        "session_id": "mix_0000001", "speaker": "0", "start_time": 0.214, "end_time": 0.664,
        "words": "word 0", "source": "s1",
    }  # fmt: skip
    assert len(read_segments(folder / "wav8000/mix_clean/mix_0000001.json")) == 4


def test_without_noise_there_is_speech_alone(raw, tmp_path):
    [folder] = make(raw, tmp_path, metadata=raw / "metadata/sparse_2_0.2", noise=None)
    assert sorted(path.name for path in (folder / "wav8000").iterdir()) == ["mix_clean", "s1", "s2"]


def test_a_run_that_was_killed_goes_on(raw, tmp_path, monkeypatch):
    whole = make(raw, tmp_path / "whole")[0]
    from speechbrain_tasnet.generate import sparselibrimix

    real, made = sparselibrimix._signals, []

    def dies(mixture, *options):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(mixture.mixture_name)
        return real(mixture, *options)

    monkeypatch.setattr(sparselibrimix, "_signals", dies)
    with pytest.raises(KeyboardInterrupt):
        make(raw, tmp_path / "out")
    assert not (tmp_path / "out/sparse_2_0.2").exists()
    made.clear()
    monkeypatch.setattr(sparselibrimix, "_signals", lambda m, *o: made.append(m.mixture_name) or real(m, *o))
    again = make(raw, tmp_path / "out")[0]
    assert made == ["mix_0000002", "mix_0000000", "mix_0000001", "mix_0000002"]
    make(raw, tmp_path / "out")  # all is there
    assert len(made) == 4
    shutil.rmtree(tmp_path / "out/sparse_3_0.2")
    make(raw, tmp_path / "out")
    assert len(made) == 7
    with pytest.raises(InputError, match=r"sparse_2_0.2: already holds something"):
        make(raw, tmp_path / "out", rates=(16000,))
    for path in whole.rglob("*.wav"):
        assert path.read_bytes() == (again / path.relative_to(whole)).read_bytes()


def test_a_separator_that_counts_is_evaluated_on_it(raw, tmp_path, capsys):
    """By the command line: two speakers of three possible, the third silent."""
    words = ["generate", "sparselibrimix", "--librispeech", str(raw / "test-clean"), "--noise", str(raw / "tt")]
    words += ["--metadata", str(raw / "metadata/sparse_2_0.2"), "--out", str(tmp_path), "--num-speakers", "3"]
    main([*words, "--workers", "1"])
    folder = tmp_path / "sparse_2_0.2"
    printed = capsys.readouterr().out
    assert f"sparselibrimix --data_folder {folder} --num_spks 3 --sample_rate 8000 --pretrained" in printed
    assert not soundfile.read(folder / "wav8000/s3/mix_0000000.wav")[0].any()
    prepare_sparselibrimix(folder, tmp_path / "save", "sep_noisy", num_spks=3)
    rows = read_manifest(tmp_path / "save/tt.csv", folder, 3)
    assert list(rows) == [f"mix_{number:07d}" for number in range(3)]
    assert rows["mix_0000000"]["mix_wav"].endswith("mix_noisy/mix_0000000.wav")


def test_the_recipe_scores_who_speaks_when(raw, tmp_path):
    folder = make(raw, tmp_path, metadata=raw / "metadata/sparse_2_0.2")[0]
    words = ["--data_folder", str(folder), "--task", "sep_noisy", "--output_folder", str(tmp_path / "run")]
    words += ["--metrics", "[sdr,der]", "--pretrained", "convtasnet-8k-2spk", "--num_workers", "0"]
    main(["evaluate", "sparselibrimix", *words])
    results = json.loads((tmp_path / "run/test_results.json").read_text())
    assert results["utterances"] == 3
    rate, *parts = results["talk"]["der"].values()
    assert rate == pytest.approx(sum(parts))
    assert results["talk"]["reference"] == "segments"
    rows = csv.DictReader((tmp_path / "run/test_results.csv").open())
    assert [float(row["speech"]) for row in rows] == pytest.approx(
        3 * [4 * 0.45], abs=0.004
    )  # as the metadata say
    report = (tmp_path / "run/report.html").read_text()
    assert "Who speaks when" in report
    assert report.count("References</b></span>, from the segments of the corpus, above") == 3
    assert "Diarisation error rate against the segments of the corpus" in report


@pytest.fixture
def broken(raw, tmp_path):
    shutil.copytree(raw / "metadata/sparse_2_0.2", tmp_path / "metadata")

    def change(edit):
        rows = [mixture(number, 2) for number in range(2)]
        edit(rows)
        (tmp_path / "metadata/metadata.json").write_text(json.dumps(rows))
        return tmp_path / "metadata"

    return change


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda rows: rows[1].update(mixture_name="../a"), r"1 mixture_name: String should match"),
        (lambda rows: rows[1].update(mixture_name="mix_0000000"), r"2 mixtures with 1 names"),
        (lambda rows: rows[0]["s1"][0].pop("lvl"), r"0 sources s1 0 lvl: Field required"),
        (lambda rows: rows[0]["s1"][0].update(orig_stop=0.01), r"expected a start, then an end"),
        (lambda rows: rows[0]["s1"][0].update(file="../x.flac"), r"expected a path below the corpus"),
        (lambda rows: rows[0]["s1"][0].update(file="9/x.flac"), r"x.flac: no such file; mix_0000000 needs it"),
        (lambda rows: rows[0]["s1"][0].update(orig_start=50.0, orig_stop=51.0), r"0 samples from 50.0 s on"),
        (lambda rows: rows[0]["noise"][0].update(channel=4), r"2 channels; the metadata names number 4"),
        (lambda rows: rows.clear(), r"0 mixtures"),
        (lambda rows: rows.append(3), r"expected an object with mixture_name"),
        (lambda rows: rows[0].update(s1=[]), r"0 sources s1: List should have at least 1 item"),
        (lambda rows: rows[0].update(noise=[]), r"mix_0000000: no noise in the metadata; leave --noise out"),
    ],
)
def test_metadata_that_makes_no_sense(raw, broken, tmp_path, edit, message):
    with pytest.raises(InputError, match=message):
        make(raw, tmp_path / "out", metadata=broken(edit))
    assert not (tmp_path / "out/metadata").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rates": (44100,)}, r"rates \[44100\]: expected 8000 or 16000 Hz"),
        ({"num_speakers": 2}, r"2 speakers: sparse_3_0.2 has mixtures of 3"),
        ({"metadata": "nowhere"}, r"nowhere: no metadata.json in it"),
    ],
)
def test_options_that_make_no_sense(raw, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        make(raw, tmp_path, **options)
    assert not list(tmp_path.iterdir())


def test_a_set_of_more_speakers_is_not_taken_for_one_of_fewer(raw, tmp_path):
    folder = make(raw, tmp_path, metadata=raw / "metadata/sparse_3_0.2")[0]
    with pytest.raises(InputError, match="wav8000 holds mixtures of more speakers; set num_spks to 3"):
        prepare_sparselibrimix(folder, tmp_path / "save", "sep_clean")
    with pytest.raises(InputError, match="task='enh': expected one of sep_clean, sep_noisy"):
        prepare_sparselibrimix(folder, tmp_path / "save", "enh", num_spks=3)
