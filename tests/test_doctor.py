"""`tasnet doctor` sees what works, what does not, and what is wrong."""

import json
from importlib.metadata import distribution

import pytest
import torch

from speechbrain_tasnet import cli
from speechbrain_tasnet.doctor import fast_paths, machine, packages, page
from speechbrain_tasnet.installation import Broken
from speechbrain_tasnet.ops import cpu, dispatch, fallbacks, reference

# What is free on this machine's disk is not the doctor's doing.
pytestmark = pytest.mark.usefixtures("roomy_disk")


@pytest.fixture(autouse=True)
def _half_precision_is_not_measured(monkeypatch):
    """It takes seconds where there are no instructions for it; tests of `precision` do it once."""
    monkeypatch.setattr(fast_paths, "relative_time", lambda precision, device: 24.6)


def doctor(capsys, *words) -> tuple[int, str]:
    try:
        cli.main(["doctor", *words])
    except SystemExit as end:
        return end.code, capsys.readouterr().out
    return 0, capsys.readouterr().out


def test_here_everything_works(capsys):
    status, out = doctor(capsys)
    assert status == 0, out
    assert out.rstrip().endswith("Everything works here.")
    for line in ("convolutional block (Numba)", "streaming network (Numba)", "torch ", "optional parts"):
        assert line in out
    status, out = doctor(capsys, "--json")
    facts = json.loads(out)
    assert status == 0
    assert facts["problems"] == []
    assert {"machine", "packages", "fast paths", "folders", "optional"} <= set(facts)
    used = {path["name"]: path["used"] for path in facts["fast paths"]}
    assert used["convolutional block (Numba)"]
    assert used["streaming network (Numba)"]


def test_a_kernel_that_computes_something_else_is_a_problem(monkeypatch, capsys):
    right = cpu.product
    monkeypatch.setattr(cpu, "product", lambda *factors: right(*factors) * 1.001)
    status, out = doctor(capsys)
    assert status == 2
    assert "problem: linear layer (Numba): its results are wrong" in out


def test_the_paths_of_a_gpu_are_compared_one_by_one(monkeypatch):
    """With functions of a processor in their place."""
    choice = pytest.importorskip("speechbrain_tasnet.ops.gpu.choice")
    inputs = fast_paths._inputs
    monkeypatch.setattr(fast_paths, "_inputs", lambda device: inputs("cpu"))

    def wrong(*arguments):
        residual, skip = reference.conv_block(*arguments)
        return residual, skip * 1.001

    def failing(*arguments):
        raise RuntimeError("no kernel image is available")

    found = []
    for path in (reference.conv_block, wrong, failing):
        monkeypatch.setitem(choice.PATHS, "triton", path)
        found.append(fast_paths._gpu_block("triton", "convolutional block (Triton)"))
    right, wrong, failing = found
    assert (right.used, right.wrong, right.note) == (True, False, "")
    assert (wrong.used, wrong.wrong) == (True, True)
    assert (failing.used, failing.note) == (False, "RuntimeError: no kernel image is available")


def test_what_cannot_be_used_is_said_with_its_reason(monkeypatch, capsys):
    monkeypatch.setattr(fallbacks, "_noted", {"numba kernels (cpu)": "numba 9 does not import; slow"})
    monkeypatch.setattr(dispatch, "_load", lambda *names: None)
    path = fast_paths._block()
    assert not path.used
    assert path.note == "numba 9 does not import; slow"
    assert "not used: numba 9 does not import" in page._path(path._asdict())


def test_a_full_or_closed_folder_is_a_problem(monkeypatch, capsys, tmp_path):
    folders = {
        "working folder": {"path": str(tmp_path), "writable": False, "free": 1e12},
        "temporary files": {"path": "/tmp", "writable": True, "free": 1e6},
    }
    monkeypatch.setattr(machine, "folders", lambda: folders)
    status, out = doctor(capsys)
    assert status == 2
    assert f"problem: working folder: {tmp_path} cannot be written" in out
    assert "problem: temporary files: 0.0 GB free at /tmp" in out


def test_every_extra_is_listed_with_what_is_missing(monkeypatch):
    offered = set(distribution("speechbrain-tasnet").metadata.get_all("Provides-Extra"))
    assert set(packages.optional_parts()) == offered - packages.WORK == set(packages.ADDS)
    there = packages.installed
    versions = {"onnx": "1.0", "onnxruntime": None, "pesq": "9.0", "pystoi": "9.0", "pyannote.metrics": "9.0"}
    monkeypatch.setattr(packages, "installed", lambda name: versions[name] if name in versions else there(name))
    assert packages.optional_parts()["export"].missing == ["onnx>=1.16", "onnxruntime>=1.19"]
    assert packages.optional_parts()["quality"].missing == []
    monkeypatch.setattr(page, "first_broken", lambda names: Broken("torch", "gone", "pip install torch"))
    text = page.render(page.examine())
    assert "`tasnet export onnx`: missing onnx>=1.16, onnxruntime>=1.19: pip install 'speechbrain-tasnet" in text
    assert "quality      --metrics pesq, stoi, der: there" in text


def test_what_is_slower_here_says_that_it_is_used():
    slow, fast = (
        {"name": "a", "used": True, "speedup": speedup, "error": 1e-7, "note": ""} for speedup in (0.6, 2)
    )
    assert "0.6 times as fast here, and used all the same, largest error" in page._path(slow)
    assert "2.0 times as fast, largest error" in page._path(fast)


def test_it_changes_no_random_numbers_of_the_caller():
    torch.manual_seed(7)
    expected = torch.randn(3)
    torch.manual_seed(7)
    fast_paths.examine()
    assert torch.equal(torch.randn(3), expected)
