"""The loss with silent voices: known answers, the paper's own where nobody is silent, any order, derivatives."""

import itertools
import math

import pytest
import torch

from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.losses import SeparationLoss, Targets, pit_si_snr_loss, si_snr

WAYS = [
    SeparationLoss(ratio, silence, cap)
    for ratio, silence in [
        ("si-snr", None),
        ("si-snr", "power"),
        ("si-snr", "mixture"),
        ("snr", None),
        ("snr", "power"),
        ("snr", "mixture"),
        ("sa-sdr", None),
        ("sa-sdr", "mixture"),
    ]
    for cap in (None, 30.0)
]
WAYS.append(SeparationLoss("si-snr", "power", 30.0, level=0.5))
NAMES = [f"{way.ratio}-{way.silence}-{way.cap}-{way.level}" for way in WAYS]


def scene(voices, outputs, size=400, batch=2, dtype=torch.float32):
    """Targets of which the last are silent, their mixture with noise, and estimates of some quality."""
    targets = torch.randn(batch, size, outputs, dtype=dtype)
    targets[..., voices:] = 0
    mixture = targets.sum(2) + 0.1 * torch.randn(batch, size, dtype=dtype)
    estimates = targets + 0.3 * torch.randn_like(targets)
    return targets, mixture, estimates


def orthogonal(num_signals: int, size: int = 4000) -> torch.Tensor:
    """Sines of whole periods: zero-mean, orthogonal, of equal power. [1, time, num_signals]."""
    phase = torch.arange(size) * 2 * math.pi / size
    return torch.stack([torch.sin(k * phase) for k in range(1, num_signals + 1)], dim=1).unsqueeze(0)


@pytest.mark.parametrize("silence", [None, "power", "mixture"])
@pytest.mark.parametrize("outputs", [1, 2, 3, 5])
def test_where_nobody_is_silent_it_is_the_loss_of_the_paper(silence, outputs):
    targets, mixture, estimates = scene(outputs, outputs)
    ours, plain = (estimates.flip(2).clone().requires_grad_() for _ in range(2))
    loss, expected = (
        SeparationLoss("si-snr", silence)(Targets(targets), mixture, ours),
        pit_si_snr_loss(targets, plain),
    )
    torch.testing.assert_close(loss, expected)
    loss.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(ours.grad, plain.grad)


@pytest.mark.parametrize("level", [-40.0, -10.0, 0.0])
def test_a_silent_voice_counts_by_its_level_below_the_mixture(level):
    voice, noise = orthogonal(2).split(1, dim=2)
    targets = torch.cat([voice, 0 * voice], dim=2)
    # The voice with noise 12 dB below it; an output that holds noise at a level to the mixture.
    estimates = torch.cat([10 ** (level / 20) * noise, voice + 10 ** (-12 / 20) * noise], dim=2)
    loss = SeparationLoss("snr", "power")(Targets(targets), voice[..., 0], estimates)
    of_silence = 10 * math.log10(10 ** (level / 10) + 0.01)
    assert loss.item() == pytest.approx((-12 + of_silence) / 2, abs=0.01)


def test_levels_count_in_the_snr_and_in_the_aggregated_one_alone():
    targets = orthogonal(2)
    half = 0.5 * targets
    mixture = targets.sum(2)
    values = {ratio: SeparationLoss(ratio)(Targets(targets), mixture, half).item() for ratio in ("snr", "sa-sdr")}
    assert values == pytest.approx({"snr": -20 * math.log10(2), "sa-sdr": -20 * math.log10(2)}, abs=1e-3)
    assert SeparationLoss("si-snr")(Targets(targets), mixture, half).item() < -60


@pytest.mark.parametrize(("gain", "decibels"), [(0.1, 20.0), (2.0, 6.02), (-0.5, 6.02), (1.0, 0.0)])
def test_a_wrong_level_costs_what_it_is_off(gain, decibels):
    first, second, noise = orthogonal(3).split(1, dim=2)
    targets = torch.cat([first, second], dim=2)
    estimates = torch.cat([gain * (first + 0.1 * noise), second + 0.1 * noise], dim=2)
    found = SeparationLoss("si-snr", level=0.3)(Targets(targets), targets.sum(2), estimates)
    assert found.item() == pytest.approx(-20 + 0.3 * decibels / 2, abs=0.01)


def test_an_output_that_always_whispers_is_no_way_out():
    """What SI-SNR and silence alone allow: the right voice so softly that it passes for silence."""
    targets = orthogonal(2)
    whispering = targets * torch.tensor([1.0, 0.01])
    free, bound = (SeparationLoss("si-snr", "power", 30.0, level=level) for level in (None, 0.5))
    costs = [
        (
            loss(Targets(targets), targets.sum(2), whispering) - loss(Targets(targets), targets.sum(2), targets)
        ).item()
        for loss in (free, bound)
    ]
    assert costs == pytest.approx([0, 0.5 * 40 / 2], abs=0.01)


def test_the_aggregated_ratio_is_of_all_energies_together():
    first, second, noise = orthogonal(3).split(1, dim=2)
    targets = torch.cat([first, 0.1 * second, 0 * first], dim=2)
    estimates = torch.cat([first + 0.1 * noise, 0.1 * second + 0.1 * noise, 0.1 * noise], dim=2)
    loss = SeparationLoss("sa-sdr")(Targets(targets), targets.sum(2), estimates)
    assert loss.item() == pytest.approx(-10 * math.log10(1.01 / 0.03), abs=1e-3)


def test_the_mixture_is_wanted_where_nobody_speaks():
    targets, mixture, _ = scene(1, 2)
    estimates = torch.stack([mixture, targets[..., 0]], dim=2)
    wanting = SeparationLoss("si-snr", "mixture")
    assert (wanting(Targets(targets), mixture, estimates) < -60).all()
    estimates[..., 0] = torch.randn_like(mixture)  # in place of the mixture
    assert (wanting(Targets(targets), mixture, estimates) > -60).all()


@pytest.mark.parametrize("ratio", ["si-snr", "snr", "sa-sdr"])
def test_no_ratio_is_above_the_cap(ratio):
    targets, mixture, _ = scene(2, 2)
    loss = SeparationLoss(ratio, cap=30.0)(Targets(targets), mixture, targets)
    torch.testing.assert_close(loss, torch.full((2,), -30.0), rtol=0, atol=0.01)


@pytest.mark.parametrize("way", WAYS, ids=NAMES)
@pytest.mark.parametrize("outputs", [2, 3, 5])
def test_the_best_of_all_orders_is_taken(way, outputs):
    targets, mixture, estimates = scene(outputs - 1, outputs)
    losses = torch.stack(
        [way(Targets(targets), mixture, estimates[..., order]) for order in itertools.permutations(range(outputs))]
    )
    torch.testing.assert_close(losses, losses[:1].expand_as(losses))


def test_which_output_is_silent_is_part_of_the_order():
    """By the voice alone the quiet estimate would be its own; but then a loud one would be that of nobody."""
    voice, noise = orthogonal(2).split(1, dim=2)
    targets = torch.cat([voice, 0 * voice], dim=2)
    estimates = torch.cat([voice + 0.1 * noise, 0.01 * voice + 0.0009 * noise], dim=2)
    assert (si_snr(targets, estimates)[0, 0] - si_snr(targets, estimates.flip(2))[0, 0]).abs() < 1
    loss = SeparationLoss("si-snr", "power")(Targets(targets), voice[..., 0], estimates)
    expected = (-20 + 10 * math.log10(1e-4 + 8.1e-7 + 0.01)) / 2
    assert loss.item() == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("way", WAYS, ids=NAMES)
def test_gradcheck(way):
    targets, mixture, estimates = scene(2, 3, size=30, dtype=torch.float64)
    prepared = Targets(targets, torch.tensor([1.0, 0.7]))
    assert torch.autograd.gradcheck(lambda e: way(prepared, mixture, e), estimates.requires_grad_())


@pytest.mark.parametrize("way", WAYS, ids=NAMES)
@pytest.mark.parametrize("kind", ["zero", "perfect", "nobody", "nothing"])
def test_extremes_are_finite(way, kind):
    targets, mixture, estimates = scene(0 if kind in ("nobody", "nothing") else 1, 2)
    estimates = {"zero": 0 * estimates, "perfect": targets.clone()}.get(kind, estimates).requires_grad_()
    if kind == "nothing":
        mixture = 0 * mixture
    loss = way(Targets(targets), mixture, estimates)
    loss.sum().backward()
    assert loss.isfinite().all()
    assert estimates.grad.isfinite().all()


@pytest.mark.parametrize(
    "way",
    [{}, {"ratio": "sa-sdr", "cap": 30.0}, {"silence": "mixture"}, {"ratio": "sa-sdr", "silence": "mixture"}],
)
def test_where_nobody_speaks_and_nothing_is_wanted_the_loss_is_nothing(way):
    estimates = torch.randn(2, 400, 3, requires_grad=True)
    loss = SeparationLoss(**way)(Targets(torch.zeros(2, 400, 3)), torch.zeros(2, 400), estimates)
    loss.sum().backward()
    assert loss.tolist() == [0, 0]
    assert not estimates.grad.any()


def test_in_noise_alone_the_outputs_should_be_soft():
    noise = torch.randn(2, 400)
    for way in ({"ratio": "snr"}, {"level": 1.0}):
        loss = SeparationLoss(**way, silence="power", cap=30.0)
        soft, loud = (
            loss(Targets(torch.zeros(2, 400, 3)), noise, gain * torch.randn(2, 400, 3)) for gain in (0.01, 1)
        )
        assert (soft < -19).all()
        assert (loud > -5).all()


def test_in_a_mixture_of_nothing_an_empty_estimate_is_right():
    nothing, empty = torch.zeros(1, 100, 2), torch.zeros(1, 100, 2)
    loss = SeparationLoss("snr", "power", 30.0)
    assert loss(Targets(nothing), nothing[..., 0], empty).item() == pytest.approx(0, abs=0.1)
    assert loss(Targets(nothing), nothing[..., 0], empty + torch.randn(1, 100, 2)).item() > 60


@pytest.mark.parametrize("way", WAYS, ids=NAMES)
def test_padding_has_no_influence(way):
    targets, mixture, estimates = scene(1, 2, size=1000)
    alone = way(Targets(targets[:1, :700]), mixture[:1, :700], estimates[:1, :700])
    targets[0, 700:], mixture[0, 700:], estimates[0, 700:] = math.nan, 1e6, 1e6
    together = way(Targets(targets, torch.tensor([0.7, 1.0])), mixture, estimates)
    torch.testing.assert_close(together[:1], alone, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("way", WAYS, ids=NAMES)
def test_nan_estimates_give_a_nan_loss(way):
    targets, mixture, estimates = scene(2, 2)
    assert way(Targets(targets), mixture, estimates * math.nan).isnan().all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ratio": "sdr"}, "ratio='sdr': expected one of"),
        ({"silence": "zero"}, "silence='zero': expected None or one of"),
        ({"ratio": "sa-sdr", "silence": "power"}, "its one ratio already covers"),
    ],
)
def test_what_is_no_loss(options, message):
    with pytest.raises(InputError, match=message):
        SeparationLoss(**options)


@pytest.mark.parametrize("silence", [None, "power"])
def test_in_order_each_estimate_has_a_target_of_its_own(silence):
    targets = torch.randn(3, 800, 3)
    targets[0, :, 2] = 0
    mixture, estimates = targets.sum(2), (targets + 0.3 * torch.randn(3, 800, 3)).requires_grad_()
    best = SeparationLoss(silence=silence, cap=30.0)
    in_order = SeparationLoss(silence=silence, cap=30.0, in_order=True)
    values = in_order(Targets(targets), mixture, estimates)
    torch.testing.assert_close(values, best(Targets(targets), mixture, estimates))
    (gradient,) = torch.autograd.grad(values.sum(), estimates)
    assert gradient.any()
    turned = estimates.detach()[..., [1, 0, 2]]
    assert (in_order(Targets(targets), mixture, turned) > values + 5).all()
    torch.testing.assert_close(best(Targets(targets), mixture, turned), values.detach())


def test_in_order_is_no_plain_loss():
    assert SeparationLoss().is_plain
    assert not SeparationLoss(in_order=True).is_plain
