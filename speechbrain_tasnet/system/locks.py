"""Locks between processes, which end with the process that holds them."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from speechbrain_tasnet.errors import DiskError, InputError
from speechbrain_tasnet.system.ownership import check_own


@contextmanager
def exclusive(lock: Path, out: Path) -> Iterator[None]:
    """Hold a lock that the system takes back when the process dies.

    Parameters
    ----------
    lock : Path
        A file beside or in what is locked, for the lock alone. It is removed at the end; a process that is killed
        leaves it behind, unlocked. What it holds is left as it is.
    out : Path
        What is locked.

    Raises
    ------
    InputError
        Another process or thread holds it, somebody else may have put it there, or the disk knows no locks
        (`DiskError`).
    """
    try:
        # Not left to filelock, which in older versions followed links and emptied what they lead to. Nor is the
        # file made here: where the system has no locks, filelock takes it for one that is held.
        with suppress(FileNotFoundError):
            check_own(lock)
        held = FileLock(lock, timeout=0).acquire()
    except InputError:
        raise
    except Timeout:
        raise InputError(f"{out}: another run is using it; wait, or choose another folder") from None
    except (OSError, NotImplementedError) as error:
        raise DiskError(f"{lock}: cannot be locked ({error}); choose a folder on another disk") from None
    with held:
        try:
            yield
        finally:
            # Windows removes no file that is open: there filelock does it afterwards.
            with suppress(OSError):
                lock.unlink()
