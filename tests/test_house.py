"""The house stands as ARCHITECTURE.md draws it: imports run one way, files stay small."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "speechbrain_tasnet"
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}

ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")

# The rooms, those that stand on others after these, as ARCHITECTURE.md has them.
LIST = re.search(r"## Layers.*?```\n(.*?)```", ARCHITECTURE, re.DOTALL)[1]
LAYERS = [line.split() for line in LIST.splitlines()]
LAYER = {room: number for number, rooms in enumerate(LAYERS) for room in rooms}

# Under the paths that recipes, bundles and earlier runs name; nobody inside imports them.
FACES = {"convtasnet", "checkpoints"}

# Rooms that must do without the network, so that corpora are made and scored without it.
WITHOUT_NETWORK = {"audio", "data", "evaluation", "generate", "losses", "report", "system"}
NETWORK = {"bundle", "convert", "export", "network", "ops", "peers", "separation", "training"}


def imports(path: Path) -> set[str]:
    """Collect the package's own modules that a file imports anywhere, without the package's name."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    prefix = "speechbrain_tasnet."
    return {name.removeprefix(prefix) for name in found if name.startswith(prefix)}


def room(name: str) -> str:
    """Return the room of a module, or the module itself where it has none."""
    return name.removeprefix("speechbrain_tasnet").lstrip(".").split(".")[0]


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_room_imports_only_what_stands_before_it(name):
    own, reached = room(name), {room(module) for module in imports(MODULES[name])} - {"hparams"}
    reached &= {*LAYER, *FACES}
    assert not reached & FACES
    assert own in {"", *LAYER, *FACES}, f"{own}: no room of ARCHITECTURE.md"
    if own in LAYER:
        assert not {other for other in reached - {own} if LAYER[other] >= LAYER[own]}
    if own in WITHOUT_NETWORK:
        assert not reached & NETWORK


def test_every_room_has_its_place():
    rooms = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert rooms - {"__init__"} - FACES == set(LAYER)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_files_stay_small(name):
    assert len(MODULES[name].read_text().splitlines()) <= 350


# What reads pickles, which run code, or writes what only they can read.
PICKLING = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}


@pytest.mark.parametrize("folder", ["benchmarks", "recipes", "speechbrain_tasnet"])
def test_no_file_reads_a_pickle(folder):
    for path in sorted((ROOT / folder).rglob("*.py")):
        assert not list(pickles(path)), path


def pickles(path):
    """Name what in a file would run the code of a pickle."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name, keywords = ast.unparse(node.func), [ast.unparse(keyword) for keyword in node.keywords]
            if name == "torch.load" and "weights_only=True" not in keywords:
                yield name
            if name == "np.load" and "allow_pickle=True" in keywords:
                yield name
        elif isinstance(node, ast.Import):
            yield from PICKLING & {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PICKLING:
            yield from (alias.name for alias in node.names if alias.name != "UnpicklingError")


def test_public_names_exist():
    import speechbrain_tasnet

    for name in speechbrain_tasnet.__all__:
        assert getattr(speechbrain_tasnet, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Endocer'"):
        speechbrain_tasnet.Endocer  # noqa: B018
