"""Networks of other toolkits train in every recipe, and do what they do at home."""

import copy
import json
import shlex
import sys

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from tiny_models import NEED_ASTEROID, SIZES, build, mixture_for

from speechbrain_tasnet.configuration.packaged import MODELS, names_in
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.experiment.workflow import run
from speechbrain_tasnet.losses import pit_si_snr_loss
from speechbrain_tasnet.network.separate import separate
from speechbrain_tasnet.peers import asteroid, torchaudio
from speechbrain_tasnet.peers.speechbrain import ItemByItem

OURS = {"convtasnet", "causal"}
REFLECTING = {"parallel", "speechbrain"}
SPEECHBRAIN = ["dprnn", "resepformer", "sepformer", "skim", "speechbrain"]

# What a toolkit makes and does not use.
UNUSED = {
    "asteroid": {"masknet.network.network.TCN.3.res_conv.weight", "masknet.network.network.TCN.3.res_conv.bias"}
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to be in."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(params=sorted(set(SIZES) - OURS))
def name(request, here):
    """Each of them in turn."""
    if request.param in NEED_ASTEROID:
        pytest.importorskip("asteroid")
    return request.param


def test_every_packaged_model_is_tested():
    assert set(SIZES) == set(names_in(MODELS))


def test_any_length_comes_out_as_long_and_every_parameter_learns(name):
    modules = build(name)
    # SpeechBrain's Conv-TasNet reflects the signal at its ends, and so needs more frames than a dilation.
    for time in (1, 7, 16, 17, 100, 801) if name not in REFLECTING else (100, 801):
        estimates = separate(**modules, mixture=mixture_for(modules, 2, time))
        assert estimates.shape == (2, time, 2)
    pit_si_snr_loss(torch.randn(2, 801, 2), estimates).mean().backward()
    still = {
        f"{part}.{key}"
        for part, module in modules.items()
        for key, parameter in module.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    }
    assert still == UNUSED.get(name, set())


def test_three_steps_lower_the_loss(name):
    modules = build(name)
    optimizer = torch.optim.Adam(modules.parameters(), lr=0.003)
    sources = torch.randn(2, 800, 2)
    mixture = 0.1 * mixture_for(modules, 2, 800)
    mixture += sources.sum(2) if mixture.ndim == 2 else sources.sum(2, keepdim=True)
    losses = []
    for _ in range(4):
        loss = pit_si_snr_loss(sources, separate(**modules, mixture=mixture)).mean()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses == sorted(losses, reverse=True)


def test_mixtures_of_a_batch_do_not_hear_each_other(name):
    modules = build(name)
    mixture = mixture_for(modules, 3, 801)
    together = separate(**modules, mixture=mixture)
    for item, estimates in zip(mixture, together, strict=True):
        torch.testing.assert_close(separate(**modules, mixture=item[None])[0], estimates, atol=1e-5, rtol=1e-4)


def test_nothing_comes_out_behind_the_end_of_a_shorter_mixture(name):
    modules = build(name)
    estimates = separate(**modules, mixture=mixture_for(modules, 2, 801), lengths=torch.tensor([1.0, 0.5]))
    assert estimates[1, :400].any()
    assert not estimates[1, 400:].any()


def test_no_two_layers_share_a_weight(name):
    modules = torch.nn.ModuleDict(build(name))
    assert len(list(modules.parameters())) == len(list(modules.named_parameters(remove_duplicate=False)))


@pytest.mark.parametrize("name", ["dprnn", "skim"])
def test_no_two_layers_begin_alike(name, here):
    weights = [p for p in build(name)["masknet"].parameters() if p.ndim == 2 and p.shape[1] > 1]
    for i, weight in enumerate(weights):
        assert not any(torch.equal(weight, other) for other in weights[:i])


@pytest.mark.parametrize("toolkit", [torchaudio, asteroid], ids=["torchaudio", "asteroid"])
@pytest.mark.parametrize("time", [16, 801, 1000])
def test_the_parts_do_what_the_whole_does(toolkit, time):
    letters = {"N": 16, "L": 16, "B": 8, "H": 12, "P": 3, "X": 2, "R": 2, "C": 3}
    if toolkit is asteroid:
        pytest.importorskip("asteroid")
        letters["Sc"] = 10
    net = toolkit.conv_tasnet(**letters)
    mixture = torch.randn(2, time)
    estimates = separate(toolkit.Encoder(net), toolkit.MaskNet(net), toolkit.Decoder(net), mixture)
    torch.testing.assert_close(estimates, net(mixture.unsqueeze(1)).transpose(1, 2), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("name", SPEECHBRAIN)
@pytest.mark.parametrize("time", [800, 807])
def test_speechbrains_recipes_get_the_same(name, time, here):
    modules = build(name)
    encoder, network = modules["encoder"].encoder, copy.deepcopy(modules["masknet"].network)
    for parent in list(network.modules()):
        for key, child in parent.named_children():
            if isinstance(child, ItemByItem):
                setattr(parent, key, child.block)
    mixture = torch.randn(1, time)
    mixture_w = encoder(mixture)
    masked = network(mixture_w) * torch.stack([mixture_w] * 2)
    estimates = torch.stack([modules["decoder"].decoder(source_w) for source_w in masked], dim=-1)
    expected = F.pad(estimates, (0, 0, 0, time - estimates.shape[1]))
    torch.testing.assert_close(separate(**modules, mixture=mixture), expected, atol=1e-6, rtol=1e-4)


def test_asteroid_that_is_not_there_is_said_with_the_way_to_get_it(here, monkeypatch):
    monkeypatch.setitem(sys.modules, "asteroid.models", None)
    with pytest.raises(InputError, match=r"pip install 'speechbrain-tasnet\[study\]'"):
        build("asteroid")


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("torchaudio", "--mask_activation softmax", "torchaudio has sigmoid and relu"),
        ("torchaudio", "--L 15", "L=15: expected an even number"),
        ("dprnn", "--L 15", "L=15: expected an even number"),
        ("pinv", "--N 15", "N=15: expected at least L=16"),
        ("asteroid", "--causal True", "see the future"),
        ("asteroid", "--mask_activation tanh", "Asteroid has sigmoid"),
    ],
)
def test_what_a_toolkit_does_not_have_is_said(name, words, message, here):
    if name == "asteroid":
        pytest.importorskip("asteroid")
    pairs = iter(f"{SIZES[name]} {words}".split())
    sizes = dict(zip(pairs, pairs, strict=True))  # the last one of a key counts
    with pytest.raises(InputError, match=message):
        build(name, " ".join(f"{key} {value}" for key, value in sizes.items()))


def test_a_run_of_another_network_goes_on_and_is_evaluated_from_its_folder(corpus, tmp_path):
    folder = tmp_path / "run"
    words = f"--model dprnn {SIZES['dprnn']} --batch_size 2 --segment 0.5 --num_workers 0 --noprogressbar"
    words += f" --device cpu --data_folder {corpus} --number_of_epochs"
    run(["demo", "--output_folder", str(folder), *shlex.split(words), "1"])
    assert "No bundle" in (folder / "log.txt").read_text()
    assert not (folder / "pretrained").exists()
    assert "hidden_channels 6" in (folder / "report.html").read_text()
    first = json.loads((folder / "test_results.json").read_text())["metrics"]["si-snr"]["mean"]
    run([str(folder), "--noprogressbar"], evaluate_only=True)
    assert json.loads((folder / "test_results.json").read_text())["metrics"]["si-snr"]["mean"] == first
    run(["demo", "--output_folder", str(folder), *shlex.split(words), "2"])
    assert "epoch: 2" in (folder / "train_log.txt").read_text()
    before = (folder / "hyperparams.yaml").read_text()
    with pytest.raises(InputError, match="checkpoints of another network"):
        run(
            [
                "demo",
                "--output_folder",
                str(folder),
                *shlex.split(words.replace("--hidden_channels 6", "--hidden_channels 7")),
                "2",
            ]
        )
    assert (folder / "hyperparams.yaml").read_text() == before
    with pytest.raises(InputError, match="only a Conv-TasNet of this package"):
        fresh = ["--output_folder", str(tmp_path / "new"), "--pretrained", str(folder)]
        run(["demo", *fresh, *shlex.split(words), "1"])
