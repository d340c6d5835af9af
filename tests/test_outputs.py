"""Sources at each microphone, and as a sum over all of them, on every way through the network."""

import json

import numpy as np
import pytest
import torch
from other_toolkits import stir
from tiny_models import same_in_float64

from speechbrain_tasnet import Decoder, Encoder, MaskNet, ops
from speechbrain_tasnet.bundle import load_bundle, save_bundle
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.export import export_onnx, export_streaming_onnx
from speechbrain_tasnet.losses import SeparationLoss, Targets, pit_si_snr_loss
from speechbrain_tasnet.network.model import Model
from speechbrain_tasnet.separation.live_voices import LiveVoices
from speechbrain_tasnet.separation.streaming import StreamingSeparator
from speechbrain_tasnet.training.finetuning import start_from

SIZES = {"B": 8, "H": 24, "Sc": 8, "X": 3, "R": 2}


def build(mics, outputs="each", reference=0, edge_padding=False, tail="fill", **options):
    return Model(
        stir(Encoder(16, 8, None, edge_padding, tail, mics, reference, outputs), 1),
        stir(MaskNet(16, **SIZES | options, mics=mics, outputs=outputs), 2),
        stir(Decoder(16, 8, edge_padding), 3),
    )


def record(mics, samples=1003, batch=2):
    return torch.randn(batch, samples, mics, generator=torch.Generator().manual_seed(mics))


@pytest.mark.parametrize("options", [{}, {"reference": 2, "edge_padding": True, "tail": "odd"}, {"tail": "drop"}])
def test_each_microphone_is_masked_and_decoded_by_itself(options):
    """As it is written in the paper's equations, a microphone at a time."""
    model, mixture = build(3, **options), record(3)
    estimates = model(mixture)
    assert estimates.shape == (2, 1003, 2, 3)
    plain = Encoder(**model.encoder.config | {"mics": 1, "reference": 0, "outputs": "reference"})
    plain.load_state_dict({"weight": model.encoder.weight})
    masks = model.masknet(model.encoder(mixture)).unflatten(2, (3, 16))  # in the encoder's order
    order = [model.encoder.reference, *(mic for mic in range(3) if mic != model.encoder.reference)]
    for place, mic in enumerate(order):
        decoded = model.decoder(masks[:, :, place] * plain(mixture[..., mic]))[..., :1003]
        at_mic = estimates[:, : decoded.shape[2], :, mic]
        torch.testing.assert_close(at_mic, decoded.permute(1, 2, 0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"reference": 2, "edge_padding": True, "tail": "odd"}, {"tail": "drop"}])
def test_what_each_microphone_hears_by_its_own_basis_signals_is_masked_and_summed(options):
    """As it is written in the equations, a microphone at a time."""
    model, mixture = build(3, "sum", **options), record(3)
    estimates = model(mixture)
    assert estimates.shape == (2, 1003, 2)
    masks = model.masknet(model.encoder(mixture)).unflatten(2, (3, 16))
    order = [model.encoder.reference, *(mic for mic in range(3) if mic != model.encoder.reference)]
    expected = torch.zeros(2, 2, 1003)  # [C, batch, time]
    plain = Encoder(**model.encoder.config | {"mics": 1, "reference": 0, "outputs": "reference"})
    for place, mic in enumerate(order):
        taps = model.encoder.spatial[place - 1] if place else model.encoder.weight
        plain.load_state_dict({"weight": taps})
        decoded = model.decoder(masks[:, :, place] * plain(mixture[..., mic]))[..., :1003]
        expected[..., : decoded.shape[2]] += decoded
    torch.testing.assert_close(estimates, expected.permute(1, 2, 0), rtol=1e-4, atol=1e-5)


def test_a_sum_cancels_what_all_microphones_hear_alike():
    """As no mask on one of them can."""
    model, mixture = build(2, "sum"), record(1)[..., 0]
    with torch.no_grad():
        model.encoder.spatial[:] = -model.encoder.weight
        for weights in model.masknet.mask.parameters():
            weights.zero_()
    assert model(mixture.unsqueeze(2).expand(-1, -1, 2)).abs().max() < 1e-6
    assert model(torch.stack([mixture, torch.zeros_like(mixture)], dim=2)).abs().max() > 0.1


@pytest.mark.parametrize(
    ("norm", "outputs"), [("global", "each"), ("cumulative", "each"), ("global", "sum"), ("channelwise", "sum")]
)
def test_fast_and_readable_agree_in_estimates_and_gradients(norm, outputs):
    fast, slow = (build(2, outputs, reference=1, norm=norm) for _ in range(2))
    slow = slow.double()
    mixture, lengths = record(2, batch=3), torch.tensor([1.0, 0.61, 0.3])
    assert not same_in_float64(fast, slow, mixture, lengths)[1, 612:].any()


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("outputs", ["each", "sum"])
@pytest.mark.parametrize("options", [{"reference": 1}, {"edge_padding": True}, {"tail": "drop"}])
def test_a_stream_is_what_the_whole_would_be(options, outputs, packed, monkeypatch):
    if not packed:
        monkeypatch.setattr(ops, "pack", lambda *args: None)
    model, mixture = build(3, outputs, causal=True, norm="cumulative", **options), record(3)
    live = StreamingSeparator(*model.values())
    sizes = [1, 0, 3, 160, 400, 439]
    parts = [live.step(chunk) for chunk in mixture.split(sizes, dim=1)] + [live.flush()]
    torch.testing.assert_close(torch.cat(parts, dim=1), model(mixture).detach(), rtol=1e-4, atol=1e-5)
    assert live.flush().shape == ((0, 0, 2, 3) if outputs == "each" else (0, 0, 2))


@pytest.mark.parametrize("before", [1, 2])
def test_a_trained_network_begins_with_the_levels_between_microphones(before, tmp_path):
    trained = build(before, outputs="reference")
    save_bundle(tmp_path / "trained", trained, 8000)
    model = build(2, C=3)
    said = start_from(tmp_path / "trained", model, 8000)
    assert "3 sources instead of 2" in said
    assert ("1 microphone is new" in said) == (before == 1)
    mixture = record(2, batch=1)
    mixture[..., 1] = 0.5 * mixture[..., 0]
    expected = trained(mixture if before == 2 else mixture[..., 0])
    estimates = model(mixture)
    torch.testing.assert_close(estimates[..., :2, 0], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(estimates[..., :2, 1], 0.5 * expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match="outputs=reference"):
        save_bundle(tmp_path / "each", model, 8000)
        start_from(tmp_path / "each", build(2, outputs="reference", C=3), 8000)


@pytest.mark.parametrize("before", [1, 2, 3])
def test_a_trained_network_begins_a_sum_with_what_it_did(before, tmp_path):
    """New microphones are heard, but faintly, so that what is new can be learned at once."""
    trained = build(before, "sum" if before == 3 else "reference")
    save_bundle(tmp_path / "trained", trained, 8000)
    model, mixture = build(4, "sum"), record(4)
    start_from(tmp_path / "trained", model, 8000)
    expected = trained(mixture[..., 0] if before == 1 else mixture[..., :before])
    difference = (model(mixture) - expected).square().mean() / expected.square().mean()
    assert 1e-5 < difference < 1e-2
    save_bundle(tmp_path / "sum", model, 8000)
    for outputs in ("reference", "each"):
        with pytest.raises(InputError, match="outputs="):
            start_from(tmp_path / "sum", build(4, outputs), 8000)


@pytest.mark.parametrize("outputs", ["each", "sum"])
def test_a_bundle_keeps_it_and_must_be_of_one_mind(outputs, tmp_path):
    model = build(2, outputs, reference=1)
    save_bundle(tmp_path / "bundle", model, 8000)
    loaded, config = load_bundle(tmp_path / "bundle")
    assert (config.mics, config.outputs) == (2, 2 if outputs == "each" else 1)
    torch.testing.assert_close(loaded(record(2)), model(record(2)))
    values = json.loads((tmp_path / "bundle/config.json").read_text())
    del values["modules"]["masknet"]["outputs"]
    (tmp_path / "bundle/config.json").write_text(json.dumps(values))
    with pytest.raises(InputError, match=f"outputs='{outputs}' in one module and 'reference' in another"):
        load_bundle(tmp_path / "bundle")


@pytest.mark.parametrize("outputs", ["each", "sum"])
def test_onnx_graphs_give_the_same(outputs, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    model, mixture = build(2, outputs, reference=1, causal=True, norm="channelwise"), record(2, 400)
    expected = model(mixture).detach().numpy()
    export_onnx(*model.values(), tmp_path / "whole.onnx", 8000)
    session = onnxruntime.InferenceSession(tmp_path / "whole.onnx")
    np.testing.assert_allclose(session.run(None, {"mixture": mixture.numpy()})[0], expected, atol=1e-5)
    about = session.get_modelmeta().custom_metadata_map
    assert (about["mics"], about["outputs"], about["reference"]) == ("2", outputs, "1")
    export_streaming_onnx(*model.values(), tmp_path / "step.onnx", 80, 8000)
    step = onnxruntime.InferenceSession(tmp_path / "step.onnx")
    assert step.get_modelmeta().custom_metadata_map == about | {"edge_padding": "False"}
    state = {port.name: np.zeros(port.shape, np.float32) for port in step.get_inputs()[1:]}
    state["encoder"] = mixture[:1, :4].transpose(1, 2).numpy()
    names = [port.name for port in step.get_outputs()]
    parts = []
    for chunk in mixture[:1, 4:324].split(80, dim=1):
        results = dict(zip(names, step.run(None, state | {"chunk": chunk.numpy()}), strict=True))
        parts.append(results.pop("sources"))
        state = {name.removeprefix("next."): value for name, value in results.items()}
    np.testing.assert_allclose(np.concatenate(parts, axis=1), expected[:1, :320], atol=1e-5)


def test_the_loss_is_that_of_what_all_microphones_hear_of_a_source_as_one_signal():
    targets, estimates = torch.randn(2, 3, 500, 2, 3).unbind()
    lengths = torch.tensor([1.0, 1.0, 0.5])
    joined = [signals.transpose(2, 3).flatten(1, 2) for signals in (targets, estimates)]  # [batch, time * 3, 2]
    means = [s - s.mean(1, keepdim=True) for s in (targets, estimates)]
    expected = pit_si_snr_loss(*(s.transpose(2, 3).flatten(1, 2) for s in means))
    torch.testing.assert_close(pit_si_snr_loss(targets, estimates), expected)
    assert pit_si_snr_loss(targets, estimates, lengths)[2] != expected[2]
    cut = pit_si_snr_loss(targets[2:, :250], estimates[2:, :250])
    torch.testing.assert_close(pit_si_snr_loss(targets, estimates, lengths)[2:], cut)
    # One order for all: the best of the joined signals, even where one microphone would have another.
    swapped = targets.clone()
    swapped[..., 0] = targets[..., 0].flip(2)
    assert pit_si_snr_loss(targets, swapped).mean() > -20
    assert joined[0].shape == (3, 1500, 2)
    mixture = targets.sum(2)
    loss = SeparationLoss("snr", "power", 30.0)
    assert loss(Targets(targets), mixture, targets).shape == (3,)
    quarter = targets * torch.tensor([1.0, 1.0, 0.25])
    assert pit_si_snr_loss(targets, quarter).mean() > -10  # another level at one of them counts


def test_a_voice_is_gated_at_all_microphones_at_once():
    samples = np.random.default_rng(0).normal(0, 0.1, (16000, 2, 2)).astype(np.float32)
    samples[:, 1] *= 1e-4
    sources, events = LiveVoices(8000).hear(samples)
    assert not sources[:, 1].any()
    np.testing.assert_array_equal(sources[8000:, 0], samples[8000:, 0])
    assert [event.speaker for event in events] == ["s1"]


@pytest.mark.parametrize(
    ("mics", "outputs", "message"),
    [
        (1, "each", "outputs='each' with mics=1: there is one microphone"),
        (1, "sum", "outputs='sum' with mics=1: there is one microphone"),
        (2, "all", "outputs='all': expected one"),
    ],
)
def test_impossible_outputs_are_refused(mics, outputs, message):
    for kind in (Encoder, MaskNet):
        with pytest.raises(InputError, match=message):
            kind(mics=mics, outputs=outputs)


def test_a_sum_needs_masks_that_can_be_zero():
    with pytest.raises(InputError, match="mask_activation='softmax' with outputs='sum'"):
        MaskNet(mics=2, outputs="sum", mask_activation="softmax")
