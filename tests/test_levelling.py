"""A separator's level: one gain, in the decoder, for good."""

import torch

from speechbrain_tasnet import Decoder, Encoder, MaskNet, separate
from speechbrain_tasnet.network.model import Model
from speechbrain_tasnet.separation.output_level import at_level_of


def build():
    torch.manual_seed(0)
    return Model(Encoder(8, 4), MaskNet(8, 4, 8, 4, X=2, R=1), Decoder(8, 4))


def test_the_sources_sum_to_the_mixtures_as_well_as_a_gain_can_do():
    modules, mixtures = build(), [torch.randn(400), torch.randn(250)]
    before = [separate(*modules.values(), mixture[None]) for mixture in mixtures]
    levelled = at_level_of(mixtures, modules)
    after = [separate(*levelled.values(), mixture[None]) for mixture in mixtures]
    unexplained = sum(((m - s.sum(2)) * s.sum(2)).sum() for m, s in zip(mixtures, after, strict=True))
    assert abs(unexplained) < 1e-4 * sum(s.sum(2).square().sum() for s in after)
    gain = (after[0] / before[0]).median()
    assert abs(gain - 1) > 0.1
    for old, new in zip(before, after, strict=True):
        torch.testing.assert_close(new, gain * old)


def test_nothing_to_go_by_changes_nothing():
    modules = build()
    for mixtures in ([], [torch.zeros(100)]):
        assert torch.equal(at_level_of(mixtures, modules)["decoder"].weight, modules["decoder"].weight)


def test_sources_that_are_upside_down_are_turned():
    modules, mixture = build(), torch.randn(400)
    fitting = at_level_of([mixture], modules)["decoder"]
    with torch.no_grad():
        modules["decoder"].weight.neg_()
    torch.testing.assert_close(at_level_of([mixture], modules)["decoder"].weight, fitting.weight)
