"""The wheel works without the checkout: built, installed elsewhere, run elsewhere."""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tools.wheel import ROOT, build_wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """An environment that holds the wheel, and finds the packages it needs in this one."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=False)
    pip = [sys.executable, "-m", "pip", "--python", str(home / "bin/python")]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)], check=True)
    packages = Path(sys.prefix).glob("lib/python*/site-packages")
    site = next(home.glob("lib/python*/site-packages"))
    (site / "needs.pth").write_text("\n".join(str(path) for path in packages))
    return home


def test_it_holds_recipes_and_template_and_no_tests(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for recipe in ROOT.glob("hparams/**/*.yaml"):
        assert f"speechbrain_tasnet/{recipe.relative_to(ROOT)}" in names
    assert {"speechbrain_tasnet/report/report.html.j2", "speechbrain_tasnet/bundle/model_card.md.j2"} <= set(names)
    assert not [name for name in names if name.startswith(("tests/", "recipes/"))]
    modules = {str(module.relative_to(ROOT)) for module in ROOT.glob("speechbrain_tasnet/**/*.py")}
    assert {name for name in names if name.endswith(".py")} == modules | {"speechbrain_tasnet/hparams/__init__.py"}


def test_it_runs_without_the_checkout(installed, corpus, tmp_path):
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"}

    def run(program, *words):
        command = [str(installed / "bin" / program), *(str(word) for word in words)]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = "import speechbrain_tasnet as st, speechbrain_tasnet.hparams as h; print(st.__file__, h.__file__)"
    assert all(path.startswith(str(installed)) for path in run("python", "-c", where).split())
    tiny = "--N 8 --B 4 --H 8 --Sc 4 --X 2 --R 1 --segment 0.5 --number_of_epochs 1 --device cpu --noprogressbar"
    run("tasnet", "train", "demo", "--data_folder", corpus, *tiny.split())
    mixture = min((corpus / "wav8k/min/tt/mix").glob("*.wav"))
    run("tasnet", "separate", mixture, "--model", "results/demo/0", "--out", "separated")
    assert len(list((tmp_path / "separated").glob("*.wav"))) == 2
    run("tasnet", "export", "bundle", "results/demo/0", "--out", "bundle", "--licence", "cc-by-4.0")
    assert "license: cc-by-4.0" in (tmp_path / "bundle/README.md").read_text()


def test_metadata_says_what_is_needed(wheel):
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith("METADATA"))
        metadata = archive.read(name).decode()
    needed = ("Requires-Dist: torch<2.16,>=2.7.1", "Requires-Dist: safetensors>=0.4")
    for line in ("Name: speechbrain-tasnet", *needed, "Provides-Extra: export"):
        assert line in metadata
