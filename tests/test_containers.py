"""Dockerfile and conda recipe name what is there, in the versions of setup.py and locks/."""

import re
import shutil
import subprocess
from importlib.metadata import distribution
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import speechbrain_tasnet
from speechbrain_tasnet import installation

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
RECIPE = yaml.safe_load((ROOT / "conda/recipe.yaml").read_text(encoding="utf-8"))
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PYTHONS = SpecifierSet(re.search('requires-python = "(.+)"', PROJECT)[1])

# What conda-forge calls otherwise.
CONDA_NAMES = {"pytorch": "torch", "pysoundfile": "soundfile"}


def argument(name: str) -> str:
    """Return the default of a build argument, which all stages must agree about."""
    [value] = set(re.findall(rf"^ARG {name}=(.+)$", DOCKERFILE, re.MULTILINE))
    return value


def test_the_image_has_a_python_and_a_torch_that_fit():
    assert PYTHONS.contains(f"{argument('PYTHON')}.0")
    assert argument("TORCH") == "cpu"
    assert argument("TORCH_INDEX") == installation.CPU_INDEX


def test_all_that_the_image_installs_is_locked():
    pins = re.findall(r"^([\w.-]+)==", (ROOT / "locks/test.txt").read_text(), re.MULTILINE)
    locked = {canonicalize_name(name) for name in pins}
    extras = argument("EXTRAS").split(",")
    metadata = distribution("speechbrain-tasnet")
    assert set(extras) <= set(metadata.metadata.get_all("Provides-Extra"))
    for requirement in map(Requirement, metadata.requires):
        if not requirement.marker or any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
            assert canonicalize_name(requirement.name) in locked
    assert {"setuptools", "torch", "torchaudio"} <= locked
    # Versions stand in locks/ alone.
    assert not re.search(r"[\w-]==\d", DOCKERFILE)


def test_the_image_is_made_of_files_that_are_there_and_runs_as_nobody_special():
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert all((ROOT / name).exists() for name in let_in)
    for source in re.findall(r"^COPY ([^-.]\S*) ", DOCKERFILE, re.MULTILINE):
        assert source in let_in
    assert {"speechbrain_tasnet", "hparams", "setup.py", "pyproject.toml", "README.md"} <= set(let_in)
    assert int(re.findall(r"^USER (\d+)$", DOCKERFILE, re.MULTILINE)[-1]) > 0
    assert 'ENTRYPOINT ["tasnet"]' in DOCKERFILE


def test_the_dockerfile_passes_its_linter():
    if not (hadolint := shutil.which("hadolint")):
        pytest.skip("needs hadolint")
    # DL3008: versions of Debian's compiler are Debian's affair.
    command = [hadolint, "--ignore", "DL3008", str(ROOT / "Dockerfile")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_conda_package_wants_what_setup_py_wants():
    needed = {}
    for line in RECIPE["requirements"]["run"]:
        name, _, specifier = line.partition(" ")
        needed[CONDA_NAMES.get(name, name)] = SpecifierSet(specifier) if "$" not in specifier else specifier
    python = needed.pop("python").replace("${{ python_min }}", RECIPE["context"]["python_min"])
    assert SpecifierSet(python) == PYTHONS
    wanted = {name: SpecifierSet(specifier) for name, specifier in installation.requirements().items()}
    assert {canonicalize_name(name): value for name, value in needed.items()} == {
        canonicalize_name(name): value for name, value in wanted.items()
    }


def test_the_conda_package_is_this_version_and_has_the_same_commands():
    assert RECIPE["context"]["version"] == speechbrain_tasnet.__version__
    scripts = distribution("speechbrain-tasnet").entry_points.select(group="console_scripts")
    assert RECIPE["build"]["python"]["entry_points"] == [f"{script.name} = {script.value}" for script in scripts]
    builders = [line for line in RECIPE["requirements"]["host"] if line.startswith("setuptools")]
    assert builders[0].replace(" ", "") in PROJECT
    assert (ROOT / "conda" / RECIPE["source"]["path"]).resolve() == ROOT
    assert (ROOT / RECIPE["about"]["license_file"]).exists()


def test_the_conda_recipe_renders():
    rattler_build = pytest.importorskip("rattler_build")
    recipe = rattler_build.Stage0Recipe.from_file(str(ROOT / "conda/recipe.yaml"))
    [variant] = recipe.render(rattler_build.VariantConfig())
    rendered = variant.recipe.to_dict()
    assert rendered["package"] == {"name": "speechbrain-tasnet", "version": speechbrain_tasnet.__version__}
    assert f"python >={RECIPE['context']['python_min']},<3.15" in str(rendered["requirements"]["run"])
