"""A training in a process of its own, whose messages are read as they come: it can be waited for, and killed."""

import os
import subprocess
import sys
from collections.abc import Sequence

import pytest

COMMAND = [sys.executable, "-m", "speechbrain_tasnet.cli", "train"]


class Training:
    """A `tasnet train` at work, on one thread.

    Parameters
    ----------
    words : sequence of str
        Behind ``tasnet train``.
    wrapper : sequence of str
        A command that runs the command behind it.
    """

    def __init__(self, words: Sequence[str], wrapper: Sequence[str] = ()):
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        self.said: list[str] = []
        self._process = subprocess.Popen(
            [*wrapper, *COMMAND, *words], env=environment, encoding="utf-8", errors="replace", **pipes
        )

    def wait_for(self, message: str) -> None:
        """Read until a line holds a message; fail if the training ends before."""
        for line in self._process.stdout:
            self.said.append(line)
            if message in line:
                return
        pytest.fail(f"ended with {self._process.wait()} before {message!r}: {''.join(self.said[-20:])}")

    def kill(self, seconds: float) -> bool:
        """Kill it with SIGKILL after some time; return whether it was at work until then."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._process.stdout.close()  # its loading process may hold the other end for some seconds
        return self._process.wait() == -9

    def finish(self, expected: int = 0) -> str:
        """Wait for its end and its exit status; return what it said last."""
        self.said += self._process.stdout
        self._process.stdout.close()
        status = self._process.wait()
        assert status == expected, f"ended with {status}: {''.join(self.said[-20:])}"
        return self.said[-1] if self.said else ""
