"""Recipes: packaged ones load, and every mistake is one line before anything is written."""

import re
from pathlib import Path

import pytest
import torch

from speechbrain_tasnet import StreamingSeparator
from speechbrain_tasnet.configuration import loading
from speechbrain_tasnet.configuration.includes import whole_text
from speechbrain_tasnet.configuration.packaged import PACKAGED
from speechbrain_tasnet.configuration.reference import json_schema, reference_page
from speechbrain_tasnet.configuration.schema import Hparams, expected
from speechbrain_tasnet.configuration.yaml_text import entries
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.network import precision
from speechbrain_tasnet.ops import fallbacks

RECIPES = sorted(PACKAGED.glob("*.yaml"))
PAPERS = whole_text(PACKAGED / "wsj0mix.yaml")


# Of corpora whose sources no ratio of energies can be compared with.
KINDS_OF_SCORES = {"metrics", "aligned_sources"}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_packaged_recipes_load_and_say_only_what_is_their_own(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own, shared = (set(entries(file.read_text())) for file in (path, PACKAGED / "shared/training.yaml"))
    assert path.stem == "demo" or own & shared <= {"num_spks", "mics", "mixture_channels"} | KINDS_OF_SCORES
    found = loading.read([path.stem, "--data_folder", str(tmp_path)])
    hparams = found.build()
    assert found.path == path
    assert hparams.checkpointer.recoverables["masknet"] is hparams.modules["masknet"]


def test_overrides_reach_the_network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = "wsj0mix --data_folder . --N 64 --L=20 --num_spks 3 --causal True --norm channelwise --precision bf16"
    more = ["--encoder_activation", "relu", "--allow_slow_precision"]
    recipe = loading.read([*words.split(), *more])
    run_opts, hparams = recipe.run_opts, recipe.build()
    modules = hparams.modules
    assert modules["encoder"].config["L"] == modules["decoder"].config["L"] == 20
    assert modules["encoder"].config["activation"] == "relu"
    assert modules["masknet"].config["N"] == 64
    assert modules["masknet"].config["C"] == 3
    assert modules["masknet"].config["causal"] is True
    assert run_opts["precision"] == "bf16"


@pytest.mark.parametrize(("ratio", "fastest"), [(0.6, "bf16"), (0.95, "fp32"), (25.0, "fp32")])
def test_automatic_precision_is_the_fastest(ratio, fastest, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(precision, "relative_time", lambda name, device: {"fp32": 1.0, "bf16": ratio}[name])
    words = ["wsj0mix", "--data_folder", ".", "--device", "cpu"]
    for given in (["--precision", "auto"], ["--precision=auto"]):
        run_opts = loading.read([*words, *given]).run_opts
        assert run_opts["precision"] == fastest
        assert run_opts["eval_precision"] == "fp32"
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(PAPERS.replace("precision: fp32", "precision: auto", 1))
    assert loading.read([str(recipe), *words[1:]]).run_opts["precision"] == fastest
    assert loading.read([str(recipe), *words[1:], "--precision", "fp32"]).run_opts["precision"] == "fp32"


@pytest.mark.parametrize("option", ["precision", "eval_precision"])
def test_a_slow_precision_is_refused_unless_insisted_on(option, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fallbacks, "_noted", {})
    monkeypatch.setattr(precision, "relative_time", lambda name, device: {"fp32": 1.0, "bf16": 24.6}[name])
    words = ["wsj0mix", "--data_folder", ".", "--device", "cpu", f"--{option}", "bf16"]
    with pytest.raises(InputError, match=r"precision=bf16: a step takes 25 times as long as in fp32 on this CPU"):
        loading.read(words).build()
    assert not list(tmp_path.iterdir())
    assert loading.read([*words, "--allow_slow_precision"]).run_opts[option] == "bf16"
    assert capsys.readouterr().err.count("a step takes 25 times as long") == 1


def test_relative_time_is_measured_and_leaves_no_trace():
    state = torch.get_rng_state()
    assert precision.relative_time("bf16", "cpu") > 0
    assert torch.equal(torch.get_rng_state(), state)


def test_the_paper_recipe_is_the_papers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hparams = loading.read(["wsj0mix", "--data_folder", "."]).build()
    assert sum(p.numel() for m in hparams.modules.values() for p in m.parameters()) == 4_984_881
    assert hparams.opt_class.keywords["lr"] == 0.001
    assert (hparams.segment, hparams.number_of_epochs, hparams.max_grad_norm) == (4.0, 100, 5)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("wsj0mix", "data_folder.*PLACEHOLDER"),
        ("wsj0mix --data_folder nowhere", "data_folder='nowhere': expected an existing folder"),
        ("wsj1mix --data_folder .", "no such YAML file.*packaged recipes are: custom, demo, libricss, librimix"),
        ("wsj0mix --data_folder . --leraning_rate 1", "--leraning_rate: neither a key of the recipe nor"),
        ("wsj0mix --data_folder . --batchsize 1", "--batchsize: .*; did you mean --batch_size?"),
        ("wsj0mix --data_folder . --presicion bf16", "did you mean --precision?"),
        ("wsj0mix --data_folder . --prec bf16", "--prec: "),
        ("wsj0mix --data_folder . --segment 0.001", "segment=0.001: 8 samples, fewer than the encoder's L=16"),
        ("wsj0mix --data_folder . --rooms mine.npz", "rooms='mine.npz': expected an existing file"),
        (
            "wsj0mix --data_folder . --noise_folder .",
            "noise_folder=.: only used in dynamic mixing; set speech_folder",
        ),
        ("wsj0mix --data_folder . --speech_folder . --segment null", "dynamic mixing needs a length"),
        ("wham --data_folder . --speech_folder .", "task='sep_noisy': training without noise; set noise_folder"),
        ("whamr --data_folder . --speech_folder . --noise_folder .", "training without rooms; set rooms"),
        ("wham --data_folder . --speech_folder . --task enh_both --num_spks 1", "has no such target"),
        ("wsj0mix --data_folder . --precision fp16 --device cpu", "precision=fp16: .* use bf16"),
        ("wsj0mix --data_folder . --tensorboard maybe", "tensorboard='maybe': expected True or False"),
        ("wsj0mix --data_folder . --max_bad_items -1", "max_bad_items=-1"),
        ("wsj0mix --data_folder . --seed x", "seed='x'"),
        ("wsj0mix --data_folder . --batch_size .inf", "batch_size=inf"),
        ("wsj0mix --data_folder . --batch_size 0", "batch_size=0: expected a whole number of at least 1"),
        ("wsj0mix --data_folder . --batch_size two", "batch_size='two'"),
        ("wsj0mix --data_folder . --batch_size 1.5", "batch_size=1.5"),
        ("wsj0mix --data_folder . --lr -1", "lr=-1"),
        ("wsj0mix --data_folder . --segment 0", "segment=0"),
        ("wsj0mix --data_folder . --speeds [1,-1]", "speeds"),
        ("wsj0mix --data_folder . --num_spks 0", "num_spks=0"),
        ("wsj0mix --data_folder . --number_of_epochs 0", "number_of_epochs=0"),
        ("wsj0mix --data_folder . --loss_threshold 30", "loss_threshold=30"),
        ("wsj0mix --data_folder . --B 0", "B=0: expected a whole number"),
        ("wsj0mix --data_folder . --L 15", "L=15: expected an even number"),
        ("wsj0mix --data_folder . --norm cLN", "ambiguous"),
        ("wsj0mix --data_folder . --causal True", "see the future"),
        ("wsj0mix --data_folder . --mask_activation sigmiod", "mask_activation='sigmiod'"),
        ("wsj0mix --data_folder . --metrics [sdri]", "sdri"),
        ("wsj0mix --data_folder a=b", "data_folder='a=b': expected an existing folder"),
        ("wsj0mix --data_folder . --debug True", "True: --debug is a flag and takes no value"),
        ("wsj0mix --data_folder . --seed 1 2", "2: a word too many; expected --KEY VALUE"),
        ("wsj0mix . --seed 1", r"\.: a word too many"),
        ("wsj0mix --data_folder . --speeds [0.95, 1.0]", r"1\.0\]: a word too many; .* quotes around a value"),
        ("wsj0mix --data_folder . --lr --seed 3", "--lr: expected a value, as --lr VALUE"),
        ("wsj0mix --data_folder . --output_folder", "--output_folder: expected a value"),
        ("wsj0mix --data_folder . --N [", "wsj0mix.yaml"),
    ],
)
def test_mistakes_on_the_command_line(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        loading.read(words.split()).build()
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("batch_size: 4", "batch_size 4"), "yaml"),
        (("!ref <batch_size>", "!ref <bacth_size>"), "bacth_size"),
        (("convtasnet.yaml", "convtasnte.yaml"), "convtasnte.yaml"),
        (("make_optimizer", "make_optimzier"), "make_optimzier"),
        (("lr: 0.001", "learning_rate: 0.001"), "lr"),
        (("{factor: 0.5", "{fcator: 0.5"), "fcator"),
        (("shuffle: True", "shufle: True"), "dataloader_opts: shufle .*; did you mean shuffle?"),
        (
            ("shuffle: True", "looped_nominal_epoch: 3"),
            "dataloader_opts: looped_nominal_epoch: an epoch takes each",
        ),
        (
            ("max_grad_norm: 5", "max_grad_nrom: 5"),
            "max_grad_nrom: this key is not used by anything; did you mean max_grad_norm?",
        ),
    ],
)
def test_mistakes_in_the_file(change, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert change[0] in PAPERS
    Path("mine.yaml").write_text(PAPERS.replace(*change))
    with pytest.raises(InputError, match=message) as caught:
        loading.read(["mine.yaml", "--data_folder", "."]).build()
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


@pytest.mark.parametrize(
    "name", sorted(name for name, field in Hparams.model_fields.items() if field.is_required())
)
def test_a_key_that_is_missing_is_named_before_the_training_not_after_it(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rest, count = re.subn(rf"^{name}:.*\n( .*\n)*", "", PAPERS, flags=re.MULTILINE)
    assert count == 1
    Path("mine.yaml").write_text(rest)
    with pytest.raises(InputError, match=name):
        loading.read(["mine.yaml", "--data_folder", "."][: 1 if name == "data_folder" else 3])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--prepare", "3"], "prepare=3: expected a function"),
        (["--prepare", "{a: 1}"], "prepare=.*: expected a function"),
        (["--modules", "{encoder: 3}"], "modules=.*: expected a mapping of decoder, encoder, masknet"),
        (["--checkpointer", "null"], "checkpointer=None: expected a Checkpointer"),
        (["--valid_dataloader_opts", "[]"], "valid_dataloader_opts=\\[\\]: expected a mapping"),
        (["--output_folder", ""], "output_folder='': expected a folder"),
        (["--num_spks", "1000000000"], "the network does not fit into memory"),
        (["--N", "9" * 400], "wsj0mix.yaml"),
        (["--X", "21"], "X=21: expected a whole number of at most 20"),
        (["--R", "33"], "X=8 times R=33: expected at most 256 blocks"),
        (["--speeds", "[.inf]"], "speeds=.*: expected a list such as"),
        (["--batch_size", "2.0"], "batch_size=2.0: expected a whole number"),
        (["--causal", "yes"], "causal='yes': expected True or False"),  # to SpeechBrain this is no truth value
        (["--device", "gpu"], "device='gpu': there is no such device here"),
        (["--eval_precision", "fp16", "--device", "cpu"], "use bf16"),
    ],
)
def test_values_that_only_fail_later(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        loading.read(["wsj0mix", "--data_folder", ".", *words]).build()
    assert "\n" not in str(caught.value)


NAMES = [
    "run #1",
    "2024",
    "1e3",
    "null",
    "yes",
    "a=b",
    "x: y",
    "12:30",
    "2024 #1",
    "'x' #",
    "<lr>",
    "{a}",
    "[a]",
    "~x",
]
NAMES += ["caf\udce9", "\u0433\u043e\u043b\u043e\u0441", "a\\b", 'say "so"', "--x", "(1,2)"]


@pytest.mark.parametrize("name", NAMES)
def test_a_path_is_the_text_that_was_typed(name, tmp_path, monkeypatch):
    """Neither a comment nor a number, a sum or a reference; also in what the recipe makes of it, built or not."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    recipe = loading.read(["wsj0mix", f"--output_folder={name}", f"--data_folder={name}", "--lr", "0.05"])
    hparams = recipe.build()
    for settings in (recipe.settings, hparams):
        assert (settings.output_folder, settings.data_folder) == (name, name)
        assert settings.save_folder == f"{name}/save"
        assert settings.lr == 0.05
    assert str(hparams.checkpointer.checkpoints_dir) == f"{name}/save"
    if not name.startswith("-"):
        words = ["wsj0mix", "--output_folder", name, "--data_folder", name]
        assert loading.read(words).settings.output_folder == name
    Path("saved.yaml").write_text(recipe.text, encoding="utf-8")
    assert loading.read(["saved.yaml"]).settings.save_folder == f"{name}/save"


def test_the_word_null_unsets_what_may_be_null(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "null").mkdir()
    words = ["wsj0mix", "--data_folder", ".", "--speech_folder"]
    assert loading.read([*words, "null"]).settings.speech_folder is None
    assert loading.read([*words, "./null"]).settings.speech_folder == "./null"


def test_a_recipe_may_have_values_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = PAPERS.replace("batch_size: 4", "batch_sizes: 4\nbatch_size: !ref <batch_sizes>\ncomment: mine")
    Path("mine.yaml").write_text(text)
    assert loading.read(["mine.yaml", "--data_folder", "."]).settings.batch_size == 4


def test_a_file_that_is_no_recipe(tmp_path):
    (tmp_path / "list.yaml").write_text("- 1\n- 2\n")
    with pytest.raises(InputError, match=r"list\.yaml"):
        loading.read([str(tmp_path / "list.yaml")]).build()


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_has_a_causal_model(path, tmp_path, monkeypatch):
    """By two words on the command line, and by the other model file in a recipe of one's own: the same network."""
    monkeypatch.chdir(tmp_path)
    words = ["--data_folder", ".", "--num_spks", "2"]
    by_words = loading.read([path.stem, *words, "--causal", "True", "--norm", "cumulative"]).build()
    text = whole_text(path).replace("model/convtasnet.yaml", "model/causal.yaml")
    Path("mine.yaml").write_text(text.replace(" norm: !ref <norm>, causal: !ref <causal>,", ""))
    by_file = loading.read(["mine.yaml", *words]).build()
    config = by_file.modules["masknet"].config
    assert (config["norm"], config["causal"]) == ("cumulative", True)
    assert config == by_words.modules["masknet"].config
    StreamingSeparator(*by_file.modules.values())


def test_a_recipe_taken_elsewhere_finds_what_it_shares_and_goes_before_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (PACKAGED / "wsj0mix.yaml").read_text()
    Path("mine.yaml").write_text(f"{text}lr: 0.002\n")
    settings = loading.read(["mine.yaml", "--data_folder", ".", "--batch_size", "3"]).settings
    assert (settings.lr, settings.batch_size, settings.number_of_epochs) == (0.002, 3, 100)
    Path("shared").mkdir()
    own = (PACKAGED / "shared/training.yaml").read_text()
    Path("shared/training.yaml").write_text(own.replace("number_of_epochs: 100", "number_of_epochs: 7"))
    assert loading.read(["mine.yaml", "--data_folder", "."]).settings.number_of_epochs == 7


def test_the_seed_is_set_before_anything_is_built():
    keys = list(entries(PAPERS))
    assert keys.index("seed") < keys.index("__set_seed") < keys.index("model") < keys.index("modules")


def test_the_reference_describes_every_key():
    page, schema = reference_page(), json_schema()
    for name, field in Hparams.model_fields.items():
        assert field.description, name
        assert f"| `{name}` | {expected(name)} | " in page
    assert schema["properties"]["batch_size"]["anyOf"][0]["minimum"] == 1
    assert schema["properties"]["mode"]["anyOf"][0]["enum"] == ["min", "max"]


@pytest.mark.parametrize(
    "name", ["no\nsuch", "no\x85such", "no\u2028such", "\x1b[2Jsuch", "no\rsuch", "no\x1csuch"]
)
def test_whatever_a_name_holds_the_message_is_one_line(name, corpus):
    with pytest.raises(InputError, match="no such YAML file") as caught:
        loading.read(["wsj0mix", "--data_folder", str(corpus), "--model", name])
    message = str(caught.value)
    assert message.splitlines() == [message]
    assert message.isprintable()
    assert name.encode("unicode_escape").decode() in message
