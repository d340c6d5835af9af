"""Where Windows has rules of its own: they are played here, as far as a POSIX system can."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch
from filelock import FileLock

from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.separation import pipe
from speechbrain_tasnet.system import parallel, process
from speechbrain_tasnet.system.files import new_folder, resumable_folder, write_text
from speechbrain_tasnet.system.termination import STATUS, apart, ask_to_end
from speechbrain_tasnet.training.checkpoints import WholeCheckpointer


@pytest.fixture
def windows_files(monkeypatch):
    """Keep open files where they are, let renaming replace no folder, write out only what is open for writing."""
    process, rename, replace, unlink, release = (
        psutil.Process(),
        Path.rename,
        Path.replace,
        Path.unlink,
        FileLock.release,
    )
    fsync, fcntl = os.fsync, pytest.importorskip("fcntl")

    def refuse_open(path):
        if any(Path(file.path).is_relative_to(Path(path).resolve()) for file in process.open_files()):
            raise PermissionError(errno.EACCES, "The process cannot access the file", str(path))

    def rename_as_windows(self, target):
        if Path(target).exists():
            raise FileExistsError(errno.EEXIST, "Cannot create a file when that file already exists", str(target))
        refuse_open(self)
        return rename(self, target)

    def replace_as_windows(self, target):
        if Path(target).is_dir():
            raise PermissionError(errno.EACCES, "Access is denied", str(target))
        refuse_open(self)
        return replace(self, target)

    def unlink_as_windows(self, missing_ok=False):
        refuse_open(self)
        return unlink(self, missing_ok)

    def release_as_windows(self, *arguments, **options):
        release(self, *arguments, **options)
        unlink(Path(self.lock_file), missing_ok=True)

    def fsync_as_windows(descriptor):
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")
        return fsync(descriptor)

    monkeypatch.setattr(Path, "rename", rename_as_windows)
    monkeypatch.setattr(Path, "replace", replace_as_windows)
    monkeypatch.setattr(Path, "unlink", unlink_as_windows)
    monkeypatch.setattr(FileLock, "release", release_as_windows)
    monkeypatch.setattr(os, "fsync", fsync_as_windows)


def fill(out, error=None):
    with resumable_folder(out, {"seed": 0}) as folder:
        write_text(folder / "file", "text")
        if error:
            raise error


@pytest.mark.usefixtures("windows_files")
def test_folders_appear_by_the_rules_of_windows(tmp_path):
    (tmp_path / "empty").mkdir()
    for out in (tmp_path / "empty", tmp_path / "deep/new"):
        fill(out)
        assert [path.name for path in out.iterdir()] == ["file"]
    for replace, content in ((False, "old"), (True, "new")):
        with new_folder(tmp_path / "folder", replace) as partial:
            write_text(partial / "file", content)
        assert (tmp_path / "folder/file").read_text(encoding="utf-8") == content
    with pytest.raises(InputError, match="wrong"):
        fill(tmp_path / "gone/out", InputError("wrong"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "empty", "folder"]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["new"]


@pytest.mark.usefixtures("windows_files")
def test_checkpoints_are_saved_by_the_rules_of_windows(tmp_path):
    checkpointer = WholeCheckpointer(tmp_path, {"layer": torch.nn.Linear(2, 2)})
    checkpointer.save_checkpoint()
    checkpointer.save_and_keep_only()
    (kept,) = tmp_path.iterdir()
    assert checkpointer.find_checkpoint().path == kept


ENDING = """
import signal, sys
signal.SIGBREAK = signal.SIGUSR1
from speechbrain_tasnet.system.termination import Termination
with Termination():
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("system", ["posix", "windows"])
def test_a_process_that_is_asked_to_end_does(monkeypatch, system):
    """By Ctrl+Break on Windows, where SIGTERM kills: here another signal stands for it."""
    options = apart()
    if system == "windows":
        monkeypatch.setattr(signal, "CTRL_BREAK_EVENT", signal.SIGUSR1, raising=False)
        monkeypatch.setattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0x200, raising=False)
        monkeypatch.setattr(subprocess.Popen, "terminate", subprocess.Popen.kill)
        assert apart() == {"creationflags": 0x200}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", ENDING], **pipes, **options) as process:
        assert process.stdout.readline() == b"ready\n"
        ask_to_end(process)
        assert process.wait() == STATUS


def test_windows_gets_no_more_processes_than_it_can_wait_for(monkeypatch):
    asked = []

    def refuse(workers, **_):
        asked.append(workers)
        raise InputError("none")

    monkeypatch.setattr(parallel, "ProcessPoolExecutor", refuse)
    for system in ("linux", "win32"):
        monkeypatch.setattr(parallel.sys, "platform", system)
        with pytest.raises(InputError, match="none"):
            parallel.in_parallel(abs, range(100), 100, "counting")
    assert asked == [100, 61]


def test_windows_passes_samples_as_they_are(monkeypatch):
    modes = []
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(setmode=lambda *mode: modes.append(mode)))
    monkeypatch.setattr(os, "O_BINARY", 0x8000, raising=False)
    process.pass_bytes(0)
    assert not modes
    monkeypatch.setattr(process.sys, "platform", "win32")
    with process.standard_output() as output:
        assert modes == [(output, 0x8000)]


def test_windows_calls_a_pipe_without_a_reader_by_another_name(monkeypatch):
    def refuse(*_):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(pipe.os, "write", refuse)
    monkeypatch.setattr(pipe.sys, "platform", "win32")
    with pytest.raises(BrokenPipeError):
        pipe._write(torch.zeros(4, 1).numpy(), [1], pipe.FORMATS["s16le"][0])
