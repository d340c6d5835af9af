"""LibriMix from LibriSpeech, noise and metadata, against a plain reading of the original's algorithm."""

import argparse
import csv
import hashlib
import json
import multiprocessing
import os
import re
import shlex
import time

import numpy as np
import pytest
import soundfile
from scipy.signal import resample_poly

from speechbrain_tasnet import cli
from speechbrain_tasnet.audio.pcm import quantize, quantize_like_libsndfile
from speechbrain_tasnet.commands import generate_librimix as command
from speechbrain_tasnet.data.librimix import prepare_librimix
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.generate.librimix import generate_librimix

TYPES = ("mix_clean", "mix_both", "mix_single")
# Each mixture of a table: utterances and gains, then noise and its gain.
NOISES = ["cv/long.wav", "cv/short.wav", "tr/longsp08.wav", "tr/longsp12.wav"]


@pytest.fixture(scope="session")
def raw(speech_folder, tmp_path_factory):
    """A folder with LibriSpeech (flac, 16 kHz), wham_noise (two channels) and metadata for 2 and 3 speakers."""
    root = tmp_path_factory.mktemp("librimix")
    utterances = []
    for number, path in enumerate(sorted(speech_folder.glob("*/000.wav"))[:6]):
        samples = resample_poly(soundfile.read(path)[0], 2, 1)[: 20001 + 3001 * number]
        utterances.append(f"dev-clean/{number}/7/{number}-7-0000.flac")
        (root / "LibriSpeech" / utterances[-1]).parent.mkdir(parents=True)
        soundfile.write(root / "LibriSpeech" / utterances[-1], samples, 16000)
    for name, seconds in {"cv/long": 3.1, "cv/short": 0.8, "tr/long": 3.0}.items():
        (root / "wham_noise" / name).parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(len(name)).normal(0, 0.05, (round(seconds * 16000), 2))
        soundfile.write(root / "wham_noise" / f"{name}.wav", noise, 16000)
    for speakers in (2, 3):
        folder = root / "metadata" / f"Libri{speakers}Mix"
        write_table(folder / f"libri{speakers}mix_dev-clean.csv", mixtures(utterances, speakers, 4))
        write_table(folder / f"libri{speakers}mix_train-clean-100.csv", mixtures(utterances, speakers, 2))
        # The original has these beside the tables; they are not for mixing.
        (folder / f"libri{speakers}mix_dev-clean_info.csv").write_text("mixture_ID,speaker_1_ID\n")
    return root


def mixtures(utterances, speakers, count):
    rows = []
    for number in range(count):
        chosen = [utterances[(number + 2 * i) % len(utterances)] for i in range(speakers)]
        row = {"mixture_ID": "_".join(path.split("/")[-1].removesuffix(".flac") for path in chosen)}
        for i, path in enumerate(chosen, start=1):
            row |= {f"source_{i}_path": path, f"source_{i}_gain": 0.3 + 0.1 * i + 0.01 * number}
        rows.append(row | {"noise_path": NOISES[number % len(NOISES)], "noise_gain": 0.7 + 0.1 * number})
    return rows


def write_table(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)


def read_table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def make(raw, out, speakers=2, **options):
    folders = {"librispeech": raw / "LibriSpeech", "noise": raw / "wham_noise"}
    folders |= {"metadata": raw / "metadata" / f"Libri{speakers}Mix", "out": out}
    return generate_librimix(**folders | {"workers": 1} | options)


def digests(folder):
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def plain(raw, row, speakers, rate, mode):
    """Compute all signals of a mixture as the original's script describes them, in int16 steps."""
    parts = []
    for i in range(1, speakers + 1):
        samples = soundfile.read(raw / "LibriSpeech" / row[f"source_{i}_path"])[0]
        parts.append(samples * float(row[f"source_{i}_gain"]))
    longest = max(map(len, parts))
    path = row["noise_path"]
    noise = soundfile.read(raw / "wham_noise" / path.replace("sp08", "").replace("sp12", ""))[0][:, 0]
    if "sp08" in path:
        noise = resample_poly(noise, 5, 4)
    if "sp12" in path:
        noise = resample_poly(noise, 5, 6)
    fade = np.hanning(16001)[:8001]
    extended = noise
    while len(extended) < longest:
        crossing = extended[-8001:] * fade[::-1] + noise[:8001] * fade
        extended = np.concatenate([extended[:-8001], crossing, noise[8001:]])
    parts.append(extended[:longest] * float(row["noise_gain"]))
    parts = [resample_poly(part, rate, 16000) for part in parts]
    length = min(map(len, parts)) if mode == "min" else max(map(len, parts))
    parts = [np.concatenate([part, np.zeros(length)])[:length] for part in parts]
    signals = {f"s{i}": part for i, part in enumerate(parts[:-1], start=1)}
    signals |= {"noise": parts[-1], "mix_clean": sum(parts[:-1]), "mix_both": sum(parts)}
    signals["mix_single"] = parts[0] + parts[-1]
    return {name: 2**15 * samples for name, samples in signals.items()}


@pytest.mark.parametrize("speakers", [2, 3])
def test_samples_are_those_of_the_original_algorithm(raw, tmp_path, speakers):
    corpus = make(raw, tmp_path, speakers, rates=(8000, 16000), modes=("min", "max"))
    assert corpus == tmp_path / f"Libri{speakers}Mix"
    compared = set()
    for rate, mode, split in [
        (r, m, s) for r in (8000, 16000) for m in ("min", "max") for s in ("dev", "train-100")
    ]:
        table = f"libri{speakers}mix_{split.replace('dev', 'dev-clean').replace('train', 'train-clean')}.csv"
        for row in read_table(raw / "metadata" / f"Libri{speakers}Mix" / table):
            for name, expected in plain(raw, row, speakers, rate, mode).items():
                path = corpus / f"wav{rate // 1000}k" / mode / split / name / f"{row['mixture_ID']}.wav"
                info = soundfile.info(path)
                assert (info.samplerate, info.channels, info.subtype) == (rate, 1, "PCM_16")
                samples = soundfile.read(path, dtype="int16")[0]
                assert len(samples) == len(expected)
                assert np.abs(samples - expected).max() < 1.01  # rounded down
                assert np.abs(samples).max() > 100
                compared.add(path)
    assert compared == set(corpus.rglob("*.wav"))
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"Libri{speakers}Mix"]
    assert sorted(path.name for path in corpus.iterdir()) == ["librimix.json", "wav16k", "wav8k"]


def test_tables_hold_relative_paths_lengths_and_ratios(raw, tmp_path):
    corpus = make(raw, tmp_path, splits=["dev"])
    folder = corpus / "wav8k/min/metadata"
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        f"{what}_dev_{kind}.csv" for what in ("metrics", "mixture") for kind in TYPES
    )
    moved = corpus.rename(tmp_path / "elsewhere")
    for kind, sources in zip(TYPES, (["1", "2"], ["1", "2"], ["1"]), strict=True):
        rows = read_table(moved / f"wav8k/min/metadata/mixture_dev_{kind}.csv")
        ratios = read_table(moved / f"wav8k/min/metadata/metrics_dev_{kind}.csv")
        parts = [*(f"source_{i}" for i in sources), *(["noise"] if kind != "mix_clean" else [])]
        assert list(rows[0]) == ["mixture_ID", "mixture_path", *(f"{part}_path" for part in parts), "length"]
        assert list(ratios[0]) == ["mixture_ID", *(f"{part}_SNR" for part in parts)]
        originals = read_table(raw / "metadata/Libri2Mix/libri2mix_dev-clean.csv")
        assert [row["mixture_ID"] for row in rows] == [row["mixture_ID"] for row in originals]
        for row, ratio in zip(rows, ratios, strict=True):
            signals = {part: soundfile.read(moved / row[f"{part}_path"])[0] for part in parts}
            mixture = soundfile.read(moved / row["mixture_path"])[0]
            assert len(mixture) == int(row["length"])
            for part, samples in signals.items():
                expected = 10 * np.log10(np.mean(samples**2) / np.mean((mixture - samples) ** 2))
                assert float(ratio[f"{part}_SNR"]) == pytest.approx(expected, abs=0.05)


def test_the_record_tells_the_options(raw, tmp_path):
    corpus = make(raw, tmp_path, rates=[16000], modes=["max"], splits=["dev"])
    told = json.loads((corpus / "librimix.json").read_text())
    assert (told["rates"], told["modes"], told["types"]) == ([16000], ["max"], list(TYPES))
    seconds = sum(soundfile.info(path).duration for path in corpus.glob("wav16k/max/dev/s1/*.wav"))
    assert told["splits"] == {
        "dev": {"mixtures": 4, "wav16k/max": {"seconds": pytest.approx(seconds), "clipped": 0}}
    }


def test_the_recipe_reads_it(raw, tmp_path):
    rows = read_table(raw / "metadata/Libri2Mix/libri2mix_dev-clean.csv")
    for name in ("train-clean-100", "dev-clean", "test-clean"):
        write_table(tmp_path / f"metadata/libri2mix_{name}.csv", rows)
    corpus = make(raw, tmp_path, metadata=tmp_path / "metadata")
    prepare_librimix(corpus, tmp_path / "save", task="enh_both", num_spks=1, train_splits=["train-100"])
    assert [len(read_table(path)) for path in (tmp_path / "save").glob("*.csv")] == [4, 4, 4]


def test_clean_mixtures_need_no_noise_and_equal_those_made_with_it(raw, tmp_path):
    clean = make(raw, tmp_path / "clean", noise=None, types=["mix_clean"], modes=("min", "max"))
    assert {path.name for path in (clean / "wav8k/min/dev").iterdir()} == {"s1", "s2", "mix_clean"}
    noisy = make(raw, tmp_path / "noisy", modes=("min", "max"))
    waves = {name: digest for name, digest in digests(clean).items() if name.endswith(".wav")}
    assert waves.items() < digests(noisy).items()
    assert len(waves) == 2 * 6 * 3


def test_faster_noise_that_is_there_is_taken(raw, tmp_path):
    noise = np.random.default_rng(0).normal(0, 0.05, 60000)
    for name in ("cv/long", "cv/short", "tr/longsp08", "tr/longsp12"):
        (tmp_path / "noise" / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / "noise" / f"{name}.wav", noise, 16000)
    corpus = make(raw, tmp_path, noise=tmp_path / "noise", rates=[16000], splits=["dev"])
    row = read_table(raw / "metadata/Libri2Mix/libri2mix_dev-clean.csv")[2]
    assert "sp08" in row["noise_path"]
    written = soundfile.read(corpus / "wav16k/min/dev/noise" / f"{row['mixture_ID']}.wav")[0]
    original = soundfile.read(tmp_path / "noise/tr/longsp08.wav")[0]
    np.testing.assert_allclose(written, float(row["noise_gain"]) * original[: len(written)], atol=2**-15)


def test_beyond_full_scale_is_clipped_and_told(raw, tmp_path):
    rows = read_table(raw / "metadata/Libri2Mix/libri2mix_dev-clean.csv")
    write_table(tmp_path / "metadata/libri2mix_test-clean.csv", [row | {"source_1_gain": 9} for row in rows[:1]])
    corpus = make(raw, tmp_path, metadata=tmp_path / "metadata", rates=[16000])
    samples = soundfile.read(next(corpus.glob("wav16k/min/test/s1/*.wav")), dtype="int16")[0]
    expected = plain(raw, rows[0] | {"source_1_gain": 9}, 2, 16000, "min")["s1"]
    assert np.abs(expected).max() > 40000
    assert np.abs(samples - np.clip(expected, -(2**15), 2**15 - 1)).max() <= 1
    assert json.loads((corpus / "librimix.json").read_text())["splits"]["test"]["wav16k/min"]["clipped"] == 4


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_run_is_continued_to_the_same_bytes(raw, tmp_path, workers):
    rows = read_table(raw / "metadata/Libri2Mix/libri2mix_dev-clean.csv")
    many = [row | {"mixture_ID": f"{row['mixture_ID']}-{copy}"} for copy in range(8) for row in rows]
    write_table(tmp_path / "metadata/libri2mix_dev-clean.csv", many)
    options = {"metadata": tmp_path / "metadata", "modes": ("min", "max")}
    whole = make(raw, tmp_path / "whole", **options)
    # Forked, it has nothing to import.
    process = multiprocessing.get_context("fork").Process(
        target=make, args=(raw, tmp_path / "out"), kwargs=options
    )
    process.start()
    partial = tmp_path / "out/.Libri2Mix.partial"
    deadline = time.monotonic() + 60
    while len(list(partial.glob(".rows/dev/*.json"))) < 3:
        assert process.is_alive()
        assert time.monotonic() < deadline
        os.sched_yield()
    process.kill()
    process.join()
    assert not (tmp_path / "out/Libri2Mix").exists()
    done = [path.stem for path in partial.glob(".rows/dev/*.json")]
    assert 3 <= len(done) < len(many)
    before = {path.name: path.stat().st_mtime_ns for path in partial.glob("wav8k/max/dev/mix_both/*.wav")}
    corpus = make(raw, tmp_path / "out", **options, workers=workers)
    assert digests(corpus) == digests(whole)
    for name in done:
        assert (corpus / f"wav8k/max/dev/mix_both/{name}.wav").stat().st_mtime_ns == before[f"{name}.wav"]
    assert [path.name for path in corpus.parent.iterdir()] == ["Libri2Mix"]


def test_another_number_of_workers_gives_the_same_bytes(raw, tmp_path):
    assert digests(make(raw, tmp_path / "one")) == digests(make(raw, tmp_path / "two", workers=2))


def refused(raw, tmp_path, *words, **options):
    """Check for an InputError of one line that holds all the words, and that nothing is left behind."""
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError) as caught:
        make(raw, tmp_path / "there/out", **options)
    assert list((tmp_path / "there").iterdir()) == []
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rates": [44100]}, ["rate 44100", "8000 or 16000"]),
        ({"rates": []}, ["rate missing"]),
        ({"modes": ["mid"]}, ["mode mid", "min or max"]),
        ({"types": ["mix"]}, ["type mix", "mix_single"]),
        ({"splits": ["train-360"]}, ["'train-360'", "dev or train-100"]),
        ({"workers": 0}, ["workers=0"]),
        ({"noise": None}, ["--noise", "--types mix_clean"]),
        ({"noise": "nowhere"}, ["nowhere: no such folder", "wham_noise"]),
        ({"librispeech": "nowhere"}, ["nowhere: no such folder", "LibriSpeech"]),
        ({"metadata": "nowhere"}, ["nowhere: no such folder", "JorisCos/LibriMix"]),
    ],
)
def test_options_out_of_range_are_refused(raw, tmp_path, options, words):
    refused(raw, tmp_path, *words, **options)


def without(column):
    return lambda rows: [{name: value for name, value in row.items() if name != column} for row in rows]


def second(**changes):
    return lambda rows: [rows[0], rows[1] | changes]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without("mixture_ID"), ["no column mixture_ID"]),
        (without("source_2_gain"), ["no column source_2_gain"]),
        (without("noise_path"), ["no column noise_path"]),
        (second(source_1_gain="loud"), ["line 3", "source_1_gain 'loud'"]),
        (second(noise_gain="inf"), ["line 3", "noise_gain 'inf'"]),
        (second(source_2_path=""), ["line 3", "no source_2_path"]),
        (second(mixture_ID="../up"), ["line 3", "'../up'"]),
        (lambda rows: [rows[0], rows[0]], ["line 3", "appears twice"]),
        (
            second(source_2_path="dev-clean/no.flac"),
            ["dev-clean/no.flac: no such file", "--librispeech", "line 3"],
        ),
        (second(noise_path="cv/no.wav"), ["cv/no.wav: no such file", "--noise", "holds cv"]),
        (second(noise_path="tr/nosp08.wav"), ["tr/no.wav: no such file"]),
    ],
)
def test_wrong_tables_are_refused(raw, tmp_path, change, words):
    rows = read_table(raw / "metadata/Libri2Mix/libri2mix_dev-clean.csv")[:2]
    write_table(tmp_path / "metadata/libri2mix_dev-clean.csv", change(rows))
    refused(raw, tmp_path, *words, metadata=tmp_path / "metadata")


def test_folders_without_a_usable_set_of_tables_are_refused(raw, tmp_path):
    refused(raw, tmp_path, "no table", metadata=raw / "metadata")
    (tmp_path / "there").rmdir()
    for path in raw.glob("metadata/*/*_dev-clean.csv"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    refused(raw, tmp_path, "libri2mix and libri3mix", metadata=tmp_path)
    (tmp_path / "there").rmdir()
    (tmp_path / "libri3mix_dev-clean.csv").rename(tmp_path / "libri2mix_test-clean.csv")
    refused(raw, tmp_path, "2 in", "3 in", "same number", metadata=tmp_path)
    (tmp_path / "there").rmdir()
    (tmp_path / "libri2mix_test-clean.csv").write_text("mixture_ID,source_1_path\n")
    refused(raw, tmp_path, "libri2mix_test-clean.csv: no column", metadata=tmp_path)


@pytest.mark.parametrize(
    ("rate", "samples", "words"),
    [
        (8000, 40000, ["8000 Hz, expected 16000"]),
        (16000, 8001, ["8001 samples", "half a second"]),
        (16000, 0, ["no"]),
    ],
)
@pytest.mark.parametrize("workers", [1, 2])
def test_unsuitable_noise_is_refused(raw, tmp_path, rate, samples, words, workers):
    for name in ("cv/long", "cv/short", "tr/long"):
        (tmp_path / "noise" / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / "noise" / f"{name}.wav", np.full((samples, 2), 0.1), rate)
    refused(raw, tmp_path, "noise/", ".wav", *words, noise=tmp_path / "noise", workers=workers)


def test_a_taken_folder_is_refused_and_kept(raw, tmp_path):
    (tmp_path / "Libri2Mix").mkdir()
    (tmp_path / "Libri2Mix/precious").write_text("mine")
    with pytest.raises(InputError, match="already holds"):
        make(raw, tmp_path)
    assert digests(tmp_path).keys() == {"Libri2Mix/precious"}


def test_two_and_three_speakers_share_a_folder(raw, tmp_path):
    for speakers in (2, 3):
        make(raw, tmp_path, speakers, splits=["train-100"], types=["mix_clean"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Libri2Mix", "Libri3Mix"]


def test_the_command_passes_its_options_on(raw, tmp_path, capsys):
    parser = argparse.ArgumentParser()
    command.describe(parser)
    words = ["--librispeech", raw / "LibriSpeech", "--noise", raw / "wham_noise", "--out", tmp_path]
    words += ["--metadata", raw / "metadata/Libri2Mix", "--rate", 8000, 16000, "--mode", "max"]
    words += ["--types", "mix_both", "--splits", "dev"]
    command.run(parser.parse_args([str(word) for word in words]))
    assert f"{tmp_path / 'Libri2Mix'}: training needs" in capsys.readouterr().out
    found = {path.parent.relative_to(tmp_path / "Libri2Mix").as_posix() for path in tmp_path.rglob("*.wav")}
    folders = ("s1", "s2", "mix_both", "noise")
    assert found == {f"wav{rate}k/max/dev/{folder}" for rate in (8, 16) for folder in folders}


def values_around_levels():
    """All levels of 16 bits, the middles between them, their neighbours, and what lies far from them."""
    levels = np.arange(-(2**15) - 2, 2**15 + 3) / 2**15
    fine = [(levels * 2**31 + step) / 2**31 for step in (-1, -0.75, -0.5, -0.25, 0.25, 0.5, 0.75, 1)]
    near = [np.nextafter(levels, side) for side in (-9, 9)]
    drawn = np.random.default_rng(0).uniform(-1.2, 1.2, 200000)
    return np.concatenate(
        [levels, levels + 2.0**-16, *fine, *near, drawn, 1e-3 * drawn, [-1e9, 1e9, np.inf, -np.inf]]
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_samples_are_rounded_as_libsndfile_does(dtype, tmp_path):
    samples = values_around_levels().astype(dtype)
    soundfile.write(tmp_path / "x.wav", samples, 8000)
    written = soundfile.read(tmp_path / "x.wav", dtype="int16")[0]
    assert np.array_equal(quantize_like_libsndfile(samples), written)
    assert (written != quantize(samples)).mean() > 0.1


def official(raw, row, speakers, rate, mode):
    """Compute the signals of a mixture in the number formats that the original's script has at each place."""
    signals = {}
    for i in range(1, speakers + 1):
        samples = soundfile.read(raw / "LibriSpeech" / row[f"source_{i}_path"], dtype="float32")[0]
        signals[f"s{i}"] = samples * float(row[f"source_{i}_gain"])
    longest = max(map(len, signals.values()))
    noise = soundfile.read(raw / "wham_noise" / row["noise_path"], dtype="float32", stop=longest)[0][:, 0]
    fade, extended = np.hanning(16001)[:8001], noise
    while len(extended) < longest:
        crossing = extended[-8001:] * fade[::-1] + noise[:8001] * fade
        extended = np.concatenate([extended[:-8001], crossing, noise[8001:]])
    signals["noise"] = extended[:longest] * float(row["noise_gain"])
    signals = {name: resample_poly(samples, rate, 16000) for name, samples in signals.items()}
    if mode == "min":
        length = min(map(len, signals.values()))
        signals = {name: samples[:length] for name, samples in signals.items()}
    else:
        length = max(map(len, signals.values()))
        signals = {name: np.pad(samples, (0, length - len(samples))) for name, samples in signals.items()}
    speech = [f"s{i}" for i in range(1, speakers + 1)]
    for kind, names in {
        "mix_clean": speech,
        "mix_both": [*speech, "noise"],
        "mix_single": ["s1", "noise"],
    }.items():
        total = np.zeros_like(signals["s1"])
        for name in names:
            total += signals[name]
        signals[kind] = total
    return signals


@pytest.mark.parametrize("speakers", [2, 3])
def test_samples_are_those_of_the_original_to_the_bit(raw, tmp_path, speakers):
    """Where its noise is played as it is; also where it is repeated, and where a signal is clipped."""
    table = raw / f"metadata/Libri{speakers}Mix/libri{speakers}mix_dev-clean.csv"
    rows = [row for row in read_table(table) if "sp" not in row["noise_path"]]
    rows.append(rows[0] | {"mixture_ID": "loud", "source_1_gain": "9.5", "noise_gain": "11"})
    write_table(tmp_path / f"metadata/libri{speakers}mix_dev-clean.csv", rows)
    options = {"rates": (8000, 16000), "modes": ("min", "max"), "metadata": tmp_path / "metadata"}
    corpus = make(raw, tmp_path / "out", speakers, **options)
    for rate, mode, row in [(r, m, row) for r in (8000, 16000) for m in ("min", "max") for row in rows]:
        for name, samples in official(raw, row, speakers, rate, mode).items():
            soundfile.write(tmp_path / "original.wav", samples, rate)
            original = soundfile.read(tmp_path / "original.wav", dtype="int16")[0]
            path = corpus / f"wav{rate // 1000}k" / mode / "dev" / name / f"{row['mixture_ID']}.wav"
            assert np.array_equal(soundfile.read(path, dtype="int16")[0], original), path


@pytest.mark.parametrize(
    ("speakers", "words", "expected"),
    [
        (2, [], "--train_splits '[train-100]'"),
        (2, ["--types", "mix_both"], "--train_splits '[train-100]' --task sep_noisy"),
        (2, ["--types", "mix_single"], "--train_splits '[train-100]' --task enh_single --num_spks 1"),
        (3, ["--mode", "max"], "--train_splits '[train-100]' --mode max --num_spks 3"),
        (
            3,
            ["--rate", "16000", "--types", "mix_clean"],
            "--train_splits '[train-100]' --sample_rate 16000 --num_spks 3",
        ),
    ],
)
def test_the_command_that_is_printed_works(raw, tmp_path, capsys, speakers, words, expected):
    rows = read_table(raw / f"metadata/Libri{speakers}Mix/libri{speakers}mix_dev-clean.csv")
    for name in ("train-clean-100", "train-clean-360", "dev-clean", "test-clean"):
        write_table(tmp_path / f"metadata/libri{speakers}mix_{name}.csv", rows)
    out = tmp_path / "with space"
    printed = generate(capsys, raw, tmp_path / "metadata", out, *words, "--splits", "train-100", "dev", "test")
    corpus = out / f"Libri{speakers}Mix"
    command = re.search(r"`tasnet (train librimix --data_folder .*)`", printed)[1]
    assert command == f"train librimix --data_folder '{corpus}' {expected}"
    sizes = "--N 16 --L 16 --B 8 --H 16 --Sc 8 --X 2 --R 1 --num_workers 0 --device cpu --noprogressbar"
    cli.main([*shlex.split(command), "--check", *sizes.split(), "--output_folder", str(tmp_path / "run")])
    assert "Dry run" in capsys.readouterr().out


def generate(capsys, raw, metadata, out, *words):
    parser = argparse.ArgumentParser()
    command.describe(parser)
    folders = ["--librispeech", raw / "LibriSpeech", "--noise", raw / "wham_noise", "--metadata", metadata]
    command.run(parser.parse_args([str(word) for word in [*folders, "--out", out, *words]]))
    return capsys.readouterr().out


def test_where_no_training_is_possible_it_says_what_is_missing(raw, tmp_path, capsys):
    printed = generate(
        capsys, raw, raw / "metadata/Libri2Mix", tmp_path, "--splits", "dev", "--types", "mix_clean"
    )
    assert "training needs train-100 or train-360 and test too" in printed
    assert "`" not in printed


def test_both_parts_of_the_training_set_are_named(raw, tmp_path, capsys):
    rows = read_table(raw / "metadata/Libri2Mix/libri2mix_dev-clean.csv")[:1]
    for name in ("train-clean-100", "train-clean-360", "dev-clean", "test-clean"):
        write_table(tmp_path / f"metadata/libri2mix_{name}.csv", rows)
    printed = generate(capsys, raw, tmp_path / "metadata", tmp_path, "--types", "mix_clean")
    assert "--train_splits '[train-100,train-360]'" in printed


def test_clipped_mixtures_pass_the_check(raw, tmp_path, capsys):
    """Those of generate; what the original's script writes is the same to the bit."""
    rows = read_table(raw / "metadata/Libri2Mix/libri2mix_dev-clean.csv")
    for name, gains in {"train-clean-100": (3, 3), "dev-clean": (9, 1), "test-clean": (4, 20)}.items():
        loud = {"source_1_gain": gains[0], "source_2_gain": gains[0], "noise_gain": gains[1]}
        write_table(tmp_path / f"metadata/libri2mix_{name}.csv", [row | loud for row in rows])
    corpus = make(raw, tmp_path, metadata=tmp_path / "metadata")
    splits = json.loads((corpus / "librimix.json").read_text())["splits"]
    assert all(split["wav8k/min"]["clipped"] for split in splits.values())
    prepare_librimix(corpus, tmp_path / "save", task="sep_noisy", train_splits=["train-100"])
