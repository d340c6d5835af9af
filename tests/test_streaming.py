"""Streaming equals offline: any chunks, both ways through the network, any number of streams, any interruption."""

import io
import itertools
import random
import subprocess
import sys

import pytest
import torch

from speechbrain_tasnet import Decoder, Encoder, MaskNet, StreamingSeparator, ops, pit_si_snr_loss, separate
from speechbrain_tasnet.errors import InputError

SMALL = {"N": 16, "B": 8, "H": 24, "Sc": 8, "P": 3, "X": 3, "R": 1, "C": 2}
NORMS = ["cumulative", "channelwise"]


@pytest.fixture(autouse=True)
def _same_numbers_every_time():
    torch.manual_seed(0)


@pytest.fixture(params=["packed", "plain"])
def way(request, monkeypatch):
    """Both ways through the network: packed for a processor, and layer by layer."""
    if request.param == "plain":
        monkeypatch.setattr(ops, "find_loops", lambda x: None)
    return request.param


def build(norm="cumulative", L=16, edge_padding=False, activation=None, tail="fill", **sizes):
    """Build a small causal model whose weights are all alive."""
    sizes = SMALL | sizes
    N = sizes["N"]
    model = (
        Encoder(N, L, activation, edge_padding, tail),
        MaskNet(**sizes, norm=norm, causal=True),
        Decoder(N, L, edge_padding),
    )
    with torch.no_grad():  # norms at their initial values would hide a mistake in their order
        for parameter in model[1].parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def offline(model, mixture):
    with torch.no_grad():
        return separate(*model, mixture)


def stream(live, mixture, sizes):
    """Feed a mixture in chunks of these sizes, checking that no sample comes later than it must."""
    latest = live.encoder.kernel_size - 1
    position = given = 0
    parts = []
    for size in sizes:
        if position >= mixture.shape[1]:
            break
        parts.append(live.step(mixture[:, position : position + size]))
        position = min(position + size, mixture.shape[1])
        given += parts[-1].shape[1]
        assert position - given <= latest
    return torch.cat([*parts, live.flush()], dim=1)


def random_sizes(seed):
    generator = random.Random(seed)
    while True:
        yield generator.choice([0, 1, 2, 5, 15, 16, 17, 100, 700])


CHUNKS = {str(n): lambda n=n: itertools.repeat(n) for n in (1, 7, 8, 16, 80, 4001)} | {
    "random": lambda: random_sizes(1)
}


@pytest.mark.parametrize("chunks", CHUNKS)
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("edge_padding", [False, True])
def test_streaming_equals_offline(way, chunks, norm, edge_padding):
    model = build(norm, edge_padding=edge_padding)
    live = StreamingSeparator(*model)
    assert (live._packed_net is None) == (way == "plain")
    long = {"80": (1013,), "4001": (1013, 9001)}
    for num_samples in (1, 7, 8, 9, 15, 16, 17, 24, 25, *long.get(chunks, (331,))):
        mixture = torch.randn(2, num_samples)
        got = stream(live, mixture, CHUNKS[chunks]())
        torch.testing.assert_close(got, offline(model, mixture), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("edge_padding", "tail"), [(False, "drop"), (False, "odd"), (True, "odd")])
def test_the_end_of_a_stream_is_that_of_the_whole_signal(way, edge_padding, tail):
    model = build(edge_padding=edge_padding, tail=tail)
    for num_samples in (1, 7, 8, 9, 15, 16, 17, 24, 25, 331):
        mixture = torch.randn(2, num_samples)
        got = stream(StreamingSeparator(*model), mixture, CHUNKS["7"]())
        torch.testing.assert_close(got, offline(model, mixture), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "sizes",
    [
        {"L": 2}, {"L": 40}, {"P": 1}, {"P": 2}, {"P": 5}, {"Sc": 0}, {"C": 1}, {"C": 3},
        {"H": 33, "B": 7, "N": 5, "Sc": 3},
        {"activation": "relu"}, {"mask_activation": "relu"}, {"mask_activation": "softmax"}, {"H": 130, "B": 70},
        {"X": 1, "R": 1, "Sc": 0}, {"input_norm": "channelwise"}, {"input_norm": "cumulative"},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("norm", NORMS)
def test_any_model(way, sizes, norm):
    model = build(norm, **sizes)
    mixture = torch.randn(3, 513)
    got = stream(StreamingSeparator(*model), mixture, random_sizes(2))
    torch.testing.assert_close(got, offline(model, mixture), rtol=0, atol=1e-5)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("chunk", [80, 4001])
def test_bfloat16(way, norm, chunk):
    """Products in bfloat16 err, streaming and offline alike, by their rounding."""
    model = build(norm)
    mixture = torch.randn(2, 1013)
    truth = offline(model, mixture)
    with torch.autocast("cpu", torch.bfloat16):
        got = stream(StreamingSeparator(*model), mixture, itertools.repeat(chunk)).float()
        expected = offline(model, mixture).float()
    scale = truth.abs().max()
    assert (got - truth).abs().max() < 3e-2 * scale
    assert (got - expected).abs().max() < 3e-2 * scale


def test_float64():
    model = [module.double() for module in build()]
    mixture = torch.randn(2, 1013, dtype=torch.float64)
    got = stream(StreamingSeparator(*model), mixture, itertools.repeat(80))
    torch.testing.assert_close(got, offline(model, mixture), rtol=0, atol=1e-12)


@pytest.mark.parametrize("norm", NORMS)
def test_paper_sizes(norm):
    sizes = {"N": 512, "B": 128, "H": 512, "Sc": 128, "X": 8, "R": 3}
    model = build(norm, **sizes)
    mixture = torch.randn(1, 4001)
    got = stream(StreamingSeparator(*model), mixture, itertools.repeat(80))
    expected = offline(model, mixture)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5 * max(1, expected.abs().max().item()))


def test_samples_come_out_as_soon_as_they_are_known(way):
    """At L=16 a sample is known when its last frame is: 8 come out with every 8th sample from the 16th on."""
    live = StreamingSeparator(*build())
    given = [live.step(torch.randn(1, 1)).shape[1] for _ in range(40)]
    assert [i + 1 for i, count in enumerate(given) if count] == [16, 24, 32, 40]
    assert set(given) == {0, 8}
    assert live.flush().shape[1] == 8


def test_nothing_is_nothing(way):
    live = StreamingSeparator(*build())
    assert live.state_dict() == {}
    assert live.flush().shape == (0, 0, 2)
    assert live.step(torch.zeros(3, 0)).shape == (3, 0, 2)
    assert live.flush().shape == (3, 0, 2)
    mixture = torch.randn(3, 100)
    first = live.step(mixture)
    assert live.step(torch.zeros(3, 0)).shape == (3, 0, 2)
    torch.testing.assert_close(
        torch.cat([first, live.flush()], 1),
        offline((live.encoder, live.masknet, live.decoder), mixture),
        rtol=0,
        atol=1e-5,
    )


def test_streams_of_a_batch_do_not_touch(way):
    model = build()
    mixture = torch.randn(3, 500)
    other = mixture.clone()
    other[1] = 1000 * torch.randn(500)
    one, two = (stream(StreamingSeparator(*model), m, random_sizes(3)) for m in (mixture, other))
    assert torch.equal(one[[0, 2]], two[[0, 2]])
    assert not torch.equal(one[1], two[1])


def test_two_separators_of_one_model_do_not_touch(way):
    model = build()
    a, b = StreamingSeparator(*model), StreamingSeparator(*model)
    mixtures = torch.randn(2, 1, 400)
    got = [[], []]
    for start in range(0, 400, 50):
        for live, mixture, parts in zip((a, b), mixtures, got, strict=True):
            parts.append(live.step(mixture[:, start : start + 50]))
    for live, mixture, parts in zip((a, b), mixtures, got, strict=True):
        torch.testing.assert_close(
            torch.cat([*parts, live.flush()], 1), offline(model, mixture), rtol=0, atol=1e-5
        )


@pytest.mark.parametrize("cut", [0, 3, 16, 203])
@pytest.mark.parametrize("norm", NORMS)
def test_a_state_is_saved_and_loaded(way, norm, cut, monkeypatch):
    """Through a file, into another separator, which may take the other way through the network."""
    model = build(norm, edge_padding=True)
    mixture = torch.randn(2, 400)
    first = StreamingSeparator(*model)
    before = first.step(mixture[:, :cut])
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    assert all(len(tensor) == 2 for tensor in saved.values()), "the first axis tells the streams apart"
    first.step(torch.randn(2, 99))  # what goes on here must not reach what was saved
    if way == "packed":
        monkeypatch.setattr(ops, "find_loops", lambda x: None)
    second = StreamingSeparator(*model)
    second.load_state_dict(saved)
    got = torch.cat([before, second.step(mixture[:, cut:]), second.flush()], dim=1)
    torch.testing.assert_close(got, offline(model, mixture), rtol=0, atol=1e-5)


def test_safetensors_take_a_state(way):
    safetensors = pytest.importorskip("safetensors.torch")
    live = StreamingSeparator(*build())
    live.step(torch.randn(2, 100))
    state = live.state_dict()
    loaded = safetensors.load(safetensors.save(state))
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[name], state[name]) for name in state)


def test_one_stream_of_a_batch_goes_on_alone(way):
    model = build()
    mixture = torch.randn(3, 400)
    live = StreamingSeparator(*model)
    before = live.step(mixture[:, :201])
    alone = StreamingSeparator(*model)
    alone.load_state_dict({name: tensor[1:2] for name, tensor in live.state_dict().items()})
    got = torch.cat([before[1:2], alone.step(mixture[1:2, 201:]), alone.flush()], dim=1)
    torch.testing.assert_close(got, offline(model, mixture[1:2]), rtol=0, atol=1e-5)


def test_a_state_moves_between_kinds_of_numbers():
    """As between devices: it takes on what the separator's model has."""
    model = build()
    mixture = torch.randn(1, 400)
    live = StreamingSeparator(*model)
    before = live.step(mixture[:, :201])
    state = live.state_dict()
    moved = StreamingSeparator(*(module.double() for module in model))
    moved.load_state_dict(state)
    assert moved.state_dict()["masknet.tcn.0.depthwise"].dtype == torch.float64
    got = torch.cat([before, moved.step(mixture[:, 201:].double()), moved.flush()], dim=1)
    torch.testing.assert_close(got, offline(model, mixture.double()), rtol=0, atol=1e-5)


def test_reset_forgets(way):
    model = build()
    live = StreamingSeparator(*model)
    mixture = torch.randn(1, 300)
    live.step(torch.randn(1, 123))
    live.reset()
    torch.testing.assert_close(stream(live, mixture, [300]), offline(model, mixture), rtol=0, atol=1e-5)


def test_a_refused_chunk_changes_nothing(way):
    model = build()
    live = StreamingSeparator(*model)
    mixture = torch.randn(1, 300)
    first = live.step(mixture[:, :100])
    for wrong, message in (
        (torch.full((1, 5), float("nan")), "NaN"),
        (torch.tensor([[0.0, float("inf")]]), "infinite"),
        (torch.full((1, 5), 1e9), "above 1e\\+06"),
        (torch.zeros(5), "chunk of shape .5.: expected .batch, time."),
        (torch.zeros(0, 5), "no streams, expected at least 1"),
        (torch.zeros(2, 5), "reset\\(\\) starts again"),
    ):
        with pytest.raises(InputError, match=message):
            live.step(wrong)
    got = torch.cat([first, live.step(mixture[:, 100:]), live.flush()], 1)
    torch.testing.assert_close(got, offline(model, mixture), rtol=0, atol=1e-5)


def test_models_that_cannot_stream_are_refused():
    encoder, _, decoder = build()
    for norm in ("global", "cumulative"):
        with pytest.raises(InputError, match=r"sees the future.*--causal True --norm cumulative"):
            StreamingSeparator(encoder, MaskNet(**SMALL, norm=norm), decoder)
    with pytest.raises(InputError, match="edge_padding"):
        StreamingSeparator(encoder, build()[1], Decoder(16, 16, edge_padding=True))


def test_foreign_states_are_refused():
    live, other = StreamingSeparator(*build()), StreamingSeparator(*build(X=2))
    other.step(torch.zeros(1, 40))
    state = other.state_dict()
    with pytest.raises(InputError, match="same configuration"):
        live.load_state_dict(state)
    with pytest.raises(InputError, match="heard is missing"):
        live.load_state_dict({"weight": torch.zeros(1)})
    live.step(torch.zeros(2, 40))
    state = live.state_dict()
    with pytest.raises(InputError, match="began together"):
        live.load_state_dict({**state, "heard": torch.tensor([40, 48])})
    state["decoder"] = torch.zeros(2, 2, 3)
    with pytest.raises(InputError, match="decoder of shape \\[2, 2, 3\\]: expected \\[2, 2, 8\\]"):
        live.load_state_dict(state)


def test_later_changes_of_the_weights_do_not_reach_what_is_packed():
    model = build()
    live = StreamingSeparator(*model)
    mixture = torch.randn(1, 300)
    expected = offline(model, mixture)
    with torch.no_grad():
        for parameter in model[1].parameters():
            parameter.zero_()
    torch.testing.assert_close(stream(live, mixture, [300]), expected, rtol=0, atol=1e-5)


def test_a_trained_model_loses_nothing(way):
    """Two tones far apart are learned in seconds; streamed, they are as far apart."""
    model = build(B=16, H=32, Sc=16)
    optimizer = torch.optim.Adam([p for module in model for p in module.parameters()], lr=0.01)
    for _ in range(60):
        sources = tones(4, 800)
        loss = pit_si_snr_loss(sources, separate(*model, sources.sum(2))).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    sources = tones(4, 4001)
    got = stream(StreamingSeparator(*model), sources.sum(2), itertools.repeat(80))
    streamed, whole = (-pit_si_snr_loss(sources, e) for e in (got, offline(model, sources.sum(2))))
    assert whole.mean() > 6, "it has learned nothing that could be lost"
    torch.testing.assert_close(streamed, whole, rtol=0, atol=1e-3)


def tones(batch, time):
    """Draw a low and a high tone of any phase: [batch, time, 2]."""
    frequency = torch.stack([0.05 + 0.05 * torch.rand(batch), 0.3 + 0.1 * torch.rand(batch)], dim=1)
    phase = 6.28 * torch.rand(batch, 1, 2)
    return torch.sin(6.28 * frequency[:, None] * torch.arange(time)[None, :, None] + phase)


def test_memory_does_not_grow():
    """Neither tensors nor pages: four thousand chunks in a process of its own."""
    code = (
        "import gc, re, torch\n"
        "from speechbrain_tasnet import Decoder, Encoder, MaskNet, StreamingSeparator\n"
        "net = MaskNet(16, 8, 24, 8, X=4, R=2, norm='cumulative', causal=True)\n"
        "live = StreamingSeparator(Encoder(16), net, Decoder(16))\n"
        "def run(chunks):\n"
        "    for chunk in torch.randn(100, 1, 80).repeat(chunks // 100, 1, 1): live.step(chunk)\n"
        "    gc.collect()\n"
        "    resident = int(re.search(r'VmRSS:\\s*(\\d+)', open('/proc/self/status').read())[1])\n"
        "    return resident, sum(isinstance(o, torch.Tensor) for o in gc.get_objects())\n"
        "run(1000)\n"
        "(before, tensors), (after, tensors_after) = run(100), run(4000)\n"
        "print(after - before, tensors_after - tensors)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    grown, tensors = map(int, done.stdout.split())
    assert tensors == 0
    assert grown < 8 * 1024  # kB: 4 MB are the chunks themselves


def test_a_packed_network_takes_frames_however_they_lie_in_memory():
    """The encoder's frames lie channel by channel in a row; what others pass may lie the other way round."""
    net = MaskNet(16, 8, 16, 8, X=2, R=1, norm="cumulative", causal=True)
    mixture_w, state = torch.randn(2, 16, 7), net.initial_state(2)
    assert mixture_w.is_contiguous()
    with torch.no_grad():
        expected, _ = net.step(mixture_w, state)
        masks, _ = net.step(mixture_w, net.pack().begin(*state))
    torch.testing.assert_close(masks, expected, atol=1e-6, rtol=0)
