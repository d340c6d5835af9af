"""The house stands as ARCHITECTURE.md draws it: imports run one way, files stay small, every file is named."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "speechbrain_tasnet"
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}

# A module (or a package, with all in it) and what it must not import.
MODEL = {
    "ops",
    "norms",
    "tcn",
    "basis",
    "convtasnet",
    "costs",
    "peers",
    "reach",
    "streaming",
    "export",
    "live",
    "brain",
    "pretrained",
    "separation",
    "batch",
    "bundle",
    "finetuning",
    "weights",
}
TRAINING = {"brain", "losses", "data", "experiment", "pretrained", "evaluation"}
FORBIDDEN = {
    "ops": {"norms", "tcn", "basis", "convtasnet", "brain", "losses", "data", "weights"},
    "norms": {"tcn", "basis", "convtasnet", "brain", "losses", "data", "weights"},
    "tcn": {"basis", "convtasnet", "brain", "losses", "data", "weights"},
    "basis": {"norms", "tcn", "convtasnet", "brain", "losses", "data", "weights"},
    "convtasnet": TRAINING | {"weights"},
    "weights": TRAINING | {"streaming", "export", "live"},
    "peers": TRAINING | {"convtasnet", "costs", "streaming", "export", "live", "bundle"},
    "costs": TRAINING | {"peers", "streaming", "export", "live", "bundle", "weights"},
    "models": MODEL | {"data", "losses", "experiment", "configuration"},
    "losses": MODEL | {"data", "evaluation", "experiment"},
    "data": MODEL | {"losses", "evaluation", "experiment", "generate"},
    "generate": MODEL | {"losses", "evaluation", "experiment"},
    "evaluation": MODEL | {"data", "experiment"},
    "report": MODEL | {"data", "experiment"},
    "streaming": TRAINING | {"export", "live", "weights"},
    "export": TRAINING | {"streaming", "live"},
    "live": TRAINING | {"export"},
    "resampling": MODEL,
    "source_files": MODEL,
    "windows": MODEL | {"losses", "data"},
    "scaling": MODEL | {"losses", "data"},
    "separation": MODEL - {"separation"} | {"losses", "data", "evaluation", "experiment"},
    "brain": {"experiment", "configuration", "data", "pretrained", "report"},
    "guards": MODEL | {"losses", "evaluation", "data", "experiment"},
    "telemetry": MODEL | {"losses", "evaluation", "data", "experiment"},
    "energy": MODEL | {"losses", "evaluation", "data", "experiment", "ledger"},
    "ledger": MODEL | {"losses", "evaluation", "data", "experiment", "budget"},
    "budget": MODEL | {"losses", "evaluation", "data", "experiment", "plans"},
    "experiment_data": MODEL | {"evaluation", "experiment", "plans"},
    "plans": (MODEL - {"costs"}) | {"losses", "evaluation", "experiment"},
    "exhibits": MODEL | {"losses", "evaluation", "data", "experiment", "report"},
    "dry_run": MODEL | {"experiment", "configuration", "evaluation"},
    "bundle": {"brain", "experiment", "configuration", "losses", "evaluation", "data", "pretrained", "finetuning"},
    "finetuning": {"brain", "experiment", "configuration", "losses", "evaluation", "data", "pretrained"},
    "pretrained": {"brain", "experiment", "configuration", "losses", "evaluation", "data"},
}


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


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_run_one_way(name):
    own = name.removeprefix("speechbrain_tasnet").lstrip(".").split(".")[0]
    reached = {module.split(".")[0] for module in imports(MODULES[name])}
    assert not reached & FORBIDDEN.get(own, set())
    assert own == "cli" or not reached & {"cli", "commands"} - {own}
    assert own in {"commands", "study"} or "study" not in reached


@pytest.mark.parametrize("name", sorted(MODULES))
def test_files_stay_small(name):
    assert len(MODULES[name].read_text().splitlines()) <= 350


@pytest.mark.parametrize("name", sorted(MODULES))
def test_architecture_names_every_file(name):
    text = (ROOT / "ARCHITECTURE.md").read_text()
    assert MODULES[name].stem in text or MODULES[name].name == "__init__.py"


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
