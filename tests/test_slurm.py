"""On a real Slurm: jobs killed, a node drained, a training put back into the queue; nothing is lost."""

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile
import yaml
from slurm_cluster import NODES, in_short, missing_programs, slurm, until

from speechbrain_tasnet.cli import main

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(bool(missing_programs()), reason=f"not installed: {', '.join(missing_programs())}"),
]
pytest.importorskip("submitit", reason="pip install 'speechbrain-tasnet[cluster]'")

SCRIPTS = Path(__file__).parents[1] / "docs/slurm"
TASNET = [sys.executable, "-m", "speechbrain_tasnet.cli"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Two nodes of two processors; scripts find this environment's programs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        with slurm(tmp_path_factory.mktemp("slurm")) as cluster:
            yield cluster


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def batch(script: str, *words: str, options=(), environment=None) -> str:
    """Run one of the documentation's scripts to its end; returns what all its jobs print."""
    command = ["sbatch", "--wait", "--output=%x-%j.log", *options, str(SCRIPTS / script), *words]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | (environment or {}))
    said = "\n".join(path.read_text() for path in sorted(Path().glob("*.log")))
    assert done.returncode == 0, said + done.stderr
    return said


def tree(folder: str) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def check_same_sources(one: str, other: str, count: int) -> None:
    """Compare folders of sources: the same files, the same samples but for the rounding of float32."""
    names = [sorted(path.name for path in Path(out).glob("*.wav")) for out in (one, other)]
    assert names[0] == names[1]
    assert len(names[0]) == count
    for name in names[0]:
        samples = [soundfile.read(Path(out, name), dtype="int16")[0].astype(int) for out in (one, other)]
        assert np.abs(samples[0] - samples[1]).max() <= 1


@pytest.fixture
def talks(here):
    """Recordings that take some seconds each, and one that cannot be read."""
    Path("talks").mkdir()
    for number in range(10):
        samples = 0.1 * np.random.default_rng(number).standard_normal(60 * 8000)
        soundfile.write(f"talks/{number:02}.wav", samples, 8000)
    Path("talks/bad.wav").write_text("no audio")


def done(out: str) -> int:
    """Count the recordings that the journal says are separated."""
    with suppress(FileNotFoundError):
        return sum(path.read_text().count('"sources"') for path in Path(out).glob(".separated/.tasnet.journal-*"))
    return 0


def kill(job: str) -> None:
    """Kill the program of a job as the system does for want of memory: Slurm is not asked."""
    array, _, number = job.partition("_")
    own = {"SLURM_ARRAY_JOB_ID": array, "SLURM_ARRAY_TASK_ID": number}
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if "submitit.core._submit" in process.cmdline() and own.items() <= process.environ().items():
                found.append(process)
    for process in found:
        process.kill()
    assert found


def test_separation_survives_a_stop_a_kill_and_a_drained_node(cluster, talks, capsys):
    with pytest.raises(SystemExit):
        main(["separate", "talks", "--out", "alone"])
    alone = capsys.readouterr().out
    words = [*TASNET, "separate", "talks", "--out", "joined", "--launcher", "slurm", "--jobs", "4", "--cpus", "2"]

    def start():
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    first = start()  # asked to end, it takes its jobs with it
    until(lambda: done("joined") >= 1, "the first recording")
    first.send_signal(signal.SIGTERM)
    assert first.communicate()[0] == ""
    assert first.returncode == 143
    assert cluster.ask("squeue", "--noheader") == ""
    before = done("joined")
    assert before < 10

    second = start()
    until(lambda: done("joined") > before and cluster.running(NODES[0]), "some more")
    cluster.ask("scontrol", "update", f"nodename={NODES[1]}", "state=drain", "reason=test")
    killed = cluster.running(NODES[0])[0]
    kill(killed)
    said, errors = second.communicate()
    cluster.ask("scontrol", "update", f"nodename={NODES[1]}", "state=resume")
    assert second.returncode == 2
    assert re.search(rf"job {killed} ended early; submitted again", errors), errors
    assert "left out: talks/bad.wav" in errors
    assert "1 of 11 files were left out" in errors
    assert said == alone.replace("alone/", "joined/")
    check_same_sources("alone", "joined", 20)
    assert cluster.ask("squeue", "--noheader") == ""
    ended = [account for account in cluster.accounts() if account["Name"].startswith("tasnet-")]
    assert {"COMPLETED", "FAILED"} <= {account["JobState"] for account in ended}
    Path("accounting.md").write_text(in_short(ended))  # as docs/clusters.md shows it
    assert not Path("joined/.jobs").exists()


def test_a_job_array_without_submitit(cluster, talks, capsys):
    Path("list.txt").write_text("".join(f"talks/{number:02}.wav\n" for number in range(5)))
    main(["separate", "@list.txt", "--out", "alone"])
    batch("separate.sh", "list.txt", "--out", "joined", options=["--array=1-3"])
    check_same_sources("alone", "joined", 10)
    said = batch("separate.sh", "list.txt", "--out", "joined", options=["--array=1-3"])  # nothing is left to do
    assert "error" not in said


def test_a_corpus_made_by_a_job_that_submits_others(cluster, here, speech_folder):
    size = ["--hours", "0.02", "--valid-hours", "0.01", "--test-hours", "0.01"]
    words = ["mix", "--speech", str(speech_folder), *size]
    main([*words, "--out", "alone"])
    batch("launch.sh", *words, "--out", "joined", "--launcher", "slurm", "--jobs", "3")
    assert tree("alone") == tree("joined")
    assert {path.name for path in here.iterdir() if path.is_dir()} == {"alone", "joined"}


STUDY = {
    "recipe": "wsj0mix",
    "budget": "240 steps",
    "validations": 6,
    "threads": 1,
    "contestants": {"ours": {}, "wider": {"H": 24}, "other seed": {"seed": 3}},
}


def test_a_study_goes_on_where_a_job_was_cancelled(cluster, here, corpus, tiny):
    Path("tiny.yaml").write_text(yaml.safe_dump(STUDY, sort_keys=False))
    words = ["study", "tiny.yaml", "--data_folder", str(corpus), *tiny, "--output_folder"]
    main([*words, "alone"])
    words += ["joined", "--launcher", "slurm", "--jobs", "3"]
    study = subprocess.Popen([*TASNET, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: Path("joined/ours/ledger.json").exists(), "the first validation")
    [cancelled] = [job for job in cluster.running() if job.endswith("_0")]
    cluster.ask("scancel", cancelled)
    _, errors = study.communicate()
    assert study.returncode == 0, errors
    assert f"job {cancelled} ended early; submitted again" in errors
    for name in STUDY["contestants"]:
        alone, joined = (
            json.loads(Path(folder, name, "test_results.json").read_text()) for folder in ("alone", "joined")
        )
        assert joined["metrics"]["si-snr_i"] == alone["metrics"]["si-snr_i"], name
    assert Path("joined/report.html").exists()


def test_a_training_of_two_nodes_saves_and_comes_again(cluster, here, corpus, tiny):
    words = ["wsj0mix", "--data_folder", str(corpus), "--output_folder", "run", *tiny]
    words += ["--number_of_epochs", "30", "--distributed_backend", "gloo"]
    # Here nobody knows the names of the nodes.
    environment = os.environ | {"MASTER_ADDR": "127.0.0.1", "PET_LOCAL_ADDR": "127.0.0.1"}
    environment |= {"GLOO_SOCKET_IFNAME": "lo"}
    options = ["--nodes=2", "--cpus-per-task=1", "--output=train.log", "--parsable"]
    command = ["sbatch", *options, str(SCRIPTS / "train.sh"), *words]
    job = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.strip()
    log = Path("run/train_log.txt")
    until(lambda: log.exists() and "epoch: 3" in log.read_text(), "three epochs")
    cluster.ask("scancel", "--batch", "--signal=USR1", job)  # as Slurm does before the time is over
    until(lambda: cluster.ask("squeue", "--noheader", "--states=PENDING", "--job", job), "the job in the queue")
    cluster.ask("scontrol", "update", f"jobid={job}", "starttime=now")  # Slurm waits some minutes
    until(lambda: not cluster.ask("squeue", "--noheader", "--job", job), "the end of the training")
    before, resumed, after = Path("train.log").read_text().partition("Resuming after ")
    assert "the training saves a checkpoint and is requeued" in before
    assert resumed
    assert after.startswith(f"{before.count('train_logger - epoch: ')} complete epochs")
    assert "Restarts=1" in cluster.ask("scontrol", "show", "job", job)
    epochs = re.findall(r"^epoch: (\d+)", log.read_text(), re.MULTILINE)
    assert epochs == [str(number) for number in range(1, 31)]
    assert Path("run/report.html").exists()
