"""Work in jobs, here in processes of this machine: joined in order, wrong input told, what is lost done again."""

import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speechbrain_tasnet.cli import main
from speechbrain_tasnet.cluster.launcher import JobLauncher
from speechbrain_tasnet.cluster.request import JobRequest, sbatch_options
from speechbrain_tasnet.errors import InputError, UnfinishedError, whole_number
from speechbrain_tasnet.system.parallel import in_parallel

pytest.importorskip("submitit", reason="pip install 'speechbrain-tasnet[cluster]'")


@pytest.fixture
def launch(tmp_path):
    """Share tasks out to processes, each of which calls a function for its own."""

    def launch(function, tasks, jobs=2, **more):
        launcher = JobLauncher(JobRequest("local", jobs=jobs, **more), tmp_path / ".jobs")
        return in_parallel(function, tasks, launcher, "testing")

    return launch


def test_results_come_in_the_order_of_the_tasks(launch, tmp_path):
    assert launch(abs, range(0, -7, -1), jobs=3) == list(range(7))
    assert launch(abs, [-1], jobs=3) == [1]
    assert launch(abs, []) == []
    assert list(tmp_path.iterdir()) == []


def test_wrong_input_is_told_as_without_jobs(launch, tmp_path):
    with pytest.raises(InputError, match="size=0: expected a whole number of at least 1"):
        launch(partial(whole_number, "size"), [3, 2, 1, 0])
    assert list(tmp_path.iterdir()) == []


def test_a_defect_shows_its_traceback_and_leaves_the_output(launch, tmp_path):
    with pytest.raises(Exception, match=r"in do_share(.|\n)*ZeroDivisionError"):
        launch(partial(divmod, 1), [1, 0])
    assert list((tmp_path / ".jobs").glob("*_log.err"))


def test_a_job_that_is_killed_is_submitted_again(launch, tmp_path, capsys):
    mark = tmp_path / "mark"
    kill = f"echo >> {mark}; test $(wc -l < {mark}) -eq 2 || kill -9 $PPID"
    assert launch(os.system, ["exit 1", kill, "exit 2"]) == [256, 0, 512]
    assert mark.read_text() == "\n\n"
    assert capsys.readouterr().err.count("ended early; submitted again") == 1


def test_one_that_is_always_killed_is_given_up(launch, tmp_path):
    mark = tmp_path / "mark"
    with pytest.raises(UnfinishedError, match=r"ended early 2 times; see \S+_log\.err, give"):
        launch(os.system, [f"echo >> {mark}; kill -9 $PPID"], attempts=2)
    assert mark.read_text() == "\n\n"
    assert (tmp_path / ".jobs").is_dir()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "pbs"}, "launcher='pbs'"),
        ({"jobs": 0}, "jobs=0"),
        ({"cpus": 0}, "cpus=0"),
        ({"minutes": 4}, "minutes=4"),
        ({"sbatch": {"signal": "TERM@5"}}, "sbatch option signal"),
    ],
)
def test_what_nobody_can_submit_is_refused(values, message):
    with pytest.raises(InputError, match=message):
        JobRequest(**({"kind": "slurm"} | values))


@pytest.mark.parametrize("word", ["", "=8G", "--", "-p x", "mem 8G"])
def test_options_of_sbatch_have_names(word):
    with pytest.raises(InputError, match="expected a long option of sbatch"):
        sbatch_options([word])


def test_without_slurm_it_is_said_at_once(tmp_path, monkeypatch, capsys):
    soundfile.write(tmp_path / "talk.wav", np.zeros(800), 8000)
    monkeypatch.setenv("PATH", str(tmp_path))
    words = ["separate", str(tmp_path / "talk.wav"), "--out", str(tmp_path / "out"), "--launcher", "slurm"]
    with pytest.raises(SystemExit):
        main(words)
    assert "no sbatch on this machine" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*words, "--workers", "2"])
    assert "set their number with --cpus" in capsys.readouterr().err


def tree(folder):
    return {path.relative_to(folder): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


@pytest.mark.long
def test_commands_give_the_same_in_jobs(speech_folder, trained, corpus, tmp_path, capsys):
    jobs = ["--launcher", "local", "--jobs", "2"]
    size = ["--hours", "0.005", "--valid-hours", "0.002", "--test-hours", "0.002"]
    for name, more in (("alone", []), ("shared", jobs)):
        main(["mix", "--speech", str(speech_folder), "--out", str(tmp_path / name), *size, *more])
    assert tree(tmp_path / "alone") == tree(tmp_path / "shared")
    mixtures = [str(path) for path in sorted(corpus.glob("wav8k/min/tt/mix/*.wav"))]
    (tmp_path / "bad.wav").write_text("no audio")
    printed = []
    for name, more in (("one", []), ("two", jobs)):
        capsys.readouterr()
        words = ["separate", *mixtures, str(tmp_path / "bad.wav"), "--model", str(trained)]
        with pytest.raises(SystemExit) as end:
            main([*words, "--out", str(tmp_path / name), *more])
        assert end.value.code == 2
        told = capsys.readouterr()
        assert "bad.wav" in told.err
        assert f"1 of {len(mixtures) + 1} files were left out" in told.err
        printed.append(told.out.replace(name, ""))
    assert printed[0] == printed[1]
    files = [
        {name: data for name, data in tree(tmp_path / x).items() if name.suffix == ".wav"} for x in ("one", "two")
    ]
    assert files[0].keys() == files[1].keys()
    for name in files[0]:
        one, two = (soundfile.read(tmp_path / x / name, dtype="int16")[0].astype(int) for x in ("one", "two"))
        assert np.abs(one - two).max() <= 1  # the rounding of float32
