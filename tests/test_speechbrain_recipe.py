"""SpeechBrain's own recipe script, unmodified, trains our modules by a YAML file of ours.

SPEECHBRAIN_RECIPES=.../speechbrain/recipes python -m pytest -m long tests/test_speechbrain_recipe.py
"""

import csv
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from corpora import write_wsj0mix
from hyperpyyaml import load_hyperpyyaml

YAML = Path(__file__).parents[1] / "recipes/wsj0mix/speechbrain.yaml"
SCRIPT = Path(os.environ.get("SPEECHBRAIN_RECIPES", "nowhere")) / "WSJ0Mix/separation/train.py"

# As small as the tiny recipe of the other tests; overrides reach plain keys alone.
SIZES = {"N: 512, L: 16": "N: 16, L: 16", "N: 512, B: 128, H: 512, Sc: 128": "N: 16, B: 8, H: 16, Sc: 8"}


def test_it_builds_what_the_script_asks_for(tmp_path):
    with YAML.open(encoding="utf-8") as file:
        hparams = load_hyperpyyaml(file, {"data_folder": "x", "output_folder": str(tmp_path)})
    assert sum(p.numel() for module in hparams["modules"].values() for p in module.parameters()) == 4_984_881
    for name in ("Encoder", "MaskNet", "Decoder"):
        assert hparams[name] is hparams["modules"][name.lower()]


@pytest.mark.long
@pytest.mark.skipif(not SCRIPT.is_file(), reason="SPEECHBRAIN_RECIPES names no recipes of SpeechBrain")
def test_the_script_trains_and_scores_our_modules(corpus, tmp_path):
    root = write_wsj0mix(tmp_path / "wsj0-mix/2speakers", corpus)
    text = YAML.read_text(encoding="utf-8")
    for paper, small in SIZES.items():
        text = text.replace(paper, small)
    recipe = tmp_path / "small.yaml"
    recipe.write_text(text, encoding="utf-8")
    out = tmp_path / "run"
    words = ["--data_folder", str(root), "--output_folder", str(out), "--N_epochs", "2", "--device", "cpu"]
    done = subprocess.run(
        [sys.executable, SCRIPT.name, str(recipe), *words, "--training_signal_len", "4000"],
        cwd=SCRIPT.parent,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    log = (out / "train_log.txt").read_text()
    assert "epoch: 2" in log
    with open(out / "test_results.csv", newline="") as file:
        scores = {row["snt_id"]: float(row["si-snr"]) for row in csv.DictReader(file)}
    assert math.isfinite(scores["avg"])
