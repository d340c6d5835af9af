"""A package that does not import is one line with both versions and the command that repairs it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from speechbrain_tasnet import installation

ROOT = Path(__file__).parents[1]

# What torchaudio 2.11.1 does beside torch 2.12, and what builds for another CUDA do.
REASONS = {
    "OSError": "raise OSError('Could not load this library: /usr/lib/libtorchaudio.so')",
    "RuntimeError": "raise RuntimeError('Detected that PyTorch and TorchAudio were compiled with different CUDA')",
    "ImportError": "import no_such_library_of_torchaudio",
}


def plant(folder: Path, torch: str, torchaudio: str, code: str, quick: bool = True) -> dict[str, str]:
    """Make a folder in which torchaudio is broken; return the environment in which Python finds it first.

    Beside an empty torch, which takes seconds less to import, the same happens.
    """
    (folder / "torchaudio.py").write_text(code)
    if quick:
        (folder / "torch.py").write_text("")
    for name, version in (("torch", torch), ("torchaudio", torchaudio)):
        metadata = folder / f"{name}-{version}.dist-info" / "METADATA"
        metadata.parent.mkdir(parents=True)
        metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}


def tasnet(environment, *words):
    command = [sys.executable, "-m", "speechbrain_tasnet.cli", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("kind", REASONS)
def test_a_broken_pair_is_one_line(kind, tmp_path):
    environment = plant(tmp_path, "2.12.1", "2.11.1", REASONS[kind], quick=kind != "OSError")
    done = tasnet(environment, "separate", str(tmp_path / "meeting.wav"), "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("tasnet: error: torchaudio 2.11.1 does not import beside torch 2.12.1 (")
    assert line.endswith("; run: pip install --force-reinstall --no-deps torchaudio==2.11.0")


def test_the_doctor_names_a_broken_pair_and_how_to_repair_it(tmp_path):
    environment = plant(tmp_path, "2.13.0+cpu", "2.11.0", REASONS["OSError"])
    done = tasnet(environment, "doctor")
    assert done.returncode == 2
    assert done.stderr == ""
    problems = [line for line in done.stdout.splitlines() if line.startswith("problem: ")]
    assert "--no-deps torchaudio==2.11.1 --index-url https://download.pytorch.org/whl/cpu" in problems[0]
    facts = json.loads(tasnet(environment, "doctor", "--json").stdout)
    assert [f"problem: {problem}" for problem in facts["problems"]] == problems
    assert "fast paths" not in facts


@pytest.mark.parametrize("script", ["train.py", "evaluate.py"])
def test_recipes_say_it_as_well(script, tmp_path):
    environment = plant(tmp_path, "2.12.1", "2.11.1", REASONS["OSError"])
    command = [sys.executable, str(ROOT / "recipes" / script), "wsj0mix"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"{script}: error: torchaudio 2.11.1 does not import beside torch 2.12.1")


def test_in_python_it_is_an_import_error_with_the_same_line(tmp_path):
    environment = plant(tmp_path, "2.12.1", "2.11.1", REASONS["OSError"])
    command = [sys.executable, "-c", "from speechbrain_tasnet import SeparationBrain"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].startswith("ImportError: torchaudio 2.11.1 does not import beside torch")


def test_a_defect_of_ours_keeps_its_traceback(monkeypatch, capsys):
    from speechbrain_tasnet.errors import one_line_errors

    with pytest.raises(ZeroDivisionError), one_line_errors("tasnet"):
        1 / 0  # noqa: B018
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(SystemExit) as end, one_line_errors("tasnet"):
        import jinja2  # noqa: F401
    assert end.value.code == 2
    err = capsys.readouterr().err
    assert re.match(r"tasnet: error: jinja2 [\d.]+ does not import \(.*\); run: pip install --force", err)
    monkeypatch.setattr(installation, "installed", lambda package: None)
    missing = ModuleNotFoundError("No module named 'yaml'", name="yaml")
    assert installation.explain(missing) == "pyyaml is not installed; run: pip install 'pyyaml>=6'"
    assert installation.explain(ModuleNotFoundError("No module named 'onnx'", name="onnx")) is None


def test_what_is_installed_fits():
    for name, wanted in installation.requirements().items():
        assert SpecifierSet(wanted).contains(installation.installed(name), prereleases=True), name
    assert installation.first_broken(installation.ALL_NEEDED) is None


@pytest.mark.parametrize("lock", ["test", "bench"])
def test_the_lock_has_hashes_and_fits_the_ranges(lock):
    """Every requirement that setup.py names lies in both locks, in a version that the ranges allow."""
    text = (ROOT / f"locks/{lock}.txt").read_text().replace("\\\n", " ")
    assert "://" not in text  # the index is the reader's business
    pins = {}
    for line in text.splitlines():
        requirement, *hashes = line.split(" --hash=sha256:")
        assert hashes, line
        parsed = Requirement(requirement.strip())
        pins.setdefault(canonicalize_name(parsed.name), []).append(next(iter(parsed.specifier)).version)
    for name, wanted in installation.requirements().items():
        assert all(SpecifierSet(wanted).contains(version) for version in pins[canonicalize_name(name)]), name
