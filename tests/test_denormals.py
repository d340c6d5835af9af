"""Numbers next to zero, a hundred times slower than others, are zero where networks compute."""

import pytest
import torch
from brains import GOOD, fit, make_brain

from speechbrain_tasnet import Decoder, Encoder, MaskNet
from speechbrain_tasnet.network.separate import separate
from speechbrain_tasnet.ops.denormals import flushed
from speechbrain_tasnet.ops.threads import pool
from speechbrain_tasnet.separation.streaming import StreamingSeparator

TINY = 1e-40


def is_zero(number):
    return bool((torch.tensor(number) * 1.0 == 0).item())


def a_network_that_hears_nobody():
    """Its second masks are sigmoids of -88: denormal numbers, and so is all that is multiplied by them."""
    masknet = MaskNet(16, 8, 16, 8, X=2, R=1, C=2, norm="cumulative", causal=True)
    torch.nn.init.zeros_(masknet.mask.weight)
    masknet.mask.bias.data[:16], masknet.mask.bias.data[16:] = 2, -88
    return Encoder(16), masknet, Decoder(16)


def test_denormals_are_zero_inside_and_as_before_outside():
    assert not is_zero(TINY)
    with flushed():
        assert is_zero(TINY)
        with flushed():
            pass
        assert is_zero(TINY)
    assert not is_zero(TINY)
    with pytest.raises(ZeroDivisionError), flushed():
        1 / 0  # noqa: B018
    assert not is_zero(TINY)


@pytest.mark.parametrize("batch", [1, 3])
def test_who_is_not_heard_is_silent(two_threads, batch):
    network, mixture = a_network_that_hears_nobody(), torch.randn(batch, 400)
    with torch.no_grad():
        assert 0 < network[1](network[0](mixture))[1].max() < 1e-38
        estimates = separate(*network, mixture)
    assert estimates[..., 0].abs().max() > 0.01
    assert (estimates[..., 1] == 0).all()
    live = StreamingSeparator(*network)
    assert (torch.cat([live.step(mixture), live.flush()], dim=1)[..., 1] == 0).all()
    assert not is_zero(TINY)


def test_our_threads_have_none():
    assert pool(2).submit(is_zero, TINY).result()
    assert not is_zero(TINY)


def test_neither_has_a_training(tmp_path):
    brain, found = make_brain(tmp_path), []
    brain.modules.masknet.mask.weight.register_hook(lambda gradient: found.append(is_zero(TINY)))
    fit(brain, *GOOD)
    assert found == [True] * len(GOOD)
    assert not is_zero(TINY)
