"""Whatever stops a training, it goes on from a whole checkpoint, to the same weights."""

import os
import shutil
import signal

import pytest
import torch
from forked import in_fork
from safetensors.torch import load_file

from speechbrain_tasnet.errors import DiskError, InputError
from speechbrain_tasnet.experiment.workflow import run
from speechbrain_tasnet.training import checkpoints
from speechbrain_tasnet.training.brain import SeparationBrain
from speechbrain_tasnet.training.checkpoints import UNFINISHED, WholeCheckpointer
from speechbrain_tasnet.training.loggers import TrainLogs


@pytest.fixture
def layer():
    return torch.nn.Linear(3, 2)


def test_a_checkpoint_gets_its_name_when_it_is_complete(tmp_path, layer):
    checkpointer = WholeCheckpointer(tmp_path, {"layer": layer})
    first = checkpointer.save_checkpoint()

    def end_while_it_writes():
        torch.save = lambda *_: os._exit(9)
        checkpointer.save_checkpoint()

    assert in_fork(end_while_it_writes)[0] == 9
    assert next(folder.name for folder in tmp_path.iterdir() if folder != first.path).startswith(UNFINISHED)
    assert [found.path for found in checkpointer.list_checkpoints()] == [first.path]
    second = checkpointer.save_checkpoint()
    assert set(tmp_path.iterdir()) == {first.path, second.path}
    assert second.paramfiles["layer"].exists()


def test_what_a_killed_deletion_left_goes(tmp_path, layer):
    checkpointer = WholeCheckpointer(tmp_path, {"layer": layer})
    (checkpointer.save_checkpoint().path / "CKPT.yaml").unlink()
    kept = checkpointer.save_checkpoint(name="mine")
    assert list(tmp_path.iterdir()) == [kept.path]


def empty(file):
    file.write_bytes(b"")


def remove(file):
    file.unlink()


def cut(file):
    file.write_bytes(file.read_bytes()[:-1])


def forget_sizes(folder):
    """Make it a checkpoint of an earlier version."""
    (folder / "sizes.json").unlink()


DAMAGES = [("layer.ckpt", spoil, version) for spoil in (empty, remove, cut) for version in ("this", "earlier")]
DAMAGES += [("CKPT.yaml", spoil, version) for spoil in (empty, remove) for version in ("this", "earlier")]
DAMAGES += [("CKPT.yaml", cut, "this"), ("sizes.json", empty, "this")]


@pytest.mark.parametrize(("name", "spoil", "version"), DAMAGES)
def test_a_damaged_checkpoint_is_one_line_and_the_one_before_is_used(
    tmp_path, layer, spoil, name, version, caplog
):
    checkpointer = WholeCheckpointer(tmp_path, {"layer": layer})
    first = checkpointer.save_checkpoint(meta={"unixtime": 1})
    weight = layer.weight.clone()
    with torch.no_grad():
        layer.weight.zero_()
    second = checkpointer.save_checkpoint(meta={"unixtime": 2})
    if version == "earlier":
        forget_sizes(first.path)
        forget_sizes(second.path)
    spoil(second.path / name)
    with caplog.at_level("WARNING"):
        again = WholeCheckpointer(tmp_path, {"layer": layer})
        assert again.recover_if_possible().path == again.find_checkpoint().path == first.path
    assert torch.equal(layer.weight, weight)
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    told = [record.getMessage() for record in warnings if str(second.path) in record.getMessage()]
    assert len(told) == (not (name == "CKPT.yaml" and spoil is remove))
    assert all("restore the file or delete the folder" in line and "\n" not in line for line in told)
    spoil(first.path / "layer.ckpt")
    with pytest.raises(InputError, match=rf"{name} .*no other checkpoint is whole; restore .*begin") as caught:
        WholeCheckpointer(tmp_path, {"layer": layer}).find_checkpoint()
    assert "\n" not in str(caught.value)


def test_a_run_goes_on_from_the_checkpoint_before(corpus, tiny, tmp_path, monkeypatch):
    words = ["wsj0mix", "--data_folder", str(corpus), *tiny, "--output_folder", str(tmp_path / "run")]
    run([*words, "--number_of_epochs", "1"])
    whole = set((tmp_path / "run/save").glob("CKPT+*"))
    run([*words, "--number_of_epochs", "2"])
    (newest,) = sorted(set((tmp_path / "run/save").glob("CKPT+*")) - whole)[-1:]
    shutil.copytree(newest, tmp_path / "run/save/CKPT+9999-later")
    empty(tmp_path / "run/save/CKPT+9999-later/optimizer.ckpt")
    warnings = []
    monkeypatch.setattr(checkpoints.logger, "warning", lambda text, *values: warnings.append(text % values))
    run([*words, "--number_of_epochs", "3"])
    (warning,) = warnings
    assert "CKPT+9999-later: optimizer.ckpt is empty; it is not used" in warning
    log = (tmp_path / "run/log.txt").read_text()
    assert "Resuming after 2 complete epochs" in log
    for folder in (tmp_path / "run/save").glob("CKPT+*"):
        empty(folder / "masknet.ckpt")
    with pytest.raises(InputError, match=r"masknet\.ckpt is empty, and no other checkpoint is whole"):
        run([*words, "--number_of_epochs", "4"])


@pytest.mark.parametrize("why", [OSError(28, "No space left on device"), RuntimeError("inline_container.cc:672")])
def test_a_full_disk_is_one_line_and_costs_nothing(tmp_path, layer, monkeypatch, why):
    checkpointer = WholeCheckpointer(tmp_path, {"layer": layer})
    first = checkpointer.save_checkpoint()

    def fail(*_):
        raise why

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(DiskError, match=r"cannot be written .*those before it are sound"):
        checkpointer.save_checkpoint()
    assert list(tmp_path.iterdir()) == [first.path]


def test_other_errors_are_not_the_disks(tmp_path, layer, monkeypatch):
    def fail(*_):
        raise RuntimeError("a defect")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(RuntimeError, match="a defect"):
        WholeCheckpointer(tmp_path, {"layer": layer}).save_checkpoint()


def run_and_signal(words, when, steps, group=False):
    """Train until asked to end: at a step of a stage in the second epoch, or when the first has been LOGGED."""
    if group:
        os.setpgid(0, 0)

    def ask():
        (os.killpg if group else os.kill)(os.getpid(), signal.SIGTERM)

    compute, log = SeparationBrain.compute_objectives, TrainLogs.log_stats

    def compute_and_signal(self, predictions, batch, stage):
        if stage.name == when and self.hparams.epoch_counter.current == 2 and self.step == steps:
            ask()
        return compute(self, predictions, batch, stage)

    def log_and_signal(self, stats, *arguments, **more):
        log(self, stats, *arguments, **more)
        if when == "LOGGED" and stats.get("epoch") == 1:
            ask()

    SeparationBrain.compute_objectives, TrainLogs.log_stats = compute_and_signal, log_and_signal
    run(words)


@pytest.fixture(scope="module")
def dynamic(corpus, speech_folder, tiny):
    """Arguments of a run with dynamic mixing, of two epochs of four steps."""
    words = ["wsj0mix", "--data_folder", str(corpus), "--speech_folder", str(speech_folder), *tiny]
    return [*words, "--epoch_items", "8", "--number_of_epochs", "2"]


@pytest.fixture(scope="module")
def unbroken(dynamic, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    run([*dynamic, "--output_folder", str(folder)])
    return load_file(folder / "pretrained/model.safetensors")


@pytest.mark.parametrize(("stage", "steps", "taken"), [("TRAIN", 2, 2), ("VALID", 2, 4), ("LOGGED", 0, 0)])
def test_a_signal_saves_and_the_run_ends_with_the_same_weights(dynamic, unbroken, tmp_path, stage, steps, taken):
    arguments = [*dynamic, "--output_folder", str(tmp_path / "run")]
    status, errors = in_fork(lambda: run_and_signal(arguments, stage, steps))
    assert status == 143, errors
    assert "Traceback" not in errors
    run(arguments)
    log = (tmp_path / "run/log.txt").read_text()
    assert f"Resuming after 1 complete epochs and {taken} steps of the next" in log
    resumed = load_file(tmp_path / "run/pretrained/model.safetensors")
    assert all(torch.equal(resumed[name], value) for name, value in unbroken.items())
    shutil.rmtree(tmp_path / "run")


def test_a_signal_to_all_processes_of_a_job_leaves_those_that_load(dynamic, unbroken, tmp_path):
    """Slurm sends it to them, too; without them the training could not go on to its checkpoint."""
    arguments = [*dynamic, "--output_folder", str(tmp_path / "run"), "--num_workers", "2"]
    status, errors = in_fork(lambda: run_and_signal(arguments, "TRAIN", 2, group=True))
    assert status == 143, errors
    run(arguments)
    assert "Resuming after 1 complete epochs and 2 steps" in (tmp_path / "run/log.txt").read_text()
    resumed = load_file(tmp_path / "run/pretrained/model.safetensors")
    assert all(torch.equal(resumed[name], value) for name, value in unbroken.items())
