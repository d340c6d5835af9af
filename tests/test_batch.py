"""Many recordings: what can be refused is refused before work starts; one bad file does not stop the others."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from forked import in_fork, limit_files, tasnet

from speechbrain_tasnet.cli import main
from speechbrain_tasnet.errors import DiskError, InputError
from speechbrain_tasnet.separation import mixtures
from speechbrain_tasnet.separation.batch_report import JsonLines
from speechbrain_tasnet.separation.many_files import separate_files
from speechbrain_tasnet.separation.mixtures import find_mixtures
from speechbrain_tasnet.separation.options import SeparationOptions
from speechbrain_tasnet.separation.output_files import WAV, AudioFormat, Destination


class Halves:
    """A model without a network, which counts its calls."""

    def __init__(self):
        self.hparams, self.calls = SimpleNamespace(sample_rate=8000, num_spks=2), 0

    def separate_batch(self, mix):
        self.calls += 1
        return torch.stack([mix / 2, mix / 2], dim=2)


def write(path, samples=800):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(samples), 8000)
    return path


def separate(mixtures, out, overwrite=False, kind=WAV, model=None):
    separate_files(model or Halves(), mixtures, Destination(out, overwrite, kind), SeparationOptions())


def refused(mixtures, out, *words, error=InputError, **options):
    """Check that nothing is separated, and that one line tells why."""
    model = Halves()
    before = sorted(out.parent.rglob("*"))
    with pytest.raises(error) as caught:
        separate(mixtures, out, model=model, **options)
    assert all(str(word) in str(caught.value) for word in words)
    assert "\n" not in str(caught.value)
    assert model.calls == 0
    assert sorted(out.parent.rglob("*")) == before


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_all_files_and_their_names(tmp_path, capsys):
    separate([write(tmp_path / "a/x.wav"), write(tmp_path / "b/y.flac")], tmp_path / "out")
    assert names(tmp_path / "out") == ["x_s1.wav", "x_s2.wav", "y_s1.wav", "y_s2.wav"]
    printed = capsys.readouterr().out.splitlines()
    assert printed == [str(tmp_path / "out" / name) for name in names(tmp_path / "out")]


@pytest.mark.parametrize("other", ["b/x.wav", "a/x.flac", "a/x.wav"])
def test_files_of_one_name_are_not_confused(tmp_path, other):
    first, second = write(tmp_path / "a/x.wav"), write(tmp_path / other)
    refused([first, second], tmp_path / "out", f"{first} and {second}", overwrite=True)


def test_files_that_are_there_are_kept_unless_told(tmp_path):
    mixtures = [write(tmp_path / "x.wav"), write(tmp_path / "y.wav")]
    write(tmp_path / "out/y_s2.wav", 5)
    refused(mixtures, tmp_path / "out", "y_s2.wav", "--overwrite")
    separate(mixtures, tmp_path / "out", overwrite=True)
    assert soundfile.info(tmp_path / "out/y_s2.wav").frames == 800


def test_a_mixture_is_never_replaced(tmp_path):
    mixtures = [write(tmp_path / "x.wav"), write(tmp_path / "x_s1.wav")]
    refused(mixtures, tmp_path, "x_s1.wav: a mixture", overwrite=True)


def test_too_little_space(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=800 * 2 * (2 + 4) - 1))
    refused([write(tmp_path / "x.wav")], tmp_path / "out", "needed", error=DiskError)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=800 * 2 * (2 + 4)))
    separate([tmp_path / "x.wav"], tmp_path / "out")


def test_out_is_a_file(tmp_path):
    out = write(tmp_path / "taken.wav")
    refused([write(tmp_path / "x.wav")], out, "taken.wav", "--out", error=DiskError)
    refused([write(tmp_path / "x.wav")], out / "deeper", "taken.wav", "--out", error=DiskError)


def test_a_bad_file_among_many_is_told_and_left_out(tmp_path, capsys):
    (tmp_path / "text.wav").write_text("no audio")
    soundfile.write(tmp_path / "nan.wav", np.full(800, np.nan), 8000, "FLOAT")
    mixtures = [tmp_path / name for name in ("text.wav", "nan.wav", "gone.wav")]
    with pytest.raises(InputError, match="3 of 5 files were left out"):
        separate([write(tmp_path / "x.wav"), *mixtures, write(tmp_path / "y.wav")], tmp_path / "out")
    assert names(tmp_path / "out") == ["x_s1.wav", "x_s2.wav", "y_s1.wav", "y_s2.wav"]
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 3
    for mixture in mixtures:
        assert any(line.startswith("tasnet: left out: ") and str(mixture) in line for line in told)


def test_a_bad_file_alone_is_the_error(tmp_path):
    refused([tmp_path / "gone.wav"], tmp_path / "out", "gone.wav", "no such file")
    refused([tmp_path], tmp_path / "out", "a folder", "expected an audio file")


def test_a_full_disk_ends_the_batch(tmp_path):
    mixtures = [write(tmp_path / "x.wav", 80_000), write(tmp_path / "y.wav", 80_000)]
    for kind in (WAV, AudioFormat("flac")):

        def separate_on_a_full_disk(kind=kind):
            limit_files(40_000)
            with pytest.raises(DiskError):
                separate(mixtures, tmp_path / "out", kind=kind)

        status, errors = in_fork(separate_on_a_full_disk)
        assert status == 0, errors
        assert names(tmp_path / "out") == []


class Stuck(Halves):
    """Says that it has come to the second file, and stays there."""

    def __init__(self, sign):
        super().__init__()
        self.sign = sign

    def separate_batch(self, mix):
        if self.calls:
            self.sign.touch()
            signal.pause()
        return super().separate_batch(mix)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_batch_leaves_whole_files_only(tmp_path, stop):
    mixtures, sign = [write(tmp_path / "x.wav"), write(tmp_path / "y.wav")], tmp_path / "sign"
    child = os.fork()
    if not child:
        # A shell that runs the tests in the background would have Ctrl-C ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with suppress(BaseException):
            separate(mixtures, tmp_path / "out", model=Stuck(sign))
        os._exit(7)
    while not sign.exists():
        assert os.waitpid(child, os.WNOHANG) == (0, 0)
    os.kill(child, stop)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert names(tmp_path / "out") == ["x_s1.wav", "x_s2.wav"]
    assert names(tmp_path) == ["out", "sign", "x.wav", "y.wav"]


@pytest.fixture
def talks(tmp_path):
    """A folder of recordings, deep, with what is none."""
    for name in ("b.wav", "week 1/a.flac", "week 1/c.WAV"):
        write(tmp_path / "talks" / name)
    (tmp_path / "talks" / "notes.txt").write_text("none")
    write(tmp_path / "talks" / ".hidden.wav")
    return tmp_path / "talks"


def test_all_recordings_of_a_folder_are_taken(talks, tmp_path):
    names = [path.relative_to(talks).as_posix() for path in find_mixtures([talks], tmp_path)]
    assert names == ["b.wav", "week 1/a.flac", "week 1/c.WAV"]
    # What comes of them is not separated again, wherever in the folder it is.
    write(talks / "separated" / "b_s1.wav")
    assert len(find_mixtures([talks], talks / "separated")) == 3
    assert len(find_mixtures([talks], tmp_path)) == 4
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: no recording in it; expected audio files \(wav, flac"):
        find_mixtures([tmp_path / "empty"], tmp_path)


def test_films_in_a_folder_are_taken_where_they_can_be_read(talks, tmp_path, monkeypatch, capsys):
    (talks / "film.mp4").write_bytes(b"")
    monkeypatch.setattr(mixtures, "find_spec", lambda name: None)
    assert len(find_mixtures([talks], tmp_path)) == 3
    assert "1 file that FFmpeg reads left out; pip install 'speechbrain-tasnet[media]'" in capsys.readouterr().err
    monkeypatch.setattr(mixtures, "find_spec", lambda name: name)
    assert [path.name for path in find_mixtures([talks], tmp_path)][1] == "film.mp4"


def test_a_list_and_standard_input_are_taken(talks, tmp_path):
    (tmp_path / "list.txt").write_text(f"{talks / 'b.wav'}\n{talks / 'week 1/a.flac'}\n")
    main(["separate", f"@{tmp_path / 'list.txt'}", "--out", str(tmp_path / "out")])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("a_s1.wav", "a_s2.wav", "b_s1.wav", "b_s2.wav")
    ]
    status, _, said = tasnet("separate", "-", "--out", tmp_path / "piped", stdin=talks / "b.wav")
    assert status == 0, said
    assert sorted(path.name for path in (tmp_path / "piped").iterdir()) == ["stdin_s1.wav", "stdin_s2.wav"]


def test_files_have_the_names_that_are_wanted(talks, tmp_path):
    main(["separate", str(talks), "--out", str(tmp_path / "out"), "--name", "{stem}/{source}", "--format", "flac"])
    found = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.flac"))
    assert found == [f"{stem}/s{source}.flac" for stem in ("b", "week 1/a", "week 1/c") for source in (1, 2)]


def test_subfolders_are_mirrored_so_that_names_may_recur(talks, tmp_path):
    write(talks / "week 1/b.wav", 4000)
    write(tmp_path / "loose" / "b2.wav")
    out = tmp_path / "out"
    command = ["separate", str(talks), str(tmp_path / "loose/b2.wav"), "--out", str(out), "--json"]
    main(command)
    found = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.*"))
    stems = ("b", "b2", "week 1/a", "week 1/b", "week 1/c")
    assert found == sorted(f"{stem}{end}" for stem in stems for end in (".json", "_s1.wav", "_s2.wav"))
    assert soundfile.info(out / "week 1/b_s1.wav").frames == 4000
    main([*command, "--overwrite", "--resume"])  # which finds them again


def test_a_path_that_leads_out_of_its_root_stays_in_the_folder():
    inside, outside = Destination("out", roots=["."]).sources("a/x.wav", 1), "../../a/x.wav"
    assert [path.as_posix() for path in inside] == ["out/a/x_s1.wav"]
    assert [path.as_posix() for path in Destination("out", roots=["."]).sources(outside, 1)] == ["out/x_s1.wav"]


def test_sources_of_an_earlier_run_among_the_mixtures_are_explained(talks, capsys):
    main(["separate", str(talks), "--out", str(talks)])
    with pytest.raises(SystemExit):
        main(["separate", str(talks), "--out", str(talks)])
    line = capsys.readouterr().err
    assert f"{talks / 'b_s1.wav'}: a mixture, which a source of {talks / 'b.wav'} would replace" in line
    assert "--out is a folder of mixtures, among them perhaps what an earlier run has written" in line


@pytest.mark.parametrize("name", ["{stem}", "{source", "{other}_{source}", "../{stem}_{source}", "/{source}"])
def test_names_that_do_not_tell_sources_apart_or_lead_away_are_refused(name, talks, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["separate", str(talks), "--out", str(tmp_path / "out"), "--name", name])
    assert f"name={name!r}: expected {{stem}} and {{source}} in it" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_one_name_for_several_mixtures_is_refused(talks, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["separate", str(talks), "--out", str(tmp_path / "out"), "--name", "voice_{source}"])
    assert "both would become" in capsys.readouterr().err


def told(capsys):
    """The objects of JSON that stand on standard output, and what stands on standard error."""
    printed = capsys.readouterr()
    return [json.loads(line) for line in printed.out.splitlines()], printed.err.splitlines()


def test_programs_read_a_line_for_each_mixture(tmp_path, capsys):
    """What the files hold, and of one that cannot be read what is wrong with it."""
    out = tmp_path / "out"
    soundfile.write(tmp_path / "quiet.wav", np.zeros((4000, 2)), 16000)
    bad = tmp_path / "nan.wav"
    soundfile.write(bad, np.full(800, np.nan), 8000, "FLOAT")
    mixtures = [write(tmp_path / "x.wav", 12_000), bad, tmp_path / "gone.wav", tmp_path / "quiet.wav"]
    with pytest.raises(InputError, match="2 of 4"):
        separate_files(Halves(), mixtures, Destination(out, tables=["json"]), SeparationOptions(), JsonLines())
    (gone, x, nan, quiet), errors = told(capsys)
    assert sorted(gone) == sorted(nan) == ["error", "mixture"]
    assert [line["mixture"] for line in (gone, nan)] == [str(tmp_path / "gone.wav"), str(bad)]
    assert "no such file" in gone["error"]
    assert "NaN" in nan["error"]
    assert errors == [f"tasnet: left out: {line['error']}" for line in (gone, nan)]
    assert (x["mixture"], x["sample_rate"], x["seconds"], x["voices"]) == (str(mixtures[0]), 8000, 1.5, 2)
    assert x["sources"] == [str(out / name) for name in ("x_s1.wav", "x_s2.wav")]
    assert x["tables"] == [str(out / "x.json")]
    assert x["elapsed"] >= 0
    for level, path in zip((x["mixture_dbfs"], *x["source_dbfs"]), (mixtures[0], *x["sources"]), strict=True):
        assert level == pytest.approx(20 * np.log10(soundfile.read(path)[0].std()), abs=0.02)
    assert (quiet["sample_rate"], quiet["seconds"]) == (16000, 0.25)
    assert (quiet["mixture_dbfs"], quiet["source_dbfs"]) == (None, [None, None])


def test_programs_read_of_a_bad_file_that_is_alone(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["separate", str(tmp_path / "gone.wav"), "--out", str(tmp_path), "--json"])
    assert ended.value.code == 2
    [line], errors = told(capsys)
    assert line["mixture"] == str(tmp_path / "gone.wav")
    assert errors == [f"tasnet: error: {line['error']}"]


def test_the_command_prints_nothing_else_for_programs(talks, tmp_path):
    """Whatever the names are made of."""
    write(talks / "cafe.wav").rename(talks / "caf\udce9.wav")
    command = [sys.executable, "-m", "speechbrain_tasnet.cli", "separate", str(talks), "--json", "--out", "out"]
    ended = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert {line["mixture"] for line in lines} == {str(path) for path in find_mixtures([talks], tmp_path)}
    for line in lines:
        for path in (*line["sources"], *line["tables"]):
            assert (tmp_path / path).exists()


def piped(*words, **options):
    """Run `tasnet separate WORDS --out -`: its exit status, what it wrote, and standard error."""
    return tasnet("separate", *words, "--out", "-", **options)


@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_all_sources_go_through_a_pipe(kind, tmp_path):
    """A channel each, with the samples of the files and a header that says how many."""
    mixture = write(tmp_path / "x.wav", 12_000)
    status, data, said = piped(mixture, "--format", kind, cwd=tmp_path)
    assert status == 0, said
    assert names(tmp_path) == ["x.wav"]
    samples, rate = soundfile.read(io.BytesIO(data))
    main(["separate", str(mixture), "--out", str(tmp_path / "out")])
    sources = [soundfile.read(tmp_path / f"out/x_s{i}.wav")[0] for i in (1, 2)]
    assert rate == 8000
    # To one step of 16 bits: a process that compiles its loops rounds otherwise than one that has them.
    np.testing.assert_allclose(samples, np.stack(sources, axis=1), rtol=0, atol=1.01 / 2**15)


def test_from_pipe_to_pipe(tmp_path):
    """A channel of each source after another; sox says that the file is whole."""
    soundfile.write(tmp_path / "x.wav", 0.1 * np.random.default_rng(0).standard_normal((800, 2)), 8000)
    status, data, said = piped("-", "--channels", "each", data=(tmp_path / "x.wav").read_bytes())
    assert status == 0, said
    assert soundfile.read(io.BytesIO(data))[0].shape == (800, 4)
    if shutil.which("soxi"):
        (tmp_path / "out.wav").write_bytes(data)
        assert subprocess.run(["soxi", "-s", tmp_path / "out.wav"], capture_output=True).stdout == b"800\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["x.wav", "y.wav"], "--out -: 2 mixtures, expected one"),
        (["."], "--out -: 2 mixtures, expected one"),
        (["x.wav", "--json"], "--out - together with --json"),
        (["x.wav", "--rttm"], "--out - together with --rttm"),
        (["x.wav", "--name", "{source}"], "--out - together with --name"),
        (["gone.wav"], "gone.wav: no such file"),
    ],
)
def test_what_cannot_go_through_a_pipe(words, message, tmp_path):
    write(tmp_path / "x.wav")
    write(tmp_path / "y.wav")
    status, data, said = piped(*words, cwd=tmp_path)
    assert (status, data) == (2, b"")
    assert message in said.splitlines()[-1]


def test_sources_are_not_written_on_a_terminal(tmp_path):
    theirs, ours = os.openpty()
    status, _, said = piped(write(tmp_path / "x.wav"), stdout=ours)
    os.close(ours)
    os.close(theirs)
    assert status == 2
    assert "--out -: standard output is a terminal or closed; expected a pipe or a file" in said


def test_a_reader_that_goes_away_leaves_nothing(tmp_path):
    drain, sink = os.pipe()
    os.close(drain)
    (tmp_path / "tmp").mkdir()
    mixture = write(tmp_path / "x.wav", 80_000)
    status, _, said = piped(mixture, stdout=sink, environment={"TMPDIR": str(tmp_path / "tmp")})
    os.close(sink)
    assert status == 141
    assert "Traceback" not in said
    assert not [path for path in (tmp_path / "tmp").iterdir() if path.name.startswith("tasnet-")]
