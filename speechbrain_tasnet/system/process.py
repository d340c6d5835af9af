"""Settings of the whole process, which are therefore the program's choice, not that of an import."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from speechbrain_tasnet.system.c_functions import loaded_function

READER_GONE = 141  # as if SIGPIPE, which Windows does not have, had ended it: 128 + 13

# From glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8

# OpenMP's threads wait for work by spinning, by default for so long that one busy neighbour makes a step ten
# times slower.
SPIN_COUNT = "20000"


def tune_process() -> None:
    """Tune a process that trains or separates; to be called before torch is imported.

    The command line and the recipes call it. Each setting is left alone where the environment has its own.

    - glibc keeps up to 2 GiB of freed memory. A network's tensors come and go by the megabyte, and every page of
      fresh memory costs a fault: without this, a third of the time of an inference.
    - All threads share one heap: those that glibc makes for the others keep no large tensors.
    - GNU's OpenMP gives up spinning after some microseconds.
    - SpeechBrain does not warn, when it is imported, that it could not save figures, which nothing here does.

    Example
    -------
    >>> tune_process()
    """
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
    logging.getLogger("speechbrain.utils.train_logger").addFilter(_not_about_figures)
    tuned = any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ)
    mallopt = loaded_function("mallopt")
    if tuned or mallopt is None:
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    mallopt(M_ARENA_MAX, 1)


def _not_about_figures(record: logging.LogRecord) -> bool:
    """Return False for the message that torchvision, which nothing here uses, is not available."""
    return "torchvision is not available" not in str(record.msg)


def open_what_is_closed() -> None:
    """Open the null device where standard input, output or error is closed, as by ``2>&-``.

    Otherwise the next file that is opened would become it, and messages would go there.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != descriptor:
                os.dup2(null, descriptor)
                os.close(null)
        if name == "stderr" and sys.stderr is None:
            # print(file=None) would write to standard output.
            sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


@contextmanager
def python_alone_complains() -> Iterator[None]:
    """Let only Python write to standard error, for a while.

    ALSA, JACK and other libraries in C complain there of whatever is not on this machine, in between our lines.
    """
    try:
        screen = os.dup(2)
    except OSError:  # it is closed
        yield
        return
    null = os.open(os.devnull, os.O_WRONLY)
    with os.fdopen(screen, "w", encoding=sys.stderr.encoding, errors=sys.stderr.errors, buffering=1) as mine:
        before = sys.stderr
        before.flush()
        os.dup2(null, 2)
        os.close(null)
        # Somebody else's, such as a test's, may go elsewhere.
        sys.stderr = mine if before is sys.__stderr__ else before
        try:
            yield
        finally:
            sys.stderr = before
            mine.flush()
            os.dup2(screen, 2)


@contextmanager
def standard_output() -> Iterator[int]:
    """Yield a descriptor of standard output for us alone: what libraries print goes to standard error."""
    output = os.dup(1)
    pass_bytes(output)
    os.dup2(2, 1)
    try:
        yield output
    finally:
        os.dup2(output, 1)
        os.close(output)


def pass_bytes(descriptor: int) -> None:
    """Make Windows pass bytes unchanged: it would convert line endings and stop at Ctrl-Z."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.setmode(descriptor, os.O_BINARY)


def discard_output() -> None:
    """Discard whatever is still to be written to standard output: writing failed, or nobody reads it."""
    try:
        sys.stdout.flush()
    except (OSError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.close(null)
