"""Two real processes under torchrun hold one model, and it is that of one process with the same global batch."""

import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone"]
TORCHRUN += ["--local_addr=127.0.0.1"]  # a machine may not know its own name

# Everything in float64, where sums in another order differ little. Weights are kept before a checkpoint could make
# them alike; what each process mixed and validated is told.
TRAIN = """
import json, os, sys, torch
torch.set_default_dtype(torch.float64)
from speechbrain_tasnet.experiment import workflow as experiment
out, rank = sys.argv[1], os.environ.get("RANK", "0")
seen = {"TRAIN": [], "VALID": [], "TEST": []}
class Brain(experiment.SeparationBrain):
    def compute_forward(self, batch, stage):
        for name in ("mixture", "sources"):
            signals = getattr(batch, name)
            setattr(batch, name, signals._replace(data=signals.data.double()))
        return super().compute_forward(batch, stage)
    def compute_objectives(self, predictions, batch, stage):
        seen[stage.name] += batch.id
        return super().compute_objectives(predictions, batch, stage)
    def on_stage_end(self, stage, *rest):
        super().on_stage_end(stage, *rest)
        if stage.name == "TRAIN":
            torch.save(self.modules.state_dict(), f"{out}/{rank}.pt")
        json.dump(seen, open(f"{out}/{rank}.json", "w"))
experiment.SeparationBrain = Brain
experiment.run(sys.argv[2:])
"""


def train(folder, command, *words):
    """Train for an epoch; returns the weights and the ids seen of each process."""
    folder.mkdir()
    script = folder / "train.py"
    script.write_text(TRAIN)
    arguments = [*command, str(script), str(folder), *words, "--output_folder", str(folder / "run")]
    done = subprocess.run(arguments, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ranks = range(2 if command is TORCHRUN else 1)
    weights = [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in ranks]
    return [plain(w) for w in weights], [json.loads((folder / f"{rank}.json").read_text()) for rank in ranks]


def plain(weights):
    """Drop the prefix of the wrapper for distributed training."""
    return {name.replace(".module.", "."): value for name, value in weights.items()}


@pytest.fixture(scope="module")
def words(corpus, speech_folder, tiny):
    words = ["wsj0mix", "--data_folder", str(corpus), *tiny, "--number_of_epochs", "1", "--epoch_items", "24"]
    return [*words, "--speech_folder", str(speech_folder), "--distributed_backend", "gloo"]


@pytest.mark.parametrize("budget", [None, pytest.param("1e8 macs", marks=pytest.mark.long)])
def test_two_processes_train_the_weights_of_one(words, tmp_path, budget):
    # A budget is spent in two parts of one stream.
    words = words if budget is None else [*words, "--budget", budget, "--number_of_epochs", "2"]
    (one, other), shared = train(tmp_path / "two", TORCHRUN, *words)
    words = [*words, "--batch_size", "4"]
    (alone,), (seen,) = train(tmp_path / "one", [sys.executable], *words)
    for name, value in one.items():
        assert torch.equal(value, other[name]), name
        torch.testing.assert_close(value, alone[name], rtol=1e-5, atol=1e-9)
    for stage, ids in seen.items():
        parts = shared[0][stage] + shared[1][stage]
        assert sorted(parts) == sorted(ids), stage  # all of them, none twice
    scores = [json.loads((tmp_path / name / "run/test_results.json").read_text()) for name in ("one", "two")]
    single, together = (score["metrics"]["si-snr"]["mean"] for score in scores)
    assert together == pytest.approx(single, abs=1e-5)
    logs = [(tmp_path / name / "run/train_log.txt").read_text() for name in ("one", "two")]
    assert logs[0].split("valid")[1].split("epoch")[0] == logs[1].split("valid")[1].split("epoch")[0]
    assert (tmp_path / "two/run/report.html").exists()
    spent = [json.loads((tmp_path / name / "run/ledger.json").read_text()) for name in ("one", "two")]
    assert spent[0]["steps"] == spent[1]["steps"] >= 6
    assert spent[0]["audio"] == pytest.approx(spent[1]["audio"])


def test_two_processes_agree_on_the_minutes_that_are_spent(words, tmp_path):
    (one, other), _ = train(tmp_path / "run", TORCHRUN, *words, "--budget", "0.02 minutes")
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    spent = json.loads((tmp_path / "run/run/ledger.json").read_text())
    assert spent["items"] == 4 * spent["steps"] > 4


# In the second epoch one process asks for the end of itself alone, or of torchrun, which passes it on.
SIGNALLED = """
import os, signal, sys
from speechbrain_tasnet.experiment import workflow as experiment
whose, out = sys.argv[1:3]
class Brain(experiment.SeparationBrain):
    def compute_objectives(self, predictions, batch, stage):
        if stage.name == "TRAIN" and self.hparams.epoch_counter.current == 2 and self.step == 2:
            if whose == "own" and os.environ["RANK"] == "1":
                os.kill(os.getpid(), signal.SIGTERM)
            if whose == "torchrun":
                come, told = os.pipe()
                os.set_blocking(told, False)
                signal.set_wakeup_fd(told)
                if os.environ["RANK"] == "0":
                    os.kill(os.getppid(), signal.SIGTERM)
                os.read(come, 1)  # until the signal has come, no step is taken
        return super().compute_objectives(predictions, batch, stage)
experiment.SeparationBrain = Brain
try:
    experiment.run(sys.argv[3:])
except SystemExit as end:
    open(f"{out}/status{os.environ['RANK']}", "w").write(str(end.code))
    raise
"""


@pytest.fixture(scope="module")
def two_epochs(words):
    """Arguments of a distributed run of two epochs of six steps."""
    return [
        *words[: words.index("--number_of_epochs")],
        "--number_of_epochs",
        "2",
        *words[words.index("--epoch_items") :],
    ]


def run_signalled(folder, whose, words):
    """Train under torchrun; returns it."""
    folder.mkdir(exist_ok=True)
    script = folder / "train.py"
    script.write_text(SIGNALLED)
    command = [*TORCHRUN, str(script), whose, str(folder), *words, "--output_folder", str(folder / "run")]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def unbroken(two_epochs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    assert run_signalled(folder, "nobody's", two_epochs).returncode == 0
    return load_file(folder / "run/pretrained/model.safetensors")


@pytest.mark.long
@pytest.mark.parametrize("whose", ["own", "torchrun"])
def test_a_signal_to_one_saves_once_and_ends_all(two_epochs, unbroken, tmp_path, whose):
    ended = run_signalled(tmp_path, whose, two_epochs)
    assert ended.returncode != 0, ended.stderr
    assert {(tmp_path / f"status{rank}").read_text() for rank in (0, 1)} == {"143"}
    log = (tmp_path / "run/log.txt").read_text()
    assert log.count("Asked to end: saved a checkpoint after 2 steps of the epoch") == 1
    again = run_signalled(tmp_path, "nobody's", two_epochs)
    assert again.returncode == 0, again.stderr
    assert "Resuming after 1 complete epochs and 2 steps of the next" in (tmp_path / "run/log.txt").read_text()
    resumed = load_file(tmp_path / "run/pretrained/model.safetensors")
    assert all(torch.equal(resumed[name], value) for name, value in unbroken.items())
