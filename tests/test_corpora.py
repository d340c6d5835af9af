"""Every recipe on a corpus of its layout: manifests, checks, some steps of training, an evaluation."""

import csv
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch
from corpora import write_custom, write_librimix, write_wham, write_whamr, write_wsj0mix
from speechbrain.dataio.dataio import load_data_csv

from speechbrain_tasnet.data.custom import prepare_custom
from speechbrain_tasnet.data.librimix import prepare_librimix
from speechbrain_tasnet.data.tasks import DRY, REVERBERANT
from speechbrain_tasnet.data.wham import prepare_wham
from speechbrain_tasnet.data.whamr import prepare_whamr
from speechbrain_tasnet.data.wsj0mix import prepare_wsj0mix
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.experiment.workflow import run


@pytest.fixture(scope="session")
def wham(corpus, tmp_path_factory):
    return write_wham(tmp_path_factory.mktemp("wham"), corpus)


@pytest.fixture(scope="session")
def whamr(corpus, tmp_path_factory):
    return write_whamr(tmp_path_factory.mktemp("whamr"), corpus)


def rows(manifest):
    with open(manifest, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read(row, column, root):
    return soundfile.read(row[f"{column}_wav"].replace("$data_root", str(root)))[0]


# ------------------------------------------------------------------------------------------------ recipes

RECIPES = {
    "wsj0mix": (write_wsj0mix, {}, []),
    "wsj0mix 3 speakers": (write_wsj0mix, {"count": 3}, ["--num_spks", "3"]),
    "wsj0mix 16k max": (write_wsj0mix, {"layout": "wav16k/max"}, ["--sample_rate", "16000", "--mode", "max"]),
    "wham": (write_wham, {}, []),
    "wham enh_both": (write_wham, {}, ["--task", "enh_both", "--num_spks", "1"]),
    "whamr": (write_whamr, {}, []),
    "whamr sep_reverb reverb": (write_whamr, {}, ["--task", "sep_reverb", "--target", "reverb"]),
    "librimix": (write_librimix, {}, ["--train_splits", "[train-100]"]),
    "librimix 3 speakers": (
        write_librimix,
        {"count": 3},
        ["--train_splits", "[train-100]", "--num_spks", "3", "--task", "sep_noisy"],
    ),
    "custom": (write_custom, {}, []),
}


@pytest.mark.parametrize("case", RECIPES)
def test_recipe_trains_and_evaluates(case, corpus, tiny, tmp_path):
    write, options, words = RECIPES[case]
    root = write(tmp_path / "corpus", corpus, **options)
    out = tmp_path / "run"
    words = ["--output_folder", str(out), "--number_of_epochs", "1", *tiny, *words]
    run([case.split()[0], "--data_folder", str(root), *words])
    summary = json.loads((out / "test_results.json").read_text())
    assert summary["utterances"] == 2
    assert np.isfinite(summary["metrics"]["si-snr"]["mean"])
    logged = re.search(r"Input SI-SNR of the test set: (\S+) dB", (out / "log.txt").read_text())
    expected = summary["metrics"]["si-snr"]["mean"] - summary["metrics"]["si-snr_i"]["mean"]
    assert float(logged[1]) == pytest.approx(expected, abs=0.06)


# -------------------------------------------------------------------------------------------------- tasks


@pytest.mark.parametrize("task", REVERBERANT)
@pytest.mark.parametrize("target", ["anechoic", "reverb"])
def test_what_goes_in_and_what_should_come_out(task, target, whamr, tmp_path):
    """The names say it: compare with what each task should do, worked out from its name alone."""
    num_spks = 2 if task.startswith("sep") else 1
    options = {"task": task, "target": target, "num_spks": num_spks}
    if target == "reverb" and not ("reverb" in task and not task.startswith("dereverb")):
        with pytest.raises(InputError, match="anechoic targets by definition"):
            prepare_whamr(whamr, tmp_path, **options)
        return
    prepare_whamr(whamr, tmp_path, **options)
    row = rows(tmp_path / "tt.csv")[0]
    path = {
        name: row[f"{name}_wav"].split("/")[-2] for name in ("mix", *(f"s{i}" for i in range(1, num_spks + 1)))
    }
    assert path["mix"].endswith("_reverb") == ("reverb" in task)
    assert ("noise" in task or task.startswith("enh") or task == "sep_noisy" or task.endswith("noisy")) == (
        "both" in path["mix"] or "single" in path["mix"]
    )
    assert all(path[f"s{i}"].endswith(f"_{target}") for i in range(1, num_spks + 1))
    assert path["s1"].startswith("mix_clean" if task.split("_")[1] == "both" else "s1")


@pytest.mark.parametrize("task", DRY)
def test_the_rest_of_a_mixture_is_what_the_task_should_remove(task, wham, tmp_path):
    num_spks = 2 if task.startswith("sep") else 1
    prepare_wham(wham, tmp_path, task=task, num_spks=num_spks)
    for row in rows(tmp_path / "tr.csv"):
        rest = read(row, "mix", wham) - sum(read(row, f"s{i}", wham) for i in range(1, num_spks + 1))
        expected = 0 if task == "sep_clean" else read(row, "noise", wham)
        np.testing.assert_allclose(rest, expected, atol=3 / 2**15)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "sep"}, "task='sep': expected one of sep_clean"),
        ({"task": "enh_both"}, "num_spks=2: task='enh_both' has one source; set num_spks to 1"),
        ({"task": "sep_noisy", "target": "wet"}, "target='wet': expected anechoic or reverb"),
        ({"task": "sep_noisy", "num_spks": 3}, "s3_anechoic: no such folder, but the task needs it"),
        ({"task": "sep_noisy", "num_spks": 1}, "holds mixtures of more speakers"),
    ],
)
def test_tasks_that_cannot_be(options, message, whamr, tmp_path):
    with pytest.raises(InputError, match=message):
        prepare_whamr(whamr, tmp_path, **options)
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------------------------------------- manifests


def test_a_manifest_holds_every_signal_and_the_toolkit_reads_it(wham, tmp_path):
    prepare_wham(wham, tmp_path, task="sep_noisy")
    found = load_data_csv(tmp_path / "tt.csv", replacements={"data_root": str(wham)})
    row = next(iter(found.values()))
    assert set(row) == {"duration", "sample_rate"} | {
        f"{name}_wav" for name in ("mix", "s1", "s2", "mix_clean", "mix_single", "noise")
    }
    assert row["sample_rate"] == "8000"
    for name, value in row.items():
        if name.endswith("_wav"):
            assert soundfile.info(value).duration == pytest.approx(row["duration"], abs=1e-6)
    assert list(found) == sorted(found)


def test_a_name_that_the_task_has_taken(wham, tmp_path):
    prepare_wham(wham, tmp_path, task="enh_both", num_spks=1)
    row = rows(tmp_path / "tt.csv")[0]
    assert "/mix_clean/" in row["s1_wav"]
    assert "/s1/" in row["corpus_s1_wav"]
    assert "/s2/" in row["s2_wav"]


def test_training_sets_can_be_joined(corpus, tmp_path):
    root = write_librimix(tmp_path / "corpus", corpus)
    more = root / "wav8k/min/train-360"
    shutil.copytree(root / "wav8k/min/train-100", more)
    for path in more.glob("*/*.wav"):
        path.rename(path.with_name(f"more-{path.name}"))
    prepare_librimix(root, tmp_path / "save", task="sep_clean", train_splits=["train-100", "train-360"])
    found = rows(tmp_path / "save/tr.csv")
    assert [row["mix_wav"].split("/")[3] for row in found] == ["train-360"] * 2 + ["train-100"] * 2
    with pytest.raises(InputError, match="in two folders of one split"):
        prepare_librimix(root, tmp_path / "save", task="sep_clean", train_splits=["train-100", "train-100"])


def test_manifests_are_kept_until_something_changes(corpus, tmp_path):
    root, save = write_wham(tmp_path / "corpus", corpus), tmp_path / "save"
    prepare_wham(root, save, task="sep_noisy")

    def touched(**options):
        before = (save / "tr.csv").stat().st_mtime_ns
        prepare_wham(root, save, **{"task": "sep_noisy", **options})
        return (save / "tr.csv").stat().st_mtime_ns != before

    assert not touched()
    assert touched(task="sep_clean")
    assert touched()
    file = min((root / "wav8k/min/cv/s1").iterdir())
    file.write_bytes(file.read_bytes())
    assert touched()
    (save / "tt.csv").unlink()
    assert touched()
    (save / "prepared.json").write_bytes(b"")  # by a crash of the machine
    assert touched()
    assert not touched()


# ------------------------------------------------------------------------------------------------- checks


def swap(folder, one, other):
    (folder / one).rename(folder / "aside")
    (folder / other).rename(folder / one)
    (folder / "aside").rename(folder / other)


def test_a_mix_up_of_targets_is_caught(corpus, tmp_path):
    root = write_whamr(tmp_path / "corpus", corpus)
    swap(root / "wav8k/min/tt", "s1_anechoic", "s1_reverb")
    with pytest.raises(InputError, match=r"tt/mix_\w+_(anechoic|reverb)/.*not the sum of s1_") as caught:
        prepare_whamr(root, tmp_path / "save", task="sep_reverb_noisy")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "save/tr.csv").exists()


def test_sources_of_another_mixture_are_caught(corpus, tmp_path):
    root = write_custom(tmp_path / "corpus", corpus)
    folder = root / "train/source2"
    one, other = sorted(folder.iterdir())
    length = min(soundfile.info(one).frames, soundfile.info(other).frames)
    for signal in ("mixture", "source1", "source2"):
        for name in (one.name, other.name):
            samples, rate = soundfile.read(root / "train" / signal / name)
            soundfile.write(root / "train" / signal / name, samples[:length], rate)
    swap(folder, one.name, other.name)
    with pytest.raises(InputError, match=r"not the sum of source1 \+ source2"):
        prepare_custom(root, tmp_path / "save", mixture="mixture", sources=["source1", "source2"])
    prepare_custom(root, tmp_path / "save", mixture="mixture", sources=["source1", "source2"], additive=False)


def test_all_problems_are_listed(corpus, tmp_path):
    root, save = write_wham(tmp_path / "corpus", corpus), tmp_path / "save"
    files = sorted((root / "wav8k/min/tr/noise").iterdir())
    files[0].unlink()
    files[1].write_text("no audio")
    with pytest.raises(InputError, match=r"no such file.*2 such problems, listed in .*problems\.txt"):
        prepare_wham(root, save, task="sep_noisy")
    assert [str(file) in line for file, line in zip(files, (save / "problems.txt").open(), strict=True)] == [
        True
    ] * 2
    shutil.rmtree(root)
    write_wham(root, corpus)
    prepare_wham(root, save, task="sep_noisy")
    assert not (save / "problems.txt").exists()


def test_a_stereo_file_is_refused(corpus, tmp_path):
    root = write_wsj0mix(tmp_path / "corpus", corpus)
    file = min((root / "wav8k/min/tr/s1").iterdir())
    samples, rate = soundfile.read(file)
    soundfile.write(file, np.stack([samples, samples], 1), rate)
    with pytest.raises(InputError, match="2 channels, expected one"):
        prepare_wsj0mix(root, tmp_path / "save")


def test_two_microphones_of_whamr_are_refused_by_name(corpus, tmp_path):
    """As its script writes them with MONO = False."""
    root = write_whamr(tmp_path / "corpus", corpus)
    for file in root.rglob("*.wav"):
        samples, rate = soundfile.read(file)
        soundfile.write(file, np.stack([samples, 0.5 * samples], 1), rate, "FLOAT")
    with pytest.raises(
        InputError, match=r"2 channels, expected one; is this WHAMR! .*MONO = False.*--mics 2"
    ) as caught:
        prepare_whamr(root, tmp_path / "save", task="sep_reverb_noisy")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("gains", [(10.0, 1.0), (30.0, 1.0), (1.0, 40.0), (30.0, 40.0)])
def test_sums_that_are_clipped_are_sums(corpus, tmp_path, gains):
    """Of mixtures, of parts that are clipped themselves, and of both, to either side."""
    root = write_librimix(tmp_path / "corpus", corpus)
    clipped = 0
    for folder in (root / "wav8k/min").iterdir():
        for path in (folder / "s1").iterdir():
            voice, noise = (soundfile.read(folder / name / path.name)[0] for name in ("s1", "noise"))
            parts = {"s1": gains[0] * voice, "s2": -gains[0] * voice[::-1], "noise": gains[1] * noise}
            made = parts | {"mix_clean": parts["s1"] + parts["s2"], "mix_single": parts["s1"] + parts["noise"]}
            made["mix_both"] = made["mix_clean"] + parts["noise"]
            for name, samples in made.items():
                clipped += (np.abs(samples) > 1).sum()
                soundfile.write(folder / name / path.name, samples, 8000)
    assert clipped > 10
    options = {"task": "sep_noisy", "train_splits": ["train-100"]}
    prepare_librimix(root, tmp_path / "save", **options)
    # Elsewhere, and beyond what clipping explains, a sum is checked as ever.
    path = min((root / "wav8k/min/dev/mix_both").iterdir())
    samples, rate = soundfile.read(path)
    place = int(np.abs(np.abs(samples) - 0.2).argmin())
    samples[place] += 0.01
    soundfile.write(path, samples, rate)
    with pytest.raises(InputError, match=r"mix_both/.*not the sum of mix_clean \+ noise, off by 0\.0"):
        prepare_librimix(root, tmp_path / "save", **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sources": ["source1"]}, r"sources=\['source1'\]: expected num_spks=2 folders"),
        ({"splits": ["train", "test"]}, "expected three folders"),
        ({"mixture": "mix"}, "mix: no such folder, but the task needs it; there are mixture, source1, source2"),
    ],
)
def test_custom_options_that_do_not_fit(options, message, corpus, tmp_path):
    root = write_custom(tmp_path / "corpus", corpus)
    with pytest.raises(InputError, match=message):
        prepare_custom(
            root, tmp_path / "save", **{"mixture": "mixture", "sources": ["source1", "source2"], **options}
        )


# ----------------------------------------------------------------------------------------- dynamic mixing


def dynamic(corpus, speech_folder, out, tiny, *words):
    words = ["--speech_folder", str(speech_folder), "--epoch_items", "6", "--number_of_epochs", "2", *tiny, *words]
    run(["wsj0mix", "--data_folder", str(corpus), "--output_folder", str(out), *words])
    return torch.load(max((out / "save").glob("CKPT*")) / "masknet.ckpt", weights_only=True)


def test_a_recipe_mixes_anew_and_workers_change_nothing(corpus, speech_folder, tiny, tmp_path):
    alone = dynamic(corpus, speech_folder, tmp_path / "alone", tiny)
    several = [word if word != "0" else "2" for word in tiny]
    assert several != tiny
    helped = dynamic(corpus, speech_folder, tmp_path / "helped", several)
    for name, weight in alone.items():
        torch.testing.assert_close(helped[name], weight, rtol=0, atol=0)
    other = dynamic(corpus, speech_folder, tmp_path / "other", tiny, "--speeds", "[0.9]")
    assert not torch.equal(other["mask.weight"], alone["mask.weight"])


def test_a_file_that_breaks_in_a_loaders_process_is_one_line(corpus, speech_folder, tmp_path):
    speech = shutil.copytree(speech_folder, tmp_path / "speech")
    words = [
        "--speech_folder",
        speech,
        "--num_workers",
        "1",
        "--epoch_items",
        "40",
        "--N",
        "8",
        "--B",
        "4",
        "--H",
        "8",
    ]
    words += ["--Sc", "4", "--X", "1", "--R", "1", "--noprogressbar", "--device", "cpu", "--output_folder", "run"]
    for path in speech.glob("*/*.wav"):
        samples, rate = soundfile.read(path)
        samples[len(samples) // 2] = np.nan
        soundfile.write(path, samples, rate, "FLOAT")
    command = [sys.executable, "-m", "speechbrain_tasnet.cli", "train", "wsj0mix", "--data_folder", corpus]
    done = subprocess.run([*map(str, command + words)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert re.fullmatch(
        r"tasnet: error: .*\.wav: holds NaN or infinite samples, .*; .*", done.stderr.splitlines()[-1]
    )
    assert "Traceback" not in done.stderr
