"""Files and folders appear whole or not at all. Folders are tested with the audio that fills them."""

import _pyio
import errno
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock
from forked import deadly, in_fork

from speechbrain_tasnet.errors import DiskError, InputError
from speechbrain_tasnet.system.files import new_file, new_folder, resumable_folder, write_text
from speechbrain_tasnet.system.locks import exclusive


def test_a_file_is_replaced_only_when_complete(tmp_path):
    path = tmp_path / "deep/er/file.txt"
    with new_file(path) as partial:
        partial.write_text("old")
    with pytest.raises(RuntimeError), new_file(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


def test_a_folder_takes_the_place_of_another_only_when_complete(tmp_path):
    out = tmp_path / "folder"
    for content in ("old", "new"):
        with new_folder(out, replace=True) as partial:
            (partial / content).write_text(content)
    assert [path.name for path in out.iterdir()] == ["new"]
    with pytest.raises(RuntimeError), new_folder(out, replace=True) as partial:
        (partial / "half").write_text("half")
        raise RuntimeError
    assert [path.name for path in out.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="already holds"), new_folder(tmp_path / "file", replace=True):
        pass
    assert (tmp_path / "file").read_text() == "mine"


def test_writers_in_threads_of_one_process_do_not_meet(tmp_path):
    """Each waits in the middle of its file until all have begun: the last one's whole file stays."""
    path, begun = tmp_path / "file", threading.Barrier(4)

    def write(letter):
        with new_file(path) as partial, partial.open("w") as file:
            file.write(letter * 1000)
            file.flush()
            begun.wait(60)
            file.write(letter * 1000)

    threads = [threading.Thread(target=write, args=letter) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in [letter * 2000 for letter in "abcd"]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("length", [240, 255])
def test_names_as_long_as_the_disk_takes(tmp_path, length):
    out = tmp_path / ("\u00e4" * (length // 2) + "x" * (length % 2))
    write_text(out, "text")
    assert out.read_text() == "text"
    out.unlink()
    with pytest.raises(KeyboardInterrupt):
        fill(out, "ab", KeyboardInterrupt())
    assert fill(out, "ab") == ["b"]
    with new_folder(out, replace=True) as partial:
        (partial / "new").touch()
    assert [path.name for path in out.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [out]


def test_temporary_files_have_names_that_nobody_can_guess(tmp_path, monkeypatch):
    names = set()
    for _ in range(2):
        with new_file(tmp_path / "file") as partial:
            names.add(partial.name)
        with new_folder(tmp_path / "folder", replace=True) as folder:
            names.add(folder.name)
    assert len(names) == 4
    # Were one guessed all the same, what lies there is not followed.
    monkeypatch.setattr("speechbrain_tasnet.system.files.secret_name", lambda kind: "guessed")
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "guessed").symlink_to("victim")
    with pytest.raises(DiskError, match="cannot be written"):
        write_text(tmp_path / "file", "text")
    assert (tmp_path / "victim").read_text() == "mine"


def plant_link(path):
    path.with_name("home").mkdir()
    path.symlink_to("home")


def plant_others_folder(path):
    path.mkdir()
    os.chown(path, 12345, 12345)


def plant_open_folder(path):
    path.mkdir()
    path.chmod(0o777)


needs_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away"
)


@pytest.mark.parametrize(
    ("plant", "words"),
    [
        (plant_link, "is a link"),
        pytest.param(plant_others_folder, "belongs to another user .number 12345", marks=needs_root),
        (plant_open_folder, "anyone can write to it"),
    ],
)
def test_a_folder_that_somebody_else_may_have_put_there_is_refused(tmp_path, plant, words):
    plant(tmp_path / ".corpus.partial")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=rf"\.corpus\.partial: {words}.*(delete|another place)"):
        fill(tmp_path / "corpus", "abc")
    assert sorted(tmp_path.rglob("*")) == before


@needs_root
def test_what_a_replaced_folder_is_kept_as_is_not_taken_from_others(tmp_path, monkeypatch):
    monkeypatch.setattr("speechbrain_tasnet.system.files._hidden_prefix", lambda out: ".x")
    plant_others_folder(tmp_path / ".x.replaced")
    with pytest.raises(InputError, match="another user"), new_folder(tmp_path / "out", replace=True):
        pass
    assert not (tmp_path / "out").exists()


def test_a_planted_lock_is_refused_and_what_it_leads_to_kept(tmp_path):
    (tmp_path / "victim").write_text("mine")
    (tmp_path / ".corpus.lock").symlink_to("victim")
    with pytest.raises(InputError, match=r"\.corpus\.lock: is a link"):
        fill(tmp_path / "corpus", "abc")
    assert (tmp_path / "victim").read_text() == "mine"
    (tmp_path / ".corpus.lock").unlink()
    (tmp_path / ".corpus.lock").write_text("of old")
    with exclusive(tmp_path / ".corpus.lock", tmp_path):
        assert (tmp_path / ".corpus.lock").read_text() == "of old"


def test_a_lock_holds_between_threads(tmp_path):
    refused = []

    def attempt():
        try:
            exclusive(tmp_path / ".lock", Path("here")).__enter__()
        except InputError as error:
            refused.append(str(error))

    with exclusive(tmp_path / ".lock", Path("here")):
        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()
    assert refused == ["here: another run is using it; wait, or choose another folder"]


@pytest.mark.skipif(os.name != "posix", reason="Windows has other rights")
def test_an_unfinished_folder_is_private_and_a_finished_one_is_not(tmp_path):
    before = os.umask(0o002)
    try:
        for folder in (resumable_folder(tmp_path / "corpus", {}), new_folder(tmp_path / "bundle")):
            with folder as partial:
                assert stat.S_IMODE(partial.stat().st_mode) == 0o700
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"corpus": 0o775, "bundle": 0o775}


def fill(out, names, stop_with=None, options=None):
    """Write a file a name; `stop_with` is raised after the first new one."""
    written = []
    with resumable_folder(out, options or {"seed": 0}) as folder:
        for name in names:
            if not (folder / name).exists():
                write_text(folder / name, name)
                written.append(name)
                if stop_with is not None:
                    raise stop_with
    return written


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), SystemExit(143), DiskError("full"), RuntimeError()])
def test_an_interrupted_folder_is_continued(tmp_path, stop):
    out = tmp_path / "corpus"
    with pytest.raises(type(stop)):
        fill(out, "abc", stop)
    assert not out.exists()
    (tmp_path / ".corpus.partial/.d.partial-77").write_text("half of a file")
    with pytest.raises(InputError, match="other options"):
        fill(out, "abc", options={"seed": 1})
    with pytest.raises(InputError, match="bad wav"):  # what an earlier run did is not thrown away
        fill(out, "abc", InputError("bad wav"))
    assert fill(out, "abc") == ["c"]
    assert sorted(path.name for path in out.iterdir()) == ["a", "b", "c"]
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]
    with pytest.raises(InputError, match="already holds"):
        fill(out, "abc")


def test_wrong_input_leaves_no_folder(tmp_path):
    with pytest.raises(InputError, match="bad wav"):
        fill(tmp_path / "a/b/corpus", "abc", InputError("bad wav"))
    assert not list(tmp_path.iterdir())


def test_two_runs_do_not_work_on_one_folder(tmp_path):
    with resumable_folder(tmp_path / "corpus", {}), pytest.raises(InputError, match="another run"):
        fill(tmp_path / "corpus", "abc", options={})
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


def test_a_run_that_comes_while_another_one_ends_leaves_its_folder_alone(tmp_path, monkeypatch):
    """Between the look at the folder and the lock the other run has finished."""
    out = tmp_path / "corpus"

    @contextmanager
    def late(lock, locked):
        monkeypatch.undo()
        assert fill(out, "abc") == list("abc")
        with exclusive(lock, locked):
            yield

    monkeypatch.setattr("speechbrain_tasnet.system.files.exclusive", late)
    with pytest.raises(InputError, match="already holds"):
        fill(out, "xyz")
    assert sorted(path.name for path in out.iterdir()) == ["a", "b", "c"]


def test_an_empty_folder_that_is_there_is_filled(tmp_path):
    (tmp_path / "corpus").mkdir()
    assert fill(tmp_path / "corpus", "ab") == ["a", "b"]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "b", "corpus"]


HOLDER = """
import sys
from pathlib import Path
from speechbrain_tasnet.system.locks import exclusive
with exclusive(Path(sys.argv[1]), Path("there")):
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("end", ["kill", "communicate"])
def test_a_lock_ends_with_its_process(tmp_path, end):
    lock = tmp_path / ".lock"
    words = [sys.executable, "-c", HOLDER, str(lock)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(InputError, match=r"^here: another run is using it; wait"):
            exclusive(lock, Path("here")).__enter__()
        getattr(holder, end)()
        holder.wait()
    with exclusive(lock, Path("here")):
        pass
    assert not list(tmp_path.iterdir())


def test_a_disk_without_locks_is_told(tmp_path, monkeypatch):
    def refuse(lock):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(FileLock, "acquire", refuse)
    with pytest.raises(DiskError, match=r"\.lock: cannot be locked .*No locks available.*; choose a folder on"):
        exclusive(tmp_path / ".lock", tmp_path).__enter__()


def test_a_text_has_the_same_bytes_on_every_system(tmp_path, monkeypatch):
    monkeypatch.setattr("io.open", _pyio.open)  # which, unlike that in C, asks for the system's end of lines
    monkeypatch.setattr("os.linesep", "\r\n")
    write_text(tmp_path / "text", "one\ntwo: \u00e4\n")
    assert (tmp_path / "text").read_bytes() == b"one\ntwo: \xc3\xa4\n"


def test_a_file_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(DiskError, match="file/below: cannot be written"):
        write_text(tmp_path / "file/below", "text")


@pytest.mark.parametrize("call", ["rename", "rmtree"])
def test_a_kill_while_a_folder_is_replaced_leaves_one_of_the_two(tmp_path, call):
    """Killed after each rename and before each removal in turn."""
    for calls in range(1, 4):
        out = tmp_path / str(calls) / "folder"
        out.mkdir(parents=True)
        (out / "content").write_text("old")

        def replace(out=out, calls=calls):
            if call == "rename":
                Path.rename = deadly(Path.rename, calls)
            else:
                shutil.rmtree = deadly(shutil.rmtree, calls, before=True)
            with new_folder(out, replace=True) as partial:
                (partial / "content").write_text("new")

        assert in_fork(replace)[0] == (0 if (call, calls) == ("rename", 3) else -signal.SIGKILL)
        hidden = list(out.parent.glob(".*.replaced"))
        kept = [folder / "content" for folder in (out, *hidden) if folder.exists()]
        assert {file.read_text() for file in kept} & {"old", "new"}
        with pytest.raises(RuntimeError), new_folder(out, replace=True):
            raise RuntimeError  # what was left is put back, and kept when the next one fails as well
        assert (out / "content").read_text() in ("old", "new")
        assert [path.name for path in out.parent.iterdir()] == ["folder"]
