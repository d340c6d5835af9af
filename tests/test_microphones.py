"""Several microphones: parallel encoders that meet in the bottleneck, on every way through the network."""

import json

import numpy as np
import pytest
import torch
from other_toolkits import stir
from tiny_models import same_in_float64

from speechbrain_tasnet import Decoder, Encoder, MaskNet, ops, separate
from speechbrain_tasnet.bundle import load_bundle, save_bundle
from speechbrain_tasnet.convert.express import refuse_unless, settings_of
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.export import export_streaming_onnx
from speechbrain_tasnet.network.costs import macs_per_second
from speechbrain_tasnet.network.model import Model
from speechbrain_tasnet.separation.streaming import StreamingSeparator
from speechbrain_tasnet.training.finetuning import start_from

SIZES = {"B": 8, "H": 24, "Sc": 8, "X": 3, "R": 2}
ENDS = {
    "plain": {},
    "relu, second microphone": {"activation": "relu", "reference": 1},
    "edges": {"edge_padding": True, "tail": "odd"},
    "drop": {"tail": "drop"},
}


def build(mics, edge_padding=False, sizes=SIZES, activation=None, tail="fill", reference=0, **options):
    return Model(
        stir(Encoder(16, 8, activation, edge_padding, tail, mics, reference), 1),
        stir(MaskNet(16, **sizes | options, mics=mics), 2),
        stir(Decoder(16, 8, edge_padding), 3),
    )


def record(mics, samples=1003, batch=2):
    return torch.randn(batch, samples, mics, generator=torch.Generator().manual_seed(mics))


def names_of(model):
    return [name for name, _ in model.named_parameters()]


def test_one_microphone_is_the_network_of_before(tmp_path):
    model = build(1)
    assert not [name for name in names_of(model) if "spatial" in name]
    assert [part.weight.shape for part in (model.encoder, model.decoder)] == 2 * [(16, 1, 8)]
    save_bundle(tmp_path / "bundle", model, 8000)
    modules = json.loads((tmp_path / "bundle/config.json").read_text())["modules"]
    assert not {"mics", "reference"} & {*modules["encoder"], *modules["masknet"]}


@pytest.mark.parametrize("norm", ["global", "cumulative", "channelwise"])
@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("mics", [2, 3])
def test_fast_and_readable_agree_in_estimates_and_gradients(mics, ends, norm):
    fast = build(mics, **ENDS[ends], norm=norm)
    slow = build(mics, **ENDS[ends], norm=norm).double()
    mixture, lengths = record(mics, batch=3), torch.tensor([1.0, 0.61, 0.3])
    assert same_in_float64(fast, slow, mixture, lengths).shape == (3, 1003, 2)


def test_padding_is_not_heard():
    model, mixture = build(2), record(2)
    padded = torch.cat([mixture[:1], 9 * record(2, 500, 1)], dim=1)
    together = model(padded, torch.tensor([1003 / 1503]))
    torch.testing.assert_close(together[:, :1003], model(mixture[:1]), rtol=1e-4, atol=1e-5)
    assert not together[:, 1003:].any()


def test_a_delay_between_microphones_is_heard():
    model, mono = build(2), build(1)
    sound = torch.randn(1, 1024, generator=torch.Generator().manual_seed(5))
    both, shifted = sound.unsqueeze(2).expand(-1, -1, 2), torch.stack([sound, sound.roll(1, 1)], dim=2)
    assert (model(both) - model(shifted)).abs().max() > 1e-3
    assert torch.equal(mono(both[..., 0]), mono(shifted[..., 0]))


def test_how_loud_another_microphone_is_does_not_matter():
    model, mixture = build(2, norm="global"), record(2)
    louder = mixture * torch.tensor([1.0, 20.0])
    torch.testing.assert_close(model(louder), model(mixture), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("norm", ["cumulative", "channelwise"])
@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("packed", [True, False])
def test_a_stream_is_what_the_whole_would_be(packed, ends, norm, monkeypatch):
    model, mixture = build(3, **ENDS[ends], causal=True, norm=norm), record(3)
    if not packed:
        monkeypatch.setattr(ops, "find_loops", lambda x: None)
    live = StreamingSeparator(*model.values())
    parts = [live.step(chunk) for chunk in mixture.split([1, 0, 7, 300, 95, 600], dim=1)]
    again = StreamingSeparator(*model.values())
    again.load_state_dict(live.state_dict())
    parts.append(again.flush())
    torch.testing.assert_close(torch.cat(parts, dim=1), model(mixture), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("reference", [0, 1])
def test_a_trained_network_is_given_more_ears_and_does_what_it_did(tmp_path, reference):
    trained, mixture = build(1), record(3)
    save_bundle(tmp_path / "mono", trained, 8000)
    two = build(2, reference=reference)
    line = start_from(tmp_path / "mono", two, 8000)
    assert line.endswith("; 1 microphone is new and not listened to yet")
    torch.testing.assert_close(two(mixture[..., :2]), trained(mixture[..., reference]), rtol=1e-4, atol=1e-5)
    two(mixture[..., :2]).square().sum().backward()
    assert two.masknet.spatial[0].linear.weight.grad.any()
    with torch.no_grad():
        two.masknet.spatial[0].linear.weight.normal_()
    save_bundle(tmp_path / "two", two, 8000)
    four = build(4, reference=reference)
    assert "2 microphones are new" in start_from(tmp_path / "two", four, 8000)
    more = torch.cat([mixture, mixture[..., :1]], dim=2)
    torch.testing.assert_close(four(more), two(mixture[..., :2]), rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match=r"mics=1: the separator in .* has 2; give --mics 2"):
        start_from(tmp_path / "two", build(1), 8000)


def test_another_reference_is_refused_where_microphones_are_known(tmp_path):
    save_bundle(tmp_path / "two", build(2), 8000)
    with pytest.raises(InputError, match=r"reference=1: the separator in .* has 0; give --reference 0"):
        start_from(tmp_path / "two", build(2, reference=1), 8000)


@pytest.mark.parametrize("twice", [{"L": 16}, {"L": 16, "N": 32, "X": 2}])
def test_twice_the_rate_begins_with_all_microphones_and_twice_the_hop_is_refused(tmp_path, twice):
    save_bundle(tmp_path / "two", build(2), 8000)
    fresh = Model(
        Encoder(twice.get("N", 16), 16, mics=2),
        MaskNet(twice.get("N", 16), **SIZES | {"X": twice.get("X", 3)}, mics=2),
        Decoder(twice.get("N", 16), 16),
    )
    if "N" in twice:
        with pytest.raises(InputError, match=r"N=32: the separator in .* has 16"):
            start_from(tmp_path / "two", fresh, 8000)
    else:
        start_from(tmp_path / "two", fresh, 16000)
        spatial = load_bundle(tmp_path / "two").model.encoder.spatial
        torch.testing.assert_close(fresh.encoder.spatial[..., ::2], spatial / 2, rtol=0.05, atol=0.02)


def test_a_bundle_keeps_its_microphones(tmp_path):
    model, mixture = build(2, reference=1), record(2)
    save_bundle(tmp_path / "bundle", model, 8000)
    loaded, config = load_bundle(tmp_path / "bundle")
    assert config.mics == 2
    assert torch.equal(loaded(mixture), model(mixture))
    text = (tmp_path / "bundle/config.json").read_text()
    (tmp_path / "bundle/config.json").write_text(text.replace('"mics": 2', '"mics": 3', 1))
    with pytest.raises(InputError, match="mics=3 in one module and 2 in another"):
        load_bundle(tmp_path / "bundle")


def test_a_further_microphone_costs_its_encoder_and_its_share_of_the_bottleneck():
    sizes = {"B": 128, "H": 256, "Sc": 128, "X": 7, "R": 2}
    one, two, four = (
        macs_per_second(
            Model(Encoder(512, 64, mics=mics), MaskNet(512, **sizes, mics=mics), Decoder(512, 64)), 8000
        )
        for mics in (1, 2, 4)
    )
    assert four - two == pytest.approx(2 * (two - one))
    assert two - one == pytest.approx(512 * (64 + 128) * 8000 / 32, rel=0.01)


@pytest.mark.parametrize(
    ("mics", "shape", "expected"),
    [
        (1, (2, 100, 2), r"signal of shape \[2, 100, 2\]: expected \[batch, time\]$"),
        (2, (2, 100), r"signal of shape \[2, 100\]: expected \[batch, time, 2\], a channel for each microphone"),
        (2, (2, 100, 3), r"signal of shape \[2, 100, 3\]: expected \[batch, time, 2\]"),
        (2, (2, 0, 2), "expected time at least 1"),
    ],
)
def test_signals_of_other_shapes_are_refused(mics, shape, expected):
    with pytest.raises(InputError, match=expected):
        separate(*build(mics).values(), torch.zeros(shape))


@pytest.mark.parametrize(("mics", "reference"), [(0, 0), (2, 2), (2, -1), (1.5, 0)])
def test_impossible_microphones_are_refused(mics, reference):
    with pytest.raises(InputError, match=r"mics|reference"):
        Encoder(16, 8, mics=mics, reference=reference)


@pytest.mark.parametrize(
    ("of_encoder", "of_decoder", "message"),
    [
        ({"mics": 2}, {}, "mics=2 of the encoder, 1 of the mask network: expected the same"),
        ({"mics": 2, "outputs": "sum"}, {}, "mics=2 of the encoder, 1 of the mask network"),
        ({"N": 32}, {"N": 32}, "N=32 of the encoder, 16 of the mask network"),
        ({}, {"N": 32}, "N=16 of the encoder, 32 of the decoder"),
        ({}, {"L": 16}, "L=8 of the encoder, 16 of the decoder"),
        ({"edge_padding": True}, {}, "edge_padding=True of the encoder, False of the decoder"),
    ],
)
def test_parts_that_do_not_belong_together_are_refused(of_encoder, of_decoder, message):
    sizes = {"N": 16, "L": 8}
    with pytest.raises(InputError, match=message):
        Model(Encoder(**sizes | of_encoder), MaskNet(16, **SIZES), Decoder(**sizes | of_decoder))


@pytest.mark.parametrize(
    ("of_encoder", "of_masknet", "message"),
    [
        ({"outputs": "sum"}, {}, "outputs='sum' of the encoder, 'reference' of the mask network"),
        ({"outputs": "each"}, {"outputs": "sum"}, "outputs='each' of the encoder, 'sum' of the mask network"),
        ({}, {"outputs": "each"}, "outputs='reference' of the encoder, 'each' of the mask network"),
        ({}, {"outputs": "sum"}, "outputs='reference' of the encoder, 'sum' of the mask network"),
        ({}, {"mics": 1}, "mics=2 of the encoder, 1 of the mask network"),
        ({}, {"mics": 3}, "mics=2 of the encoder, 3 of the mask network"),
    ],
)
def test_other_microphones_are_refused_wherever_the_parts_meet(of_encoder, of_masknet, message, tmp_path):
    parts = (
        Encoder(16, 8, **{"mics": 2} | of_encoder),
        MaskNet(16, **SIZES, **{"mics": 2, "norm": "cumulative", "causal": True} | of_masknet),
        Decoder(16, 8),
    )
    wrapped = [torch.nn.DataParallel(part) for part in parts]
    for use in (
        lambda: Model(*parts),
        lambda: separate(*parts, record(2)),
        lambda: separate(*wrapped, record(2)),
        lambda: export_streaming_onnx(*parts, tmp_path / "step.onnx", 80),
    ):
        with pytest.raises(InputError, match=message):
            use()


def test_no_recordings_and_pcm_are_fine():
    model = build(2)
    assert model(torch.zeros(0, 100, 2)).shape == (0, 100, 2)
    pcm = (record(2) * 1000).short().numpy()
    estimates = separate(*model.values(), pcm)
    assert estimates.dtype == np.float32
    np.testing.assert_allclose(estimates, model(torch.from_numpy(pcm) / 2**15).detach(), rtol=1e-3, atol=1e-5)


def test_other_toolkits_have_one_microphone():
    with pytest.raises(InputError, match="mics=2: the Conv-TasNet of Asteroid has only 1"):
        refuse_unless("Asteroid", settings_of(build(2)), {})
