"""A batch whose items are separated in a thread each comes out as one that is separated as a whole."""

import pytest
import torch
from torch import nn

from speechbrain_tasnet import Decoder, Encoder, MaskNet, pit_si_snr_loss, separate
from speechbrain_tasnet.network import separate as module
from speechbrain_tasnet.ops import threads
from speechbrain_tasnet.ops.at_once import at_once
from speechbrain_tasnet.ops.items import for_items, over_items

pytestmark = pytest.mark.usefixtures("two_threads")

LENGTHS = torch.tensor([1.0, 0.4, 0.83, 0.05])


def network(**options):
    torch.manual_seed(0)
    return nn.ModuleList(
        [Encoder(16, 8, activation="relu"), MaskNet(16, 6, 12, 5, X=3, R=2, C=2, **options), Decoder(16, 8)]
    )


def step(parts, mixture, sources, lengths):
    """Return estimates and derivatives."""
    parts.zero_grad()
    mixture = mixture.clone().requires_grad_()
    estimates = separate(*parts, mixture, lengths)
    pit_si_snr_loss(sources, estimates.float(), lengths).mean().backward()
    return [estimates.detach(), mixture.grad, *(weight.grad.clone() for weight in parts.parameters())]


@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize(
    "options",
    [{}, {"norm": "cumulative", "causal": True}, {"norm": "channelwise"}, {"conv_padding": "reflect"}],
    ids=["global", "cumulative", "channelwise", "reflect"],
)
def test_items_in_threads_equal_the_batch(options, lengths, monkeypatch):
    parts, sources = network(**options), torch.randn(4, 1003, 2)
    mixture = sources.sum(2)
    assert for_items(4, mixture.device) == 2
    several = step(parts, mixture, sources, lengths)
    again = step(parts, mixture, sources, lengths)
    monkeypatch.setattr(module, "for_items", lambda batch, device: 1)
    whole = step(parts, mixture, sources, lengths)
    for mine, same, twin in zip(several, again, whole, strict=True):
        assert torch.equal(mine, same), "whichever thread is faster"
        torch.testing.assert_close(mine, twin, rtol=1e-4, atol=1e-5)


def test_settings_hold_in_the_threads(monkeypatch):
    parts, mixture = network(), torch.randn(4, 1003)
    with torch.inference_mode():
        assert separate(*parts, mixture).is_inference()
    with torch.no_grad():
        assert not separate(*parts, mixture).requires_grad
    with torch.autocast("cpu", torch.bfloat16):
        half = separate(*parts, mixture)
        monkeypatch.setattr(module, "for_items", lambda batch, device: 1)
        torch.testing.assert_close(half, separate(*parts, mixture))
    whole = separate(*parts, mixture)
    assert not torch.equal(half.float(), whole)


def test_frozen_weights_and_a_graph_that_is_kept():
    parts, sources = network(), torch.randn(4, 1003, 2)
    for weight in parts[1].tcn.parameters():
        weight.requires_grad_(False)
    loss = separate(*parts, sources.sum(2)).square().mean()
    loss.backward(retain_graph=True)
    once = parts[0].weight.grad.clone()
    loss.backward()
    torch.testing.assert_close(parts[0].weight.grad, 2 * once)
    assert all(weight.grad is None for weight in parts[1].tcn.parameters())
    with pytest.raises(RuntimeError, match="second"):
        loss.backward()


def test_an_error_in_a_thread_is_raised():
    def fail(item):
        raise ValueError("this one")

    with pytest.raises(ValueError, match="this one"):
        over_items(fail, 2, [torch.ones(4, 2)], [])


@pytest.mark.parametrize(("batch", "expected"), [(0, 1), (1, 1), (2, 2), (3, 2), (4, 2), (5, 2), (64, 2)])
def test_threads_take_whole_items_where_there_are_enough(batch, expected):
    assert for_items(batch, torch.device("cpu")) == expected
    assert for_items(batch, torch.device("meta")) == 1


def test_each_thread_computes_alone():
    counts = set()
    over_items(lambda item: counts.add(torch.get_num_threads()) or item, 2, [torch.ones(8, 1)], [])
    assert counts == {1}
    assert torch.get_num_threads() == 2
    assert threads._pools


def test_alone_is_for_a_while_and_for_operations_on_few_numbers():
    with threads.alone(threads.MANY - 1):
        assert torch.get_num_threads() == 1
    with threads.alone(threads.MANY):
        assert torch.get_num_threads() == 2
    with pytest.raises(ValueError, match="this one"), threads.alone():
        raise ValueError("this one")
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_derivative_at_once_is_autograds(dtype):
    counts = []

    def function(x):
        counts.append(torch.get_num_threads())
        return x.square().sum((1, 2))

    twins = [torch.linspace(-1, 1, 24).view(2, 3, 4).to(dtype).requires_grad_() for _ in range(2)]
    for x, out in zip(
        twins,
        (at_once(function, twins[0]), function(twins[1].to(torch.promote_types(dtype, torch.float32)))),
        strict=True,
    ):
        (out * torch.tensor([1.0, -3.0])).sum().backward()
        assert x.grad.dtype == dtype
    assert counts == [1, 2]
    assert torch.equal(twins[0].grad, twins[1].grad)
    with torch.no_grad():
        assert not at_once(function, twins[0]).requires_grad


def test_a_small_derivative_in_float16_may_still_be_scaled():
    x = torch.tensor([[2.0]], dtype=torch.float16, requires_grad=True)
    (2.0**30 * at_once(lambda x: 2.0**-30 * x.sum(1), x)).sum().backward()
    assert x.grad == 1


def test_nothing_shares_the_processors_with_the_threads_that_take_items(monkeypatch):
    """Torch's own threads spin for a while after each operation that they share."""
    counts = []

    def counted(function, *arguments):
        counts.append(torch.get_num_threads())
        return over_items(function, *arguments)

    monkeypatch.setattr(module, "over_items", counted)
    parts = network()
    separate(*parts, torch.randn(2, 800))
    assert counts == [1]
    assert torch.get_num_threads() == 2
