"""What holds for any signal: of norms, of losses, and of the whole network."""

import pytest
import torch

from speechbrain_tasnet import Decoder, Encoder, MaskNet, pit_si_snr_loss, separate
from speechbrain_tasnet.losses import best_permutation, reorder, si_snr
from speechbrain_tasnet.network.norms import find_norm

hypothesis = pytest.importorskip("hypothesis")
st = hypothesis.strategies

few = hypothesis.settings(max_examples=15, deadline=None, derandomize=True, database=None)
seeds = st.integers(0, 2**31 - 1)
scales = st.floats(0.1, 1e3)
norms = st.sampled_from(["global", "cumulative", "channelwise"])
sizes = st.integers(1, 40)


def noise(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@few
@hypothesis.given(seeds, norms, scales, sizes)
def test_norms_ignore_the_scale(seed, name, scale, frames):
    norm, x = find_norm(name, causal=False)(5), noise(seed, 2, frames, 5)
    torch.testing.assert_close(norm(scale * x), norm(x), rtol=1e-3, atol=1e-3)


@few
@hypothesis.given(seeds, norms, st.floats(-100, 100), sizes)
def test_norms_of_what_does_not_change_are_zero_and_have_a_gradient(seed, name, level, frames):
    norm = find_norm(name, causal=False)(5)
    x = torch.full((2, frames, 5), level, requires_grad=True)
    out = norm(x)
    assert out.abs().max() < 0.5  # rounding of the mean over the square root of epsilon
    (out * noise(seed, 2, frames, 5)).sum().backward()
    assert x.grad.isfinite().all()


@few
@hypothesis.given(seeds, scales, st.booleans(), st.integers(1, 4))
def test_si_snr_ignores_the_volume_sign_and_offset_of_the_estimate(seed, scale, flip, num_sources):
    targets, estimates = noise(seed, 2, 400, num_sources), noise(seed + 1, 2, 400, num_sources)
    changed = (-scale if flip else scale) * (estimates + 0.5)
    torch.testing.assert_close(si_snr(targets, changed), si_snr(targets, estimates), rtol=1e-3, atol=1e-2)


@few
@hypothesis.given(seeds, st.integers(1, 5).flatmap(lambda n: st.permutations(range(n))))
def test_the_loss_ignores_the_order_and_finds_it(seed, order):
    targets, estimates = noise(seed, 2, 400, len(order)), noise(seed + 1, 2, 400, len(order))
    expected = pit_si_snr_loss(targets, estimates)
    torch.testing.assert_close(pit_si_snr_loss(targets, estimates[..., order]), expected, rtol=1e-4, atol=1e-4)
    found = best_permutation(targets, targets[..., order])
    torch.testing.assert_close(reorder(targets[..., order], found), targets)


@few
@hypothesis.given(seeds, st.lists(st.sampled_from([0.0, 1e-20, 1.0, 1e5]), min_size=4, max_size=4))
def test_no_signal_however_soft_or_loud_makes_the_loss_lose_its_gradient(seed, levels):
    """Two targets and two estimates, each of any level."""
    targets, estimates = (torch.tensor(pair) * noise(seed, 1, 400, 2) for pair in (levels[:2], levels[2:]))
    estimates.requires_grad_()
    loss = pit_si_snr_loss(targets, estimates)
    loss.sum().backward()
    assert loss.isfinite().all()
    assert estimates.grad.isfinite().all()


@few
@hypothesis.given(seeds, norms, st.integers(1, 300), st.integers(0, 200))
def test_padding_changes_nothing(seed, name, size, padding):
    """Of an item alone, and of the same item beside a longer one, whatever lies behind its end."""
    torch.manual_seed(seed)
    model = (Encoder(N=8, L=16), MaskNet(N=8, B=4, H=8, Sc=4, X=3, R=1, C=2, norm=name), Decoder(N=8, L=16))
    batch = noise(seed, 2, size + padding)
    lengths = torch.tensor([size / (size + padding), 1.0])
    with torch.no_grad():
        alone = separate(*model, batch[:1, :size])
        together = separate(*model, batch, lengths)
    torch.testing.assert_close(together[:1, :size], alone, rtol=1e-4, atol=1e-4)
    assert not together[0, size:].any()
