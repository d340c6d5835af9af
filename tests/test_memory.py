"""What is told of a process's memory, on systems that tell all of it and on those that tell less."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from speechbrain_tasnet.system import memory
from speechbrain_tasnet.training import epoch_stats

SIZE = 2**26  # bytes


def allocate():
    return np.ones(SIZE, np.uint8)


def test_a_peak_starts_anew_where_linux_lets_it():
    if not (memory.PROCESS / "clear_refs").exists():
        pytest.skip("not on Linux")
    np.ones(4 * SIZE, np.uint8)
    assert SIZE * 0.9 < memory.peak_memory_increase(allocate, "cpu") < SIZE * 1.5


def test_elsewhere_a_rise_is_not_told_too_small(monkeypatch):
    monkeypatch.setattr(memory, "PROCESS", Path("/no such folder"))
    assert memory.peak_memory_increase(allocate, "cpu") > SIZE * 0.9


def test_windows_tells_the_peak_by_psutil(monkeypatch):
    monkeypatch.setattr(memory, "PROCESS", Path("/no such folder"))
    monkeypatch.setattr(memory, "resource", None)
    told = SimpleNamespace(rss=1, peak_wset=3)
    monkeypatch.setattr(psutil, "Process", lambda: SimpleNamespace(memory_info=lambda: told))
    assert epoch_stats.peak_memory("cpu") == 3


@pytest.mark.parametrize(("system", "factor"), [("darwin", 1), ("linux", 1024)])
def test_the_system_says_in_which_unit_it_tells_the_peak(monkeypatch, system, factor):
    monkeypatch.setattr(memory, "PROCESS", Path("/no such folder"))
    monkeypatch.setattr(memory.sys, "platform", system)
    usage = SimpleNamespace(ru_maxrss=5)
    monkeypatch.setattr(memory, "resource", SimpleNamespace(RUSAGE_SELF=0, getrusage=lambda who: usage))
    assert memory.peak() == 5 * factor


@pytest.mark.skipif(not memory.PROCESS.exists(), reason="asks Linux")
def test_the_peak_of_a_process_is_not_that_of_the_one_which_started_it():
    block = np.ones(2**30, np.uint8)
    program = "from speechbrain_tasnet.system import memory; print(memory.peak())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    del block
    assert int(done.stdout) < 2**30


def test_held_memory_is_what_was_allocated():
    memory.give_back("cpu")  # what earlier tests have freed, and what is allocated now would take
    before = memory.held("cpu")
    block = allocate()
    assert memory.held("cpu") - before > SIZE * 0.9
    assert memory.held("cpu") <= psutil.Process().memory_info().rss
    del block
    assert 0 < memory.available("cpu") < psutil.virtual_memory().total
