"""Functions and the command line in a fork: a process of its own, for a new one would import torch again."""

import contextlib
import gc
import os
import resource
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable

from speechbrain_tasnet.cli import main


class Forked:
    """`tasnet WORDS`, or ``work(WORDS)``, in a process of its own.

    `stdin` and `stdout` are files or descriptors, or else pipes, of which `feed` and `drain` are the other ends.
    The streams in `closed` are closed, as by ``2>&-``.
    """

    def __init__(self, *words, work=main, cwd=None, stdin=None, stdout=None, closed=(), environment=None):
        source, self.feed = os.pipe()
        self.drain, sink = os.pipe()
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed at the end
        self.pid = os.fork()
        if self.pid == 0:
            # Garbage of earlier tests may hold memory shared with their loading processes, by files closed below.
            gc.freeze()
            code = 1
            try:
                os.chdir(cwd or ".")
                os.environ.update(environment or {})
                tempfile.tempdir = None  # found anew, as in a new process
                streams = (
                    _opened(stdin, os.O_RDONLY, source),
                    _opened(stdout, os.O_WRONLY, sink),
                    self.errors.fileno(),
                )
                for new, old in enumerate(streams):
                    os.dup2(old, new)
                # All of them: with its own copy of a pipe's other end it would never see the end of what it reads.
                os.closerange(3, os.sysconf("SC_OPEN_MAX"))
                _replace_streams(closed)
                work([os.fsdecode(word) for word in words])
                code = 0
            except SystemExit as stop:
                code = stop.code
            except BaseException:
                traceback.print_exc()
            finally:
                for stream in (sys.stdout, sys.stderr):
                    if stream is not None:
                        stream.flush()
                os._exit(code)
        os.close(source)
        os.close(sink)

    def read(self, size):
        """Read so many bytes of what it writes, less only if it ends."""
        data = b""
        while len(data) < size and (more := os.read(self.drain, size - len(data))):
            data += more
        return data

    def end(self, data=b""):
        """Write the rest and close; returns exit status, the rest of the output, and standard error."""
        writer = threading.Thread(target=self._write, args=(data,))
        writer.start()  # beside the reading: no pipe holds all of a long mixture
        out = self.read(2**30)
        writer.join()
        os.close(self.drain)
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        with self.errors:
            self.errors.seek(0)
            return status, out, self.errors.read().decode(errors="surrogateescape")

    def _write(self, data):
        with contextlib.suppress(BrokenPipeError), os.fdopen(self.feed, "wb") as feed:
            feed.write(data)


def tasnet(*words, data=b"", **options) -> tuple[int, bytes, str]:
    """Run the command line as `Forked` does; returns exit status, what it wrote, and standard error."""
    return Forked(*words, **options).end(data)


def in_fork(work: Callable[[], object]) -> tuple[int, str]:
    """Call a function in a process of its own, which may change whatever it likes, and may be killed.

    Returns its exit status, or minus the signal that ended it, and what it wrote to standard error.
    """
    status, _, errors = Forked(work=lambda _: work()).end()
    return status, errors


def deadly(do: Callable, calls: int, before: bool = False) -> Callable:
    """Make a function kill its process when it has been called so many times, or before the last of them."""
    left = calls

    def count_down(*arguments, **more):
        nonlocal left
        left -= 1
        if left == 0 and before:
            os.kill(os.getpid(), signal.SIGKILL)
        done = do(*arguments, **more)
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    return count_down


def limit_files(size: int) -> None:
    """Let no file grow beyond so many bytes in this process: a write fails midway, as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def stream_of(folder=None, *words) -> Forked:
    """Start `tasnet stream` in a process of its own, between pipes."""
    return Forked("stream", *([] if folder is None else ["--model", folder]), *words)


def _opened(stream, flags, otherwise):
    if stream is None:
        return otherwise
    return os.open(stream, flags) if isinstance(stream, (str, os.PathLike)) else stream


def _replace_streams(closed):
    """Make Python's standard streams those of the descriptors, as a new interpreter does."""
    for descriptor in closed:
        os.close(descriptor)
    sys.stdin, sys.stdout, sys.stderr = (
        None if n in closed else os.fdopen(n, mode, buffering, closefd=False, errors=errors)
        for n, (mode, buffering, errors) in enumerate(
            [("r", -1, "strict"), ("w", -1, "strict"), ("w", 1, "backslashreplace")]
        )
    )
