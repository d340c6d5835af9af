"""Any network in any recipe, with nothing of the recipe lost."""

import shlex
from pathlib import Path

import pytest
import yaml
from tiny_models import SIZES

from speechbrain_tasnet.configuration import loading
from speechbrain_tasnet.configuration.includes import whole_text
from speechbrain_tasnet.configuration.model_files import find_model, sizes_of, with_model
from speechbrain_tasnet.configuration.packaged import PACKAGED
from speechbrain_tasnet.errors import InputError

RECIPES = {path.stem: whole_text(path) for path in PACKAGED.glob("*.yaml")}
RECIPE = """
# Data
num_spks: 3
sample_rate: 8000
batch: 4  # items

# Network
N: 512  # filters
L: 16
H: 512
window: !ref <L>
model: !include:model/convtasnet.yaml {N: !ref <N>, L: !ref <L>, H: !ref <H>, C: !ref <num_spks>}

# Training
opt: !name:torch.optim.Adam {lr: 0.1}
"""
MODEL = """
# A network
N: !PLACEHOLDER
K: 7  # frames
C: !PLACEHOLDER
part: !new:torch.nn.Linear {in_features: !ref <N>, out_features: !ref <K>}
encoder: !ref <part>
"""


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A model file, in a folder whose name a tag does not take as it is."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "my models, ü"
    folder.mkdir()
    (folder / "mine.yaml").write_text(MODEL)
    return str(folder / "mine.yaml")


def top_level(text):
    return [key.value for key, _ in yaml.compose(text).value]


def test_only_the_network_changes(model):
    text = with_model(RECIPE, model)
    for line in RECIPE.splitlines():
        assert (line in text.splitlines()) == (not line.startswith(("H:", "model:"))), line
    assert "K: 7  # frames" in text
    assert top_level(text) == ["num_spks", "sample_rate", "batch", "N", "L", "window", "K", "model", "opt"]


def test_values_come_before_those_of_model_and_recipe(model):
    text = with_model(RECIPE, model, {"N": 1, "K": None})
    assert "N: 1\nK: null\nmodel:" in text
    assert "512" not in text


def test_a_second_exchange_is_like_the_first(model):
    assert with_model(with_model(RECIPE, model), model) == with_model(RECIPE, model)
    demo = with_model(RECIPES["demo"], "dprnn")
    assert with_model(with_model(demo, "skim"), "dprnn") == demo


def test_what_has_no_value_is_asked_for(model, monkeypatch):
    Path("mine.yaml").write_text(with_model(RECIPES["demo"], "dprnn"))
    with pytest.raises(InputError, match="'B' is a !PLACEHOLDER"):
        loading.read(["mine.yaml", "--model", "torchaudio", "--data_folder", "."]).build()


@pytest.mark.parametrize(
    ("recipe", "name", "values", "message"),
    [
        (RECIPE, "nothing", {}, r"nothing: no such YAML file; packaged models are: asteroid, .*torchaudio$"),
        (RECIPE, None, {"H": 1}, "H: no size of mine.yaml; it has C, K, N"),
        (RECIPE + "K: 3\n", None, {}, "K: a size of mine.yaml, and the recipe has it for another thing"),
        ("num_spks: 2\n", None, {}, "model includes no file"),
        ("num_spks: 2\nmodel: {N: 4, encoder: !new:x {N: 4}}\n", None, {}, "can be exchanged, not that of a run"),
        ("- 1\n", None, {}, "expected a mapping"),
    ],
)
def test_mistakes(recipe, name, values, message, model):
    with pytest.raises(InputError, match=message):
        with_model(recipe, name or model, values)


def test_every_size_is_told(model):
    assert sizes_of(model) == {"N": None, "K": 7, "C": None}
    assert {"hidden_channels", "L", "C"} < set(sizes_of("dprnn"))


@pytest.mark.parametrize("recipe", sorted(RECIPES))
@pytest.mark.parametrize("name", ["dprnn", "torchaudio"])
def test_every_recipe_takes_another_network_of_its_own_sources_and_overrides(recipe, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = f"--data_folder . --num_spks 3 --batch_size 7 --mics 1 --model={name} {SIZES[name]}"
    found = loading.read([recipe, *shlex.split(words)])
    hparams = found.build()
    assert hparams.checkpointer.recoverables["masknet"] is hparams.modules["masknet"]
    assert (hparams.model["C"], hparams.batch_size) == (3, 7)
    assert {key: getattr(hparams, key) for key in ("N", "L")} == {key: hparams.model[key] for key in ("N", "L")}
    Path("again.yaml").write_text(found.text)  # as the folder of a run keeps it
    again = loading.read(["again.yaml"]).build().network
    for part, module in hparams.modules.items():
        assert [p.shape for p in module.parameters()] == [p.shape for p in again[part].parameters()]


def test_a_model_of_ones_own_goes_by_its_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(find_model("dprnn").read_text().replace("chunk: 126", "chunk: 30"))
    hparams = loading.read(["demo", "--data_folder", ".", "--model", "mine.yaml"]).build()
    assert hparams.modules["masknet"].network.K == 30
