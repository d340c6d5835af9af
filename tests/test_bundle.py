"""A bundle: what was saved is what is loaded, by us and by SpeechBrain, from anywhere; its card."""

import builtins
import json
import os
import pickle
import shutil
import socket

import numpy as np
import pytest
import soundfile
import torch
from huggingface_hub import ModelCard
from speechbrain.inference.separation import SepformerSeparation

from speechbrain_tasnet import Decoder, Encoder, MaskNet, TasNetSeparation, separate
from speechbrain_tasnet.bundle import load_bundle, save_bundle
from speechbrain_tasnet.bundle.about import speakers_of
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.evaluation.talk import summarize

ABOUT = {
    "name": "two | voices: a test",
    "licence": "cc-by-4.0",
    "language": "en",
    "datasets": ["owner/voices"],
    "recipe": "wsj0mix",
    "seed": 3,
    "corpus": "mix",
    "hours": 2.5,
    "scores": {
        "si-snr_i": {"mean": 5.25, "ci95": [4.0, 6.5], "count": 7},
        "sdr_i": {"mean": 6, "ci95": None, "count": 1},
    },
    "conditions": {"length": {"3 to 5 s": {"mean": 5.5, "ci95": [4.5, 6.5], "count": 3}}},
    "elsewhere": {"in noise": {"si-snr_i": {"mean": 1.5, "ci95": [1.0, 2.0], "count": 9}}},
    "audio_hours": 12.5,
    "energy": 0.25,
    "not_improved": 2,
    "data": "two people, CC BY 4.0",
    "versions": {"torch": "2.8"},
}


def build(**changes):
    sizes = {"N": 16, "B": 8, "H": 16, "Sc": 8, "X": 2, "R": 1, "C": 3} | changes
    return {"encoder": Encoder(sizes["N"], 8), "masknet": MaskNet(**sizes), "decoder": Decoder(sizes["N"], 8)}


@pytest.fixture
def modules():
    torch.manual_seed(0)
    return build()


@pytest.fixture
def folder(modules, tmp_path):
    save_bundle(tmp_path / "bundle", modules, 8000, ABOUT)
    return tmp_path / "bundle"


def listing(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# ------------------------------------------------------------------------------------------------- round trip


@pytest.mark.parametrize("changes", [{}, {"Sc": 0, "R": 2}, {"norm": "cumulative", "causal": True, "C": 1}])
def test_what_was_saved_is_what_is_loaded(changes, tmp_path):
    modules, mixture = build(**changes), torch.randn(2, 1003)
    save_bundle(tmp_path / "bundle", modules, 16000, ABOUT)
    before = torch.get_rng_state()
    loaded, config = load_bundle(tmp_path / "bundle")
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(separate(*loaded.values(), mixture), separate(*modules.values(), mixture))
    assert (config.sample_rate, config.num_spks, config.about) == (16000, modules["masknet"].config["C"], ABOUT)
    assert all(parameter.requires_grad for module in loaded.values() for parameter in module.parameters())


def test_half_the_size_is_nearly_the_same(tmp_path):
    torch.manual_seed(0)
    modules = {"encoder": Encoder(), "masknet": MaskNet(), "decoder": Decoder()}  # the paper's
    save_bundle(tmp_path / "bundle", modules, 8000, ABOUT, dtype="float16")
    assert sum(path.stat().st_size for path in (tmp_path / "bundle").iterdir()) < 12e6
    loaded, mixture = load_bundle(tmp_path / "bundle").model, torch.randn(1, 4000)
    assert {p.dtype for module in loaded.values() for p in module.parameters()} == {torch.float32}
    with torch.no_grad():
        exact, rounded = separate(*modules.values(), mixture), separate(*loaded.values(), mixture)
    assert 10 * torch.log10(exact.pow(2).sum() / (exact - rounded).pow(2).sum()) > 60


def test_the_same_separator_is_the_same_file(modules, tmp_path):
    for name in ("one", "two"):
        save_bundle(tmp_path / name, modules, 8000, ABOUT)
    for file in ("config.json", "model.safetensors", "README.md", "hyperparams.yaml"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_it_loads_without_yaml_pickle_or_network(folder, monkeypatch):
    (folder / "hyperparams.yaml").write_text("harm: !apply:os.abort []\n")
    (folder / "encoder.ckpt").write_bytes(pickle.dumps("nobody reads this"))

    def forbidden(*args, **kwargs):
        raise AssertionError("code or network")

    for module, name in (
        (torch, "load"),
        (pickle, "load"),
        (pickle, "loads"),
        (socket, "socket"),
        (builtins, "exec"),
    ):
        monkeypatch.setattr(module, name, forbidden)
    for name in ("yaml.load", "yaml.safe_load", "speechbrain.inference.interfaces.load_hyperpyyaml"):
        monkeypatch.setattr(name, forbidden)
    separator = TasNetSeparation.from_bundle(folder, device="cpu")
    assert separator.separate_batch(torch.randn(1, 400)).shape == (1, 400, 3)


# ------------------------------------------------------------------------------------------------ SpeechBrain


@pytest.mark.parametrize("savedir", [None, "saved"])
def test_the_toolkits_own_class_loads_it_from_anywhere(folder, tmp_path, savedir, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    before, mixture = listing(folder), torch.randn(2, 1003)
    source = os.path.relpath(folder)
    theirs = SepformerSeparation.from_hparams(source=source, savedir=savedir).separate_batch(mixture)
    ours = TasNetSeparation.from_bundle(source).separate_batch(mixture)
    torch.testing.assert_close(theirs, ours, rtol=1e-6, atol=1e-6)
    assert listing(folder) == before
    # SpeechBrain links the YAML file that it has fetched; we add nothing.
    assert listing(elsewhere) == (["saved", "saved/hyperparams.yaml"] if savedir else [])
    again = TasNetSeparation.from_hparams(source=source).separate_batch(mixture)
    assert torch.equal(again, ours)


def test_hyperparams_of_another_bundle_are_refused_there_too(folder, tmp_path):
    save_bundle(tmp_path / "other", build(mask_activation="relu"), 8000)
    shutil.copy(tmp_path / "other/hyperparams.yaml", folder)
    with pytest.raises(InputError, match=r"masknet is not the one in hyperparams\.yaml"):
        SepformerSeparation.from_hparams(source=str(folder))


@pytest.mark.parametrize("savedir", [None, "saved"])
def test_the_toolkit_loads_it_from_the_hub(folder, tmp_path, savedir, monkeypatch):
    """With the hub's client replaced by its cache, for there is no network here."""
    monkeypatch.chdir(tmp_path)
    asked = []

    def download(repo_id, filename, **options):
        asked.append(f"{repo_id}/{filename}")
        return str(folder / filename)

    monkeypatch.setattr("speechbrain.utils.fetching.huggingface_hub.hf_hub_download", download)
    mixture = torch.randn(2, 1003)
    theirs = SepformerSeparation.from_hparams(source="owner/name", savedir=savedir).separate_batch(mixture)
    torch.testing.assert_close(theirs, TasNetSeparation.from_bundle(folder).separate_batch(mixture))
    assert set(asked) == {
        f"owner/name/{file}" for file in ("hyperparams.yaml", "config.json", "model.safetensors")
    }


def test_the_hub_is_told_which_class_of_speechbrain_reads_it(tmp_path, monkeypatch):
    save_bundle(tmp_path / "one", build(), 8000)
    assert json.loads((tmp_path / "one/config.json").read_text())["speechbrain_interface"] == "SepformerSeparation"
    monkeypatch.chdir(tmp_path)
    soundfile.write("talk.wav", np.random.default_rng(0).normal(0, 0.1, 16000), 16000)
    # What the hub shows under "Use this model".
    model = SepformerSeparation.from_hparams("one")
    assert model.separate_file("talk.wav").shape == (1, 8000, 3)
    net = MaskNet(16, 8, 16, 8, X=2, R=1, mics=2)
    array = {"encoder": Encoder(16, 8, mics=2), "masknet": net, "decoder": Decoder(16, 8)}
    save_bundle("array", array, 8000)
    assert "speechbrain_interface" not in json.loads((tmp_path / "array/config.json").read_text())
    load_bundle("array")


def test_a_bundle_from_before_loads_and_a_wrong_class_is_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    del config["speechbrain_interface"]
    (folder / "config.json").write_text(json.dumps(config))
    load_bundle(folder)
    (folder / "config.json").write_text(json.dumps(config | {"speechbrain_interface": "EncoderASR"}))
    with pytest.raises(InputError, match="speechbrain_interface='EncoderASR': expected SepformerSeparation"):
        load_bundle(folder)


def test_a_snapshot_of_the_hubs_cache_is_a_bundle(folder, tmp_path):
    snapshot, blobs = tmp_path / "models--a--b/snapshots/rev", tmp_path / "models--a--b/blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for number, file in enumerate(folder.iterdir()):
        shutil.copy(file, blobs / str(number))
        (snapshot / file.name).symlink_to(f"../../blobs/{number}")
    assert load_bundle(snapshot).config == load_bundle(folder).config


# ------------------------------------------------------------------------------------------------------- card


def test_the_card_is_what_the_hub_reads(folder):
    card = ModelCard.load(folder / "README.md")
    assert (card.data.license, card.data.language, card.data.datasets) == ("cc-by-4.0", "en", ["owner/voices"])
    assert (card.data.library_name, card.data.pipeline_tag) == ("speechbrain", "audio-to-audio")
    values = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert values == {"si-snr_i": 5.25, "sdr_i": 6}
    shown = ("5.25 dB | 4.00 to 6.50 | 7", "| hours of mixtures | 2.5 |", 'from_bundle("this folder")', "8000 Hz")
    shown += ("| length | 3 to 5 s | 5.50 dB | 4.50 to 6.50 | 3 |", "| data | two people, CC BY 4.0 |")
    shown += ("| in noise | 1.50 dB | 1.00 to 2.00 | 9 |", "| hours of audio gone through | 12.5 |")
    for text in shown:
        assert text in card.text


def test_a_card_says_nothing_that_is_not_known(modules, tmp_path):
    save_bundle(tmp_path / "bundle", modules, 8000)
    card = ModelCard.load(tmp_path / "bundle/README.md")
    assert (card.data.license, card.data.eval_results) == (None, None)
    assert "None are known." in card.text


def test_a_card_says_how_well_speakers_are_counted(modules, tmp_path):
    rows = [
        {"speakers": 1, "found": 1, "si-snr": 40.0, "silence": -50.0},
        {"speakers": 1, "found": 2, "si-snr": 42.0, "silence": -10.0},
        {"speakers": 2, "found": 2, "si-snr": 9.0, "si-snr_i": 8.5},
    ]
    speakers = json.loads(json.dumps(speakers_of(summarize(rows))))
    about = {"silence": "power", "scores": ABOUT["scores"], "speakers": speakers}
    save_bundle(tmp_path / "bundle", modules, 8000, about)
    assert load_bundle(tmp_path / "bundle").config.about == about
    text = (tmp_path / "bundle/README.md").read_text()
    assert "| 1 | 2 | 50 % | 41.0 dB |  | -30.0 dB |" in text
    assert "| 2 | 1 | 100 % | 9.0 dB | 8.5 dB |  |" in text
    assert "separates up to 3 voices" in text
    assert "separate_voices" in text
    assert "does not count" not in text


# ---------------------------------------------------------------------------------------------------- writing


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"about": {"nmae": "x"}}, "unknown key 'nmae'"),
        ({"about": {"seed": True}}, "seed=True: expected int"),
        ({"about": {"name": "two\nlines"}}, "one line of text"),
        ({"about": {"hours": float("nan")}}, "hours=nan"),
        ({"about": {"hours": 10**400}}, "hours=1000"),
        ({"about": {"versions": {"two\nlines": "1"}}}, "one line of text"),
        ({"about": {"scores": {"sdr": {"mean": 1}}}}, "score 'sdr'"),
        ({"about": {"elsewhere": {"in noise": 3}}}, "elsewhere: 'in noise' is 3: expected scores by metric"),
        ({"about": {"conditions": {"length": 3}}}, "conditions: 'length'"),
        ({"about": {"conditions": {"length": {"3 s": {"mean": 1}}}}}, "score 'length, 3 s'"),
        ({"about": {"conditions": {"length": {"3\n4": {}}}}}, "conditions: 'length'"),
        ({"about": {"speakers": {"1": 3}}}, "'1' speakers are 3: expected"),
        ({"about": {"speakers": {"1": {"found": {}}}}}, "'1' speakers"),
        ({"about": {"speakers": {"1": {"found": {1: 3}}}}}, "'1' speakers"),
        ({"about": {"speakers": {"two": {"found": {}}}}}, "'two' speakers"),
        ({"about": {"speakers": {"1": {"found": {"1": True}}}}}, "'1' speakers: found is"),
        ({"about": {"speakers": {"1": {"found": {"1": 3}, "si-snr": 3}}}}, "score 'si-snr'"),
        ({"dtype": "bfloat16"}, "dtype='bfloat16'"),
        ({"sample_rate": 0}, "sample_rate=0"),
    ],
)
def test_what_could_not_be_loaded_is_not_written(change, message, modules, tmp_path):
    with pytest.raises(InputError, match=message):
        save_bundle(tmp_path / "bundle", modules, **({"sample_rate": 8000} | change))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("value", "dtype"), [(float("nan"), "float32"), (1e6, "float16")])
def test_weights_that_do_not_fit_are_not_written(value, dtype, modules, tmp_path):
    with torch.no_grad():
        modules["masknet"].mask.bias[0] = value
    with pytest.raises(InputError, match=r"masknet\.mask\.bias has weights that are not finite"):
        save_bundle(tmp_path / "bundle", modules, 8000, dtype=dtype)
    assert not list(tmp_path.iterdir())
