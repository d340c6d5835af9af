"""Muon's steps against their plain definition."""

import copy
import math

import pytest
import torch
from torch import nn

from speechbrain_tasnet.training import muon
from speechbrain_tasnet.training.muon import Muon, orthogonal
from speechbrain_tasnet.training.optimizers import make_optimizer


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv1d(1, 6, 4, stride=2), nn.Linear(9, 5), nn.PReLU(), nn.Linear(5, 9), nn.Linear(9, 5)
    )


def train(model, optimizer, steps, start=0):
    for step in range(start, start + steps):
        generator = torch.Generator().manual_seed(step)
        optimizer.zero_grad()
        model(torch.randn(3, 1, 20, generator=generator)).square().sum().backward()
        optimizer.step()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(1, 6, 6), (2, 4, 9), (1, 9, 4), (1, 1, 5), (3, 7, 2)])
def test_all_directions_are_equally_long(shape, dtype):
    torch.manual_seed(1)
    matrix = torch.randn(shape)
    steps = orthogonal(matrix, dtype)
    assert steps.dtype == torch.float32
    values = torch.linalg.svdvals(steps)
    assert values.min() > 0.6
    assert values.max() < 1.3
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    assert ((steps - left @ right).norm() / (left @ right).norm()) < 0.4


def test_no_gradient_is_no_direction():
    assert torch.equal(orthogonal(torch.zeros(2, 3, 4)), torch.zeros(2, 3, 4))


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_matrices_take_muons_steps_and_the_rest_takes_adams(monkeypatch, threads):
    monkeypatch.setattr(muon, "_fast_type", lambda device: torch.float32)
    model = network()
    plain = copy.deepcopy(model)
    optimizer = Muon(model.parameters(), lr=0.01, momentum=0.9, rms=0.3)
    optimizer._threads = threads
    train(model, optimizer, 3)

    matrices = [weight for weight in plain.parameters() if weight.ndim == 2]
    adam = torch.optim.Adam([weight for weight in plain.parameters() if weight.ndim != 2], lr=0.01)
    averages = [torch.zeros_like(weight) for weight in matrices]
    for step in range(3):
        plain.zero_grad()
        generator = torch.Generator().manual_seed(step)
        plain(torch.randn(3, 1, 20, generator=generator)).square().sum().backward()
        adam.step()
        for weight, average in zip(matrices, averages, strict=True):
            average.mul_(0.9).add_(weight.grad)
            direction = orthogonal((weight.grad + 0.9 * average)[None])[0]
            weight.data -= 0.01 * 0.3 * math.sqrt(max(weight.shape)) * direction
    for weight, other in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(weight, other)


def test_it_goes_on_where_it_was_saved():
    whole, first = network(), network()
    train(whole, Muon(whole.parameters(), lr=0.01), 4)
    optimizer = Muon(first.parameters(), lr=0.01)
    train(first, optimizer, 2)
    again = Muon(first.parameters(), lr=0.5)
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    train(first, again, 2, start=2)
    for weight, other in zip(whole.parameters(), first.parameters(), strict=True):
        torch.testing.assert_close(weight, other, rtol=0, atol=0)


def test_weights_without_a_gradient_stay():
    model = network()
    before = model[3].weight.detach().clone()
    optimizer = make_optimizer(model.parameters(), "muon", lr=0.01)
    model[1](torch.ones(2, 9)).sum().backward()
    optimizer.step()
    assert torch.equal(model[3].weight, before)


def test_a_closure_is_refused():
    with pytest.raises(TypeError, match="closure"):
        Muon(network().parameters()).step(lambda: 0)
