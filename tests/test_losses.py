"""SI-SNR and PIT: known answers, SpeechBrain's own loss, padding, silence, many sources."""

import itertools
import math

import pytest
import torch
from speechbrain.nnet.losses import get_si_snr_with_pitwrapper

from speechbrain_tasnet.losses import assignment, best_permutation, pit_si_snr_loss, reorder, si_snr, silent


def orthogonal(num_signals: int, size: int = 4000) -> torch.Tensor:
    """Sines of whole periods: zero-mean, orthogonal, of equal power. [1, time, num_signals]."""
    phase = torch.arange(size) * 2 * math.pi / size
    return torch.stack([torch.sin(k * phase) for k in range(1, num_signals + 1)], dim=1).unsqueeze(0)


@pytest.mark.parametrize("db", [-30.0, 0.0, 12.5, 40.0])
@pytest.mark.parametrize("gain", [1e-2, 1.0, 50.0])
def test_known_ratio_whatever_the_scale_and_offset(db, gain):
    target, noise = orthogonal(2).split(1, dim=2)
    estimate = gain * (target + 10 ** (-db / 20) * noise) + 3
    assert si_snr(target, estimate).item() == pytest.approx(db, abs=1e-2)


@pytest.mark.parametrize("num_sources", [1, 2, 3, 4])
def test_equals_the_toolkit(num_sources):
    targets = torch.randn(5, 801, num_sources)
    estimates = (targets + 0.5 * torch.randn_like(targets)).roll(1, dims=2)
    expected = get_si_snr_with_pitwrapper(targets.clone(), estimates.clone())
    torch.testing.assert_close(pit_si_snr_loss(targets, estimates), expected, rtol=1e-4, atol=1e-4)


def test_equals_the_toolkit_on_its_own_example():
    x = torch.arange(600.0).reshape(3, 100, 2)
    expected = get_si_snr_with_pitwrapper(x.clone(), x[..., [1, 0]].clone())
    torch.testing.assert_close(pit_si_snr_loss(x, x[..., [1, 0]]), expected, rtol=0, atol=0.01)


def test_same_gradient_as_the_toolkit():
    targets, estimates = torch.randn(3, 400, 2), torch.randn(3, 400, 2)
    ours, theirs = (estimates.clone().requires_grad_() for _ in range(2))
    pit_si_snr_loss(targets, ours).sum().backward()
    get_si_snr_with_pitwrapper(targets.clone(), theirs * 1).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("num_sources", [2, 3, 4, 5, 6])
def test_finds_any_permutation(num_sources):
    targets = torch.randn(4, 500, num_sources)
    permutations = torch.stack([torch.randperm(num_sources) for _ in range(4)])
    shuffled = torch.stack([t[:, p] for t, p in zip(targets, permutations, strict=True)])
    found = best_permutation(targets, shuffled + 0.1 * torch.randn_like(shuffled))
    torch.testing.assert_close(reorder(shuffled, found), targets)


@pytest.mark.parametrize("num_sources", [2, 3, 4, 5])
def test_hungarian_and_all_orders_agree_with_brute_force(num_sources, monkeypatch):
    targets, estimates = torch.randn(6, 300, num_sources), torch.randn(6, 300, num_sources)
    orders = list(itertools.permutations(range(num_sources)))
    brute = torch.stack([-si_snr(targets, estimates[..., order]).mean(1) for order in orders]).amin(0)
    for limit in (1, 5):  # the Hungarian algorithm for all, then enumeration for all
        monkeypatch.setattr(assignment, "MAX_ENUMERATED_SOURCES", limit)
        torch.testing.assert_close(pit_si_snr_loss(targets, estimates), brute, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("num_sources", [2, 5])
def test_padding_has_no_influence(num_sources):
    targets, estimates = torch.randn(3, 1000, num_sources), torch.randn(3, 1000, num_sources)
    sizes = [1000, 700, 1]
    lengths = torch.tensor(sizes) / 1000
    for i, size in enumerate(sizes):
        targets[i, size:], estimates[i, size:] = float("nan"), 1e6
    together = pit_si_snr_loss(targets, estimates, lengths)
    for i, size in enumerate(sizes):
        alone = pit_si_snr_loss(targets[i : i + 1, :size], estimates[i : i + 1, :size])
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-5, atol=1e-5)
        assert together[i].isfinite()


@pytest.mark.parametrize("num_sources", [2, 3, 5])
def test_silent_targets_are_left_out_of_the_mean(num_sources):
    targets = torch.randn(2, 800, num_sources)
    targets[0, :, 1] = 0.25  # a constant is silence
    estimates = (targets + 0.3 * torch.randn_like(targets)).flip(2).requires_grad_()
    loss = pit_si_snr_loss(targets, estimates)
    heard = [c for c in range(num_sources) if c != 1]
    expected = -si_snr(targets, estimates.flip(2))[0, heard].mean()
    torch.testing.assert_close(loss[0], expected)
    assert silent(targets).sum() == 1
    loss.sum().backward()
    assert estimates.grad.isfinite().all()


def test_a_silent_target_has_no_say_in_the_permutation():
    target, noise = orthogonal(2).split(1, dim=2)
    rounding = 1e-5 * noise
    # The estimate nearer to the target also holds all there is of the rounding noise.
    estimates = torch.cat([target + 0.5 * noise, 0.1 * target + orthogonal(3)[..., 2:]], dim=2)
    assert best_permutation(torch.cat([target, rounding], dim=2), estimates).tolist() == [[0, 1]]


def test_all_silent_gives_zero_loss_and_gradient():
    estimates = torch.randn(1, 800, 2, requires_grad=True)
    loss = pit_si_snr_loss(torch.zeros(1, 800, 2), estimates)
    loss.sum().backward()
    assert loss.item() == 0
    assert (estimates.grad == 0).all()


@pytest.mark.parametrize("kind", ["zero", "perfect"])
def test_extreme_estimates_have_finite_gradients(kind):
    targets = torch.randn(1, 800, 2)
    estimates = (torch.zeros_like(targets) if kind == "zero" else targets.clone()).requires_grad_()
    loss = pit_si_snr_loss(targets, estimates)
    loss.sum().backward()
    assert loss.isfinite().all()
    assert estimates.grad.isfinite().all()


def test_rounding_noise_is_silent_and_quiet_speech_is_not():
    noise = (torch.rand(1, 8000, 1) - 0.5).sign() / 2**16
    assert silent(noise).all()
    assert not silent(100 * noise).any()
    assert not silent(3 * noise, torch.tensor([0.1])).any()  # the padding is no part of it


def test_nan_estimates_give_a_nan_loss_for_any_number_of_sources():
    for num_sources in (2, 5):
        targets = torch.randn(1, 100, num_sources)
        assert pit_si_snr_loss(targets, targets * float("nan")).isnan().all()


def test_half_precision_is_scored_in_float32():
    targets = torch.randn(2, 8000, 2)
    estimates = (targets + 0.1 * torch.randn_like(targets)).bfloat16()
    expected = pit_si_snr_loss(targets, estimates.float())
    torch.testing.assert_close(pit_si_snr_loss(targets, estimates), expected)


def test_gradcheck():
    targets = torch.randn(2, 30, 3, dtype=torch.float64)
    estimates = torch.randn(2, 30, 3, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([1.0, 0.7])
    assert torch.autograd.gradcheck(lambda e: pit_si_snr_loss(targets, e, lengths), estimates)


@pytest.mark.parametrize("shape", [(2, 100), (2, 100, 3)])
def test_shapes_must_agree(shape):
    with pytest.raises(ValueError, match=r"expected the same \[batch, time, C\]"):
        pit_si_snr_loss(torch.randn(2, 100, 2), torch.randn(shape))
