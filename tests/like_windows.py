"""Takes from a process what Windows does not have, as far as a POSIX system goes on without it.

`take_away` is to be called before anything else is imported. A program that does so at its top hands it on to the
processes that it begins: as on Windows, they import the program again.
"""

import ctypes
import multiprocessing
import os
import signal
import sys

# On Linux its own backend needs `resource`; the one for Windows does not.
import psutil

assert psutil

MODULES = {"fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty"}
SIGNALS = {"SIGABRT", "SIGFPE", "SIGILL", "SIGINT", "SIGSEGV", "SIGTERM", "SIG_DFL", "SIG_IGN"}
KEPT = {"SIGCHLD"}  # torch's loader asks for the name of the system instead
FUNCTIONS = {"alarm", "getitimer", "pause", "pthread_kill", "pthread_sigmask", "setitimer", "siginterrupt"}
FUNCTIONS |= {"sigpending", "sigtimedwait", "sigwait", "sigwaitinfo"}
SYSTEM = {"fchmod", "fchown", "getegid", "geteuid", "getgid", "getloadavg", "getuid", "killpg", "mkfifo", "nice"}
SYSTEM |= {"sched_getaffinity", "setsid", "sysconf"}


class Absent:
    """Says of modules that there are none of these names."""

    def find_spec(self, name, path=None, target=None):
        if name in MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


class OneLibraryAtATime(ctypes.CDLL):
    """A library that has to be named."""

    def __init__(self, name, *args, **kwargs):
        if name is None:
            raise TypeError("LoadLibrary() argument 1 must be str, not None")
        super().__init__(name, *args, **kwargs)


def take_away() -> None:
    """Leave this process without all of it; the processes that it begins, begin empty."""
    for name in MODULES:
        sys.modules.pop(name, None)
    sys.meta_path.insert(0, Absent())
    for name in dir(signal):
        if (name.startswith("SIG") and name not in SIGNALS | KEPT) or name in FUNCTIONS:
            delattr(signal, name)
    for name in SYSTEM & set(dir(os)):
        delattr(os, name)
    ctypes.CDLL = OneLibraryAtATime
    if multiprocessing.get_start_method(allow_none=True) is None:
        multiprocessing.set_start_method("spawn")
