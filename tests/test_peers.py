"""Networks of other toolkits train in every recipe, and do what they do at home."""

import json
import shlex

import pytest

from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.experiment import run


def test_a_run_of_another_network_goes_on_and_is_evaluated_from_its_folder(corpus, tmp_path):
    folder = tmp_path / "run"
    sizes = "--N 16 --channels 8 --hidden_channels 8 --chunk 20 --repeats 1"
    words = f"--model dprnn --batch_size 2 --segment 0.5 --num_workers 0 --noprogressbar --device cpu {sizes}"
    words += f" --data_folder {corpus} --number_of_epochs"
    run(["demo", "--output_folder", str(folder), *shlex.split(words), "1"])
    assert "No bundle" in (folder / "log.txt").read_text()
    assert not (folder / "pretrained").exists()
    assert "hidden_channels 8" in (folder / "report.html").read_text()
    first = json.loads((folder / "test_results.json").read_text())["metrics"]["si-snr"]["mean"]
    run([str(folder), "--noprogressbar"], evaluate_only=True)
    assert json.loads((folder / "test_results.json").read_text())["metrics"]["si-snr"]["mean"] == first
    run(["demo", "--output_folder", str(folder), *shlex.split(words), "2"])
    assert "epoch: 2" in (folder / "train_log.txt").read_text()
    with pytest.raises(InputError, match="only a Conv-TasNet of this package"):
        run(
            [
                "demo",
                "--output_folder",
                str(tmp_path / "new"),
                "--pretrained",
                str(folder),
                *shlex.split(words),
                "1",
            ]
        )
