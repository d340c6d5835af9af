"""A separation that was stopped goes on: what is done stays, what was half done is done again."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from speechbrain_tasnet import Decoder, Encoder, MaskNet
from speechbrain_tasnet.bundle import save_bundle
from speechbrain_tasnet.cli import main
from speechbrain_tasnet.separation.journal import Journal
from speechbrain_tasnet.separation.options import SeparationOptions
from speechbrain_tasnet.separation.output_files import Destination


@pytest.fixture
def talks(tmp_path, monkeypatch):
    """Four recordings and a separator, in the current folder."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    modules = {"encoder": Encoder(8, 4), "masknet": MaskNet(8, 4, 8, 4, X=2, R=1), "decoder": Decoder(8, 4)}
    save_bundle("model", modules, 8000)
    Path("talks").mkdir()
    for number in range(4):
        samples = 0.1 * np.random.default_rng(number).standard_normal(8000)
        soundfile.write(f"talks/{number}.wav", samples, 8000)
    return tmp_path


def separate(*words):
    main(["separate", "talks", "--model", "model", "--out", "out", *words])


def contents(folder="out"):
    return {path.name: path.read_bytes() for path in Path(folder).glob("*.wav")}


class Killed(BaseException):
    pass


def kill_at(monkeypatch, count):
    """Let the process die after so many files, as a kill would: between the sources of a mixture."""
    left = iter(range(count))
    replace = Path.replace

    def replace_some(path, target):
        if next(left, None) is None:
            raise Killed
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", replace_some)


def test_what_a_killed_run_left_is_completed(talks, monkeypatch, capsys):
    separate("--resume")
    whole = contents()
    told = capsys.readouterr().out
    assert len(whole) == 8
    Path("out").rename("before")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_at(patch, 4)  # the options, two sources and one more
        separate("--resume")
    capsys.readouterr()
    assert len(contents()) == 3
    done = sorted(path.name for path in Path("out").glob("0_*.wav"))
    stamps = [os.stat(Path("out") / name).st_mtime_ns for name in done]
    separate("--resume")
    assert contents() == whole
    assert [os.stat(Path("out") / name).st_mtime_ns for name in done] == stamps
    assert capsys.readouterr().out == told


def test_done_is_done_until_something_changes(talks, monkeypatch):
    separate("--resume")
    begun = []
    monkeypatch.setattr(Journal, "begin", lambda self, mixture: begun.append(mixture.name))
    separate("--resume")
    assert begun == []
    soundfile.write("talks/1.wav", np.zeros(4000), 8000)
    Path("out/3_s2.wav").unlink()
    soundfile.write("talks/new.wav", 0.1 * np.ones(800), 8000)
    separate("--resume")
    assert begun == ["1.wav", "3.wav", "new.wav"]
    assert soundfile.info("out/1_s1.wav").frames == 4000
    assert len(contents()) == 10


def test_files_of_others_are_not_touched(talks, capsys):
    Path("out").mkdir()
    Path("out/2_s1.wav").write_text("precious")
    with pytest.raises(SystemExit):
        separate("--resume")
    assert "out/2_s1.wav: already exists" in capsys.readouterr().err
    assert [path.name for path in Path("out").iterdir()] == ["2_s1.wav"]


def test_a_run_with_other_options_is_refused(talks, capsys):
    separate("--resume")
    with pytest.raises(SystemExit):
        separate("--resume", "--scale", "peak")
    assert "separated with other options" in capsys.readouterr().err


def test_a_line_that_was_cut_off_counts_for_nothing(talks):
    separate("--resume")
    [journal] = Path("out/.separated").glob(".tasnet.journal-*")
    text = journal.read_text()
    journal.write_text(text[:-3])
    found = Journal("model", Destination("out"), SeparationOptions())
    assert [bool(found.done(Path(f"talks/{number}.wav"))) for number in range(4)] == [True, True, True, False]
    assert found.knows(Path("talks/3.wav"))


def test_a_bad_file_is_tried_again(talks, capsys):
    Path("talks/2.wav").write_text("no audio")
    for _ in range(2):
        with pytest.raises(SystemExit):
            separate("--resume")
        assert "1 of 4 files were left out" in capsys.readouterr().err
    soundfile.write("talks/2.wav", 0.1 * np.ones(800), 8000)
    separate("--resume")
    assert len(contents()) == 8


def test_a_pipe_is_refused(talks, capsys):
    os.mkfifo("pipe.wav")
    with pytest.raises(SystemExit):
        main(["separate", "pipe.wav", "--model", "model", "--out", "out", "--resume"])
    assert "cannot be read a second time" in capsys.readouterr().err


def test_the_journal_is_part_of_no_recordings(talks):
    main(["separate", "talks", "--model", "model", "--out", "talks/out", "--resume"])
    main(["separate", "talks", "--model", "model", "--out", "talks/out", "--resume"])
    assert len(contents("talks/out")) == 8
