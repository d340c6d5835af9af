"""Triton's kernels without a graphics card: a file of tests runs again in a process where they are interpreted."""

import importlib
import os
import subprocess
import sys

import pytest
import torch

# Kernels are compiled or interpreted for good once Triton is imported.
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cuda" if torch.cuda.is_available() and not INTERPRETED else "cpu"
runs_kernels = pytest.mark.skipif(
    DEVICE == "cpu" and not INTERPRETED, reason="no graphics card: test_in_the_interpreter runs this"
)
has_no_kernels = pytest.mark.skipif(DEVICE == "cuda" or INTERPRETED, reason="the kernels run right here")


def run_in_interpreter(file: str) -> None:
    """Run the tests of a file with Triton's interpreter."""
    pytest.importorskip("triton")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--noconftest", file]
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:]


def _repair() -> None:
    """NumPy from 2.4 on makes no number of an array that holds one, as Triton up to 3.6 would have it."""
    interpreter = importlib.import_module("triton.runtime.interpreter")
    patch = interpreter._patch_lang_tensor

    def patch_and_repair(tensor, *scope):
        patch(tensor, *scope)
        tensor.__index__ = lambda self: self.handle.data.item()

    interpreter._patch_lang_tensor = patch_and_repair


if INTERPRETED:
    _repair()
