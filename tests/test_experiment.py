"""The main job, end to end, through the real recipe, the real toolkit and real processes."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
import torch
from forked import deadly, in_fork

from speechbrain_tasnet import TasNetSeparation
from speechbrain_tasnet.bundle import load_bundle
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.experiment import run
from speechbrain_tasnet.report.learning_curve import learning_curve
from speechbrain_tasnet.training.brain import SeparationBrain

ROOT = Path(__file__).parents[1]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def checkpoints(folder):
    return sorted((folder / "save").glob("CKPT+*"))


def test_a_run_leaves_what_the_toolkit_leaves(trained, corpus):
    for name in ("train_log.txt", "log.txt", "env.log", "hyperparams.yaml", "workflow.py", "save/tr.csv"):
        assert (trained / name).stat().st_size > 0, name
    with open(trained / "test_results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:5] == ["snt_id", "sdr", "sdr_i", "si-snr", "si-snr_i"]
    assert [row["snt_id"] for row in rows] == sorted(p.stem for p in (corpus / "wav8k/min/tt/mix").iterdir())
    summary = json.loads((trained / "test_results.json").read_text())
    assert summary["utterances"] == len(rows)
    assert "<html" in (trained / "report.html").read_text()


def test_the_bundle_says_where_it_comes_from(trained, corpus):
    about = load_bundle(trained / "pretrained").config.about
    summary = json.loads((trained / "test_results.json").read_text())["metrics"]
    for metric, score in about["scores"].items():
        assert score == {name: summary[metric][name] for name in ("mean", "ci95", "count")}
    seconds = sum(soundfile.info(path).duration for path in (corpus / "wav8k/min/tr/mix").iterdir())
    assert about["hours"] == pytest.approx(seconds / 3600, abs=1e-4)
    assert (about["recipe"], about["seed"]) == ("wsj0mix", 1234)
    assert about["epochs"] in (1, 2)  # of the best checkpoint
    assert about["corpus"] == corpus.name
    assert str(corpus.parent) not in (trained / "pretrained/config.json").read_text()


def test_the_logged_value_is_the_negative_si_snr_the_test_set_confirms(trained):
    log = (trained / "train_log.txt").read_text()
    logged = float(re.search(r"test si-snr: (\S+),", log)[1])
    mean = json.loads((trained / "test_results.json").read_text())["metrics"]["si-snr"]["mean"]
    assert logged == pytest.approx(-mean, rel=1e-2)
    curve = learning_curve(trained / "ledger.json")
    assert [point["epoch"] for point in curve] == [1, 2]
    meta = [(folder / "CKPT.yaml").read_text() for folder in checkpoints(trained)]
    best = min(float(re.search(r"si-snr: (\S+)", text)[1]) for text in meta)
    assert -max(point["valid"] for point in curve) == pytest.approx(best, rel=1e-2)


def test_the_best_checkpoint_is_kept_and_evaluated_not_the_last(corpus, tmp_path, tiny):
    arguments = ["wsj0mix", "--data_folder", str(corpus), "--output_folder", str(tmp_path), *tiny]
    run([*arguments, "--number_of_epochs", "10", "--lr", "0.05"])  # too fast: soon it gets worse
    valid = [point["valid"] for point in learning_curve(tmp_path / "ledger.json")]
    assert max(valid) > valid[-1]
    meta = [(folder / "CKPT.yaml").read_text() for folder in checkpoints(tmp_path)]
    kept = [-float(re.search(r"si-snr: (\S+)", text)[1]) for text in meta]
    assert sorted(kept) == pytest.approx(sorted([max(valid), valid[-1]]), rel=1e-2)
    best = max(range(10), key=valid.__getitem__) + 1
    assert f"epoch loaded: {best} " in (tmp_path / "train_log.txt").read_text()


def test_training_moves_every_parameter(trained):
    torch.manual_seed(99)
    separator = TasNetSeparation.from_hparams(source=str(trained / "pretrained"))
    for name, parameter in separator.mods.named_parameters():
        if name.endswith(("norm.bias", "norm1.bias", "norm2.bias")):
            assert parameter.abs().max() > 0, name  # they start at zero
        if "prelu" in name:
            assert parameter.item() != 0.25, name


def test_evaluate_only_gives_the_same_scores_and_does_not_train(trained):
    before = (trained / "test_results.csv").read_text()
    kept = checkpoints(trained)
    (trained / "test_results.csv").unlink()
    run([str(trained), "--noprogressbar"], evaluate_only=True)
    assert (trained / "test_results.csv").read_text() == before
    assert checkpoints(trained) == kept


def test_a_run_that_began_before_there_was_a_key_is_evaluated_without_it(trained):
    recipe = trained / "hyperparams.yaml"
    newer = ("pretrained:", "tensorboard:", "max_bad_items:")
    lines = recipe.read_text().splitlines(keepends=True)
    assert sum(line.startswith(newer) for line in lines) == len(newer)
    recipe.write_text("".join(line for line in lines if not line.startswith(newer)))
    assert run([str(trained), "--noprogressbar"], evaluate_only=True) == trained


def test_evaluate_without_a_checkpoint_is_refused(corpus, tmp_path, tiny):
    with pytest.raises(InputError, match="no checkpoint to evaluate"):
        run(["wsj0mix", "--data_folder", str(corpus), "--output_folder", str(tmp_path / "run"), *tiny], True)
    assert not (tmp_path / "run").exists()


def test_a_metric_that_cannot_be_had_is_said_before_the_training(corpus, tmp_path, tiny, monkeypatch):
    monkeypatch.setitem(sys.modules, "pesq", None)
    arguments = ["wsj0mix", "--data_folder", str(corpus), "--output_folder", str(tmp_path / "run"), *tiny]
    with pytest.raises(InputError, match=r"needs the package pesq.*quality"):
        run([*arguments, "--metrics", "[pesq]"])
    assert not (tmp_path / "run/log.txt").exists()


def test_a_killed_run_goes_on_from_its_checkpoint_in_mid_epoch(corpus, tmp_path, tiny):
    arguments = ["wsj0mix", "--data_folder", str(corpus), "--output_folder", str(tmp_path / "run"), *tiny]
    arguments += ["--number_of_epochs", "2", "--ckpt_interval_minutes", "0", "--ckpt_interval_steps", "2"]

    def run_to_the_first_checkpoint():
        SeparationBrain._save_intra_epoch_ckpt = deadly(SeparationBrain._save_intra_epoch_ckpt, calls=1)
        run(arguments)

    assert in_fork(run_to_the_first_checkpoint)[0] == -signal.SIGKILL
    assert len(checkpoints(tmp_path / "run")) == 1
    run(arguments)
    log = (tmp_path / "run/log.txt").read_text()
    assert "Resuming after 0 complete epochs and 2 steps of the next" in log
    assert [point["epoch"] for point in learning_curve(tmp_path / "run/ledger.json")] == [1, 2]


@pytest.mark.parametrize("num_speakers", [3])
def test_any_number_of_speakers_without_a_branch(speech_folder, tmp_path, num_speakers, tiny):
    from speechbrain_tasnet.generate.mixing import make_mixtures

    second = 1 / 3600
    make_mixtures(
        speech_folder, tmp_path / "mix", num_speakers, 8000, 6 * second, 3 * second, 3 * second, workers=1
    )
    arguments = ["wsj0mix", "--data_folder", str(tmp_path / "mix"), "--num_spks", str(num_speakers), *tiny]
    folder = run([*arguments, "--number_of_epochs", "1", "--output_folder", str(tmp_path / "run")])
    separator = TasNetSeparation.from_hparams(source=str(folder / "pretrained"))
    assert separator.separate_batch(torch.randn(2, 801)).shape == (2, 801, num_speakers)


def test_options_of_the_toolkit_and_of_the_recipe(corpus, tmp_path, tiny):
    """bfloat16, gradient accumulation, loss threshold, speed perturbation, causal, no skip path."""
    arguments = ["wsj0mix", "--data_folder", str(corpus), "--output_folder", str(tmp_path), *tiny]
    arguments += [
        "--precision",
        "bf16",
        "--allow_slow_precision",
        "--grad_accumulation_factor",
        "2",
        "--loss_threshold",
        "-30",
        "--causal",
        "True",
    ]
    arguments[arguments.index("--Sc") + 1] = "0"
    arguments += ["--norm", "cumulative", "--speeds", "[0.9, 1.1]", "--mask_activation", "softmax"]
    folder = run([*arguments, "--number_of_epochs", "1", "--metrics", "[sdr, pesq, stoi]"])
    with open(folder / "test_results.csv", newline="") as file:
        assert {"pesq", "stoi"} <= set(next(csv.reader(file)))


def test_recipes_are_the_same_experiment(corpus, tmp_path, tiny):
    arguments = ["--data_folder", str(corpus), "--output_folder", str(tmp_path / "run"), *tiny]
    for script in ("train.py", "evaluate.py"):
        command = [sys.executable, str(ROOT / "recipes" / script), str(ROOT / "hparams/wsj0mix.yaml")]
        subprocess.run([*command, *arguments, "--debug", "--debug_persistently"], env=ENVIRONMENT, check=True)
    bad = subprocess.run([*command, "--data_folder", "nowhere"], capture_output=True, text=True, check=False)
    assert bad.returncode == 2
    assert (
        bad.stderr.strip().splitlines()[-1].startswith("evaluate.py: error: wsj0mix.yaml: data_folder='nowhere'")
    )
