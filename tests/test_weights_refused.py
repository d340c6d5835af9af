"""What cannot be imported is refused in one line: damaged files, wrong tensors, open questions; the command."""

import json

import pytest
import torch
import torchaudio
from other_toolkits import Asteroid, Kaituoxu, Naplab, small, stir

from speechbrain_tasnet import load_weights, separate
from speechbrain_tasnet.cli import main
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.separation.pretrained import TasNetSeparation


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    torch.manual_seed(0)


@pytest.fixture
def package():
    return stir(Asteroid(**small())).serialize()


def refused(*arguments, **answers) -> str:
    with pytest.raises(InputError) as caught:
        load_weights(*arguments, **answers)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    return message


def drop(state, *names):
    for name in names:
        del state[name]


# What is done to the tensors of a small asteroid model, and what is said.
DAMAGE = {
    "missing": (
        lambda s: drop(s, "masker.TCN.1.skip_conv.weight", "masker.mask_net.0.weight"),
        ["2 missing (", "masker.TCN.1.skip_conv.weight", "masker.mask_net.0.weight"],
    ),
    "many missing": (
        lambda s: drop(s, *[name for name in s if "res_conv" in name and ".5." not in name]),
        ["10 missing (", "and 7 more"],
    ),
    "a block missing": (
        lambda s: drop(s, *[name for name in s if name.startswith("masker.TCN.2.")]),
        ["masker.TCN.2.: blocks are missing"],
    ),
    "extra": (
        lambda s: s.update({"masker.TCN.0.extra.weight": torch.zeros(3)}),
        ["tensors: 1 unknown (masker.TCN.0.extra.weight)"],
    ),
    "NaN": (
        lambda s: s["masker.TCN.3.res_conv.bias"].fill_(float("nan")),
        ["1 with NaN", "masker.TCN.3.res_conv.bias"],
    ),
    "infinite": (lambda s: s["decoder.filterbank._filters"].view(-1)[3:4].fill_(float("inf")), ["infinite"]),
    "shape": (
        lambda s: s.update({"masker.TCN.4.shared_block.0.weight": torch.zeros(10, 7, 1)}),
        ["1 of a wrong shape", "masker.TCN.4.shared_block.0.weight", "[10, 7, 1], expected [10, 6]"],
    ),
    "axes": (lambda s: s.update({"encoder.filterbank._filters": torch.zeros(12)}), ["expected three axes"]),
    "nothing in it": (lambda s: s.update({"encoder.filterbank._filters": torch.zeros(0, 1, 8)}), ["N=0"]),
    "mask": (
        lambda s: s.update({"masker.mask_net.1.weight": torch.zeros(25, 5, 1)}),
        ["of 25 rows: expected a multiple of N=12"],
    ),
    "another model": (
        lambda s: [s.clear(), s.update({"rnn.weight": torch.zeros(3, 3)})],
        ["21 missing (encoder.filterbank._filters", "1 unknown (rnn.weight)"],
    ),
    "empty": (lambda s: s.clear(), ["expected a dictionary of tensors"]),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_tensors_that_do_not_fit(kind, package):
    damage, expected = DAMAGE[kind]
    damage(package["state_dict"])
    message = refused("asteroid", package)
    assert all(part in message for part in expected), message


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"norm_type": "BN"}, "norm_type='BN'"),
        ({"mask_act": "tanh"}, "mask_act='tanh'"),
        ({"fb_name": "analytic_free"}, "fb_name='analytic_free'"),
        ({"encoder_activation": "sigmoid"}, "encoder_activation='sigmoid'"),
        ({"stride": 2}, "stride=2, kernel_size=8"),
        ({"out_chan": 6}, "out_chan=6"),
        ({"who_is_pinv": "encoder"}, "who_is_pinv='encoder'"),
        ({"n_blocks": 4}, "X=4: expected a divisor of the 6 blocks"),
        ({"norm_type": ["gLN"]}, "norm_type=['gLN']"),
    ],
    ids=str,
)
def test_what_there_is_nothing_like_here(arguments, expected, package):
    package["model_args"] |= arguments
    assert expected in refused("asteroid", package)


@pytest.mark.parametrize("name", ["decoder.basis_signals.weight", "separator.network.2.1.0.net.3.net.0.weight"])
def test_tensors_that_are_reshaped_on_the_way(name):
    state = Kaituoxu(**small(), norm="channelwise", causal=True).state_dict()
    for shape in ([], [3], [4, 4, 4, 4]):
        message = refused(
            "kaituoxu", state | {name: torch.zeros(shape)}, norm="channelwise", mask_activation="relu"
        )
        assert name in message


def test_another_model_of_the_toolkit(package):
    assert "model_name='DPRNNTasNet'" in refused("asteroid", package | {"model_name": "DPRNNTasNet"})


@pytest.mark.parametrize(("options", "P"), [({}, 5), ({}, 4)])
def test_sizes_with_which_the_toolkit_does_not_run(options, P):
    assert f"P={P}" in refused("naplab", stir(Naplab(**small(P=P), **options)))
    assert f"P={P}" in refused("torchaudio", torchaudio.models.ConvTasNet(2, 8, 12, P, 6, 10, 3, 2))


def test_what_the_checkpoint_leaves_open_is_asked_for():
    state = torchaudio.models.ConvTasNet(2, 8, 12, 3, 6, 10, 3, 2).state_dict()
    message = refused("torchaudio", state)
    assert message.startswith("mask_activation, X: not in this checkpoint of torchaudio; give mask_activation (")
    assert "8 is the default" in message
    message = refused("kaituoxu", Kaituoxu(**small()).state_dict(), mask_activation="relu")
    assert message.startswith("norm: not in")
    assert "'channelwise'" in message


def test_an_answer_that_contradicts_the_checkpoint(package):
    assert "norm='cumulative': this is a model with norm='global'" in refused(
        "asteroid", package, norm="cumulative"
    )
    assert "causal=True" in refused("torchaudio", torchaudio.models.ConvTasNet(), causal=True)
    load_weights("asteroid", package, norm="gLN", X=3)  # the same in other words


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"norm": "cLN"}, "ambiguous"),
        ({"norm": "batch"}, "norm='batch'"),
        ({"norm": "global", "mask_activation": "tanh"}, "mask_activation='tanh'"),
    ],
)
def test_wrong_answers(answers, expected):
    state = Kaituoxu(**small()).state_dict()
    assert expected in refused("kaituoxu", state, **{"mask_activation": "relu"} | answers)
    assert "X=5" in refused("naplab", Naplab(**small()).state_dict(), X=5)
    assert "X=0" in refused("naplab", Naplab(**small()).state_dict(), X=0)


@pytest.mark.parametrize("toolkit", ["torchaudio", "asteroid", "naplab", "kaituoxu", "espnet"])
def test_another_module(toolkit):
    message = refused(toolkit, torch.nn.Linear(2, 2))
    assert "a Linear, but not a Conv-TasNet" in message or "unknown (weight, bias)" in message


@pytest.mark.parametrize(
    "arguments", [{"sample_rate": float("nan")}, {"stride": {}}, {"n_blocks": "8"}, {"n_blocks": None}], ids=str
)
def test_nonsense_in_a_file(arguments, package):
    package["model_args"] |= arguments
    refused("asteroid", package)


def test_an_unknown_toolkit():
    assert "toolkit 'asteriod': expected one of ['torchaudio', 'asteroid'" in refused("asteriod", {})


class Danger:
    def __reduce__(self):
        return (open, ("this_file_must_not_appear", "w"))


@pytest.mark.parametrize("zipped", [True, False])
def test_pickled_code_is_named_and_never_run(zipped, package, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    package["infos"] = Danger()
    torch.save(package, "model.pth", _use_new_zipfile_serialization=zipped)
    message = refused("asteroid", "model.pth")
    assert "model.pth: holds Python objects (" in message
    assert "open)" in message
    assert not (tmp_path / "this_file_must_not_appear").exists()
    torch.save(stir(Naplab(**small())), "model.pth", _use_new_zipfile_serialization=zipped)
    assert "other_toolkits.Naplab" in refused("naplab", "model.pth") or not zipped


@pytest.mark.parametrize("name", ["model.pth", "model.safetensors"])
@pytest.mark.parametrize("kind", ["truncated", "empty", "text", "missing"])
def test_files_that_are_no_checkpoints(name, kind, tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / name
    state = Naplab(**small()).state_dict()
    save_file(state, path) if name.endswith("safetensors") else torch.save(state, path)
    content = {"truncated": path.read_bytes()[:3000], "empty": b"", "text": b"hello, I am a poem\n"}
    path.unlink()
    if kind != "missing":
        path.write_bytes(content[kind])
    message = refused("naplab", path)
    assert message.startswith(f"{path}: ")
    assert "no such file" in message if kind == "missing" else "cut short" in message


def test_a_folder_without_the_three_files(tmp_path):
    assert "encoder.ckpt: no such file" in refused("speechbrain", tmp_path)
    assert "expected encoder, masknet, decoder" in refused("speechbrain", {"encoder": {}})
    linear = torch.nn.Linear(2, 2)
    assert "not a Conv-TasNet of speechbrain" in refused("speechbrain", (linear, linear, linear))
    assert "expected a dictionary of tensors" in refused("naplab", torch.zeros(3))


def tasnet(*words) -> int:
    try:
        main([str(word) for word in words])
    except SystemExit as stop:
        return stop.code
    return 0


def test_the_command_makes_a_separator(package, tmp_path, capsys):
    torch.save(package, tmp_path / "best_model.pth")
    assert tasnet("import", "asteroid", tmp_path / "best_model.pth", "--out", tmp_path / "out") == 0
    assert "N=12" in capsys.readouterr().out
    separator = TasNetSeparation.from_bundle(tmp_path / "out")
    assert separator.hparams.sample_rate == 8000
    mixture = torch.randn(2, 803)
    with torch.no_grad():
        expected = separate(*load_weights("asteroid", package), mixture)
    assert torch.equal(separator.separate_batch(mixture), expected)


def test_the_command_asks_for_the_rate_and_makes_nothing_before(package, tmp_path, capsys):
    del package["model_args"]["sample_rate"]
    path, out = tmp_path / "best_model.pth", tmp_path / "out"
    torch.save(package, path)
    assert tasnet("import", "asteroid", path, "--out", out) == 2
    assert "does not say its sample rate; give --sample-rate" in capsys.readouterr().err
    assert not out.exists()
    assert tasnet("import", "asteroid", path, "--out", out, "--sample-rate", 16000) == 0
    assert TasNetSeparation.from_bundle(out).hparams.sample_rate == 16000
    before = sorted(out.iterdir())
    assert tasnet("import", "asteroid", path, "--out", out, "--sample-rate", 8000) == 2
    assert "already holds something" in capsys.readouterr().err
    assert sorted(out.iterdir()) == before


def test_the_command_passes_answers_on(tmp_path):
    theirs = stir(torchaudio.models.ConvTasNet(2, 8, 12, 3, 6, 10, 3, 2, "relu"))
    torch.save(theirs.state_dict(), tmp_path / "model.pt")
    words = ["--sample-rate", 8000, "--mask-activation", "relu", "--X", 3, "--causal", "False", "--norm", "global"]
    assert tasnet("import", "torchaudio", tmp_path / "model.pt", "--out", tmp_path / "out", *words) == 0
    config = TasNetSeparation.from_bundle(tmp_path / "out").mods.masknet.config
    assert (config["X"], config["R"], config["mask_activation"]) == (3, 2, "relu")
    assert json.dumps(config)


def test_the_command_names_a_contradicting_rate(package, tmp_path, capsys):
    torch.save(package, tmp_path / "m.pth")
    words = ["--out", tmp_path / "out", "--sample-rate", 16000]
    assert tasnet("import", "asteroid", tmp_path / "m.pth", *words) == 2
    assert "the checkpoint says 8000" in capsys.readouterr().err
