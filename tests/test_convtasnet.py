"""The network as a whole: exact sizes, torchaudio's numbers, any length, padding, causality, bad values."""

import math

import pytest
import torch
import torchaudio

from speechbrain_tasnet import Decoder, Encoder, MaskNet, latency, ops, receptive_field, separate
from speechbrain_tasnet.errors import InputError

SMALL = {"N": 16, "B": 8, "H": 16, "Sc": 8, "P": 3, "X": 3, "R": 2}

# N, L, B, H, Sc, X, R, receptive field in s, size in millions: the paper's table II.
TABLE_II = [
    (128, 40, 128, 256, 128, 7, 2, 1.28, 1.5),
    (256, 40, 128, 256, 128, 7, 2, 1.28, 1.5),
    (512, 40, 128, 256, 128, 7, 2, 1.28, 1.7),
    (512, 40, 128, 256, 256, 7, 2, 1.28, None),  # prints 2.4M, which its own formula does not give
    (512, 40, 128, 512, 128, 7, 2, 1.28, 3.1),
    (512, 40, 128, 512, 512, 7, 2, 1.28, 6.2),
    (512, 40, 256, 256, 256, 7, 2, 1.28, 3.2),
    (512, 40, 256, 512, 256, 7, 2, 1.28, 6.0),
    (512, 40, 256, 512, 512, 7, 2, 1.28, 8.1),
    (512, 40, 128, 512, 128, 6, 4, 1.27, 5.1),
    (512, 40, 128, 512, 128, 4, 6, 0.46, 5.1),
    (512, 40, 128, 512, 128, 8, 3, 3.83, 5.1),
    (512, 32, 128, 512, 128, 8, 3, 3.06, 5.1),
    (512, 16, 128, 512, 128, 8, 3, 1.53, 5.1),
]


def build(edge_padding=False, L=8, activation=None, tail="fill", **options):
    config = SMALL | options
    encoder = Encoder(config["N"], L, activation, edge_padding, tail)
    return encoder, MaskNet(**config), Decoder(config["N"], L, edge_padding)


def size(*modules):
    return sum(p.numel() for module in modules for p in module.parameters())


def from_torchaudio(theirs: torchaudio.models.ConvTasNet, N, L, B, H, P, X, R, C):
    """Build our network with torchaudio's weights; 1x1 convolutions are our linear layers."""
    ours = Encoder(N, L, edge_padding=True), MaskNet(N, B, H, B, P, X, R, C), Decoder(N, L, edge_padding=True)
    encoder, masknet, decoder = ours
    generator = theirs.mask_generator
    pairs = [
        (encoder, theirs.encoder),
        (decoder, theirs.decoder),
        (masknet.norm, generator.input_norm),
        (masknet.bottleneck, generator.input_conv),
        (masknet.prelu, generator.output_prelu),
        (masknet.mask, generator.output_conv),
    ]
    for block, their_block in zip(masknet.tcn.blocks, generator.conv_layers, strict=True):
        parts = block.expand, block.prelu1, block.norm1, block.depthwise, block.prelu2, block.norm2
        pairs += zip(parts, their_block.conv_layers, strict=True)
        pairs.append((block.skip, their_block.skip_out))
        if block.residual is not None:
            pairs.append((block.residual, their_block.res_out))
    with torch.no_grad():
        for mine, other in pairs:
            for name, parameter in mine.named_parameters():
                parameter.copy_(getattr(other, name).reshape(parameter.shape))
    return ours, pairs


def test_best_configuration_has_the_exact_size():
    assert size(Encoder(), MaskNet(), Decoder()) == 4_984_881


def test_without_skip_path_it_has_the_size_of_asteroid_without():
    assert size(Encoder(), MaskNet(Sc=0), Decoder()) == 3_474_609


@pytest.mark.parametrize(("N", "L", "B", "H", "Sc", "X", "R", "seconds", "millions"), TABLE_II)
def test_table_ii(N, L, B, H, Sc, X, R, seconds, millions):
    encoder, masknet, decoder = Encoder(N, L), MaskNet(N, B, H, Sc, 3, X, R), Decoder(N, L)
    field = receptive_field(encoder, masknet, 8000)
    assert (field.samples + 40) // 80 == round(seconds * 100)  # half a hundredth is printed as one more
    assert field.seconds == field.samples / 8000
    if millions:
        unread_residual = B * H + B  # the paper's code has it, and counts it
        assert round((size(encoder, masknet, decoder) + unread_residual) / 1e6, 1) == millions


def test_receptive_field_is_where_the_gradient_reaches():
    encoder, masknet, _ = build(norm="channelwise", mask_activation="relu")
    mixture = torch.randn(1, 1600, requires_grad=True)
    middle = 800  # first sample of a frame
    masks = masknet(encoder(mixture).abs() + 1)
    masks[..., middle // encoder.stride].sum().backward()
    reached = mixture.grad[0].nonzero().flatten()
    assert reached[-1] - reached[0] + 1 == receptive_field(encoder, masknet, 8000).samples


@pytest.mark.parametrize("num_samples", [1, 7, 16, 3999, 4000, 4001, 4008])
def test_equals_torchaudio_with_gradients(num_samples):
    config = {"N": 32, "L": 16, "B": 16, "H": 24, "P": 3, "X": 4, "R": 2, "C": 3}
    theirs = torchaudio.models.ConvTasNet(3, 16, 32, 3, 16, 24, 4, 2)
    with torch.no_grad():  # norms at their initial values would hide a mistake in their order
        for parameter in theirs.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    ours, pairs = from_torchaudio(theirs, **config)
    mixture = torch.randn(2, num_samples)
    expected, got = theirs(mixture.unsqueeze(1)).transpose(1, 2), separate(*ours, mixture)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())
    weight = torch.randn_like(expected)
    (expected * weight).sum().backward()
    (got * weight).sum().backward()
    scale = max(p.grad.abs().max() for p in theirs.parameters()).item()
    for mine, other in pairs:
        for name, parameter in mine.named_parameters():
            grad = getattr(other, name).grad.reshape(parameter.shape)
            torch.testing.assert_close(parameter.grad, grad, rtol=1e-5, atol=1e-5 * scale)


ENDS = [(False, "fill"), (True, "fill"), (False, "drop"), (False, "odd"), (True, "odd")]


@pytest.mark.parametrize(("edge_padding", "tail"), ENDS)
@pytest.mark.parametrize("num_samples", [1, 2, 7, 8, 9, 63, 1000])
def test_any_length_comes_back_at_its_own_length(num_samples, edge_padding, tail):
    for num_sources in (1, 2, 5):
        model = build(edge_padding, tail=tail, C=num_sources)
        estimates = separate(*model, torch.randn(3, num_samples))
        assert estimates.shape == (3, num_samples, num_sources)
        assert estimates.isfinite().all()


@pytest.mark.parametrize(("edge_padding", "tail"), ENDS)
def test_num_frames_is_what_the_encoder_gives(edge_padding, tail):
    encoder, _, decoder = build(edge_padding, tail=tail)
    for num_samples in range(1, 40):
        frames = encoder(torch.randn(1, num_samples)).shape[2]
        assert encoder.num_frames(num_samples) == frames
        assert encoder.num_frames(torch.tensor([num_samples])).item() == frames
        decoded = decoder(torch.zeros(1, 16, frames)).shape[1]
        assert decoded > num_samples - (encoder.stride if tail == "drop" else 1)


@pytest.mark.parametrize("num_samples", [8, 11, 63, 1000])
def test_dropped_samples_come_out_as_zeros_and_change_nothing(num_samples):
    model = build(tail="drop")
    whole = num_samples // 4 * 4
    mixture = torch.randn(2, num_samples)
    estimates = separate(*model, mixture)
    torch.testing.assert_close(estimates[:, :whole], separate(*model, mixture[:, :whole]))
    assert (estimates[:, whole:] == 0).all()


@pytest.mark.parametrize(("edge_padding", "tail"), ENDS)
@pytest.mark.parametrize(
    ("norm", "causal"),
    [
        ("global", False),
        ("cumulative", False),
        ("channelwise", False),
        ("cumulative", True),
        ("channelwise", True),
    ],
)
def test_an_item_of_a_padded_batch_comes_out_as_it_would_alone(norm, causal, edge_padding, tail):
    check_padded_batch(build(edge_padding, tail=tail, norm=norm, causal=causal))


@pytest.mark.parametrize("options", [{"conv_padding": "reflect"}, {"input_norm": "channelwise"}], ids=str)
def test_so_does_one_of_a_model_like_those_of_other_toolkits(options):
    check_padded_batch(build(norm="global", **options))


def check_padded_batch(model):
    sizes = [1001, 640, 333, 9, 1]
    mixture = torch.randn(5, 1001)
    padded = mixture.clone()
    for i, length in enumerate(sizes):
        padded[i, length:] = float("nan") if i % 2 else 1e8
    together = separate(*model, padded, torch.tensor(sizes) / 1001)
    for i, length in enumerate(sizes):
        alone = separate(*model, mixture[i : i + 1, :length])
        torch.testing.assert_close(together[i : i + 1, :length], alone, rtol=1e-5, atol=1e-5)
        assert (together[i, length:] == 0).all()


def test_padding_does_not_reach_the_gradient():
    model = build()
    padded = torch.randn(2, 500)
    padded[1, 300:] = float("nan")
    separate(*model, padded, torch.tensor([1.0, 0.6])).square().sum().backward()
    for module in model:
        for parameter in module.parameters():
            assert parameter.grad.isfinite().all()


@pytest.mark.parametrize("frames", [1, 2, 3, 40])
def test_reflection_is_what_torch_reflects_and_goes_on_where_torch_gives_up(frames):
    reach = 6
    x = torch.randn(2, frames, 3)
    got = ops.reflect(x, reach)
    if frames > reach // 2:
        expected = torch.nn.functional.pad(x.transpose(1, 2), (3, 3), mode="reflect").transpose(1, 2)
        assert torch.equal(got, expected)
    assert got.shape == (2, frames + reach, 3)
    assert torch.equal(got[:, 3:-3], x)


def test_reflecting_blocks_differ_at_the_edges_alone():
    with_zeros = build(norm="channelwise", X=2, R=1)[1]
    reflecting = MaskNet(**with_zeros.config | {"conv_padding": "reflect"})
    reflecting.load_state_dict(with_zeros.state_dict())
    mixture_w = torch.randn(2, 16, 50)
    difference = (with_zeros(mixture_w) - reflecting(mixture_w)).abs().amax(dim=(0, 1, 2))
    assert (difference[3:-3] < 1e-5).all()
    assert (difference[[0, -1]] > 1e-3).all()


def test_softmax_masks_add_up_to_one_over_the_sources():
    masks = MaskNet(**SMALL, C=3, mask_activation="softmax")(torch.randn(2, 16, 50))
    torch.testing.assert_close(masks.sum(0), torch.ones(2, 16, 50))


def test_over_the_filters_if_told():
    masks = MaskNet(**SMALL, C=3, mask_activation="softmax_filters")(torch.randn(2, 16, 50))
    torch.testing.assert_close(masks.sum(2), torch.ones(3, 2, 50))


def test_masks_are_bounded_by_their_activation():
    w = 100 * torch.randn(2, 16, 50)
    assert MaskNet(**SMALL, mask_activation="relu")(w).min() == 0
    sigmoid = MaskNet(**SMALL)(w)
    assert 0 <= sigmoid.min() <= sigmoid.max() <= 1


def test_relu_encoder_is_not_negative_and_the_linear_one_is():
    signal = torch.randn(1, 400)
    assert Encoder(16, 8, activation="relu")(signal).min() == 0
    assert Encoder(16, 8)(signal).min() < 0


@pytest.mark.parametrize("norm", ["cumulative", "channelwise"])
@pytest.mark.parametrize("Sc", [0, 8])
def test_a_causal_model_does_not_see_the_future(norm, Sc):
    encoder, masknet, decoder = build(norm=norm, causal=True, Sc=Sc)
    mixture = torch.randn(1, 1000)
    changed = mixture.clone()
    changed[:, 600:] = 100 * torch.randn(1, 400)
    before, after = (
        separate(encoder, masknet, decoder, m)[:, : 600 - encoder.kernel_size] for m in (mixture, changed)
    )
    assert torch.equal(before, after)


def test_latency():
    encoder = Encoder(16, 8)
    assert latency(encoder, MaskNet(**SMALL, norm="cumulative", causal=True), 8000) == (8, 0.001)
    assert latency(encoder, MaskNet(**SMALL), 8000) == (math.inf, math.inf)
    assert latency(encoder, MaskNet(**SMALL, input_norm="channelwise"), 8000) == (math.inf, math.inf)
    # Two repeats of dilations 1, 2, 4 look 14 frames ahead.
    assert latency(encoder, MaskNet(**SMALL, norm="channelwise"), 8000).samples == 8 + 14 * 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MaskNet(norm="global", causal=True), "see the future.*cumulative"),
        (lambda: MaskNet(norm="cLN"), "ambiguous.*cumulative.*channelwise"),
        (lambda: MaskNet(norm="batch"), "norm='batch': expected"),
        (lambda: MaskNet(mask_activation="sigmiod"), "mask_activation='sigmiod': expected"),
        (lambda: MaskNet(mask_activation="softmax", C=1), "softmax.*C=1"),
        (lambda: MaskNet(conv_padding="mirror"), "conv_padding='mirror': expected"),
        (
            lambda: MaskNet(conv_padding="reflect", norm="cumulative", causal=True),
            "conv_padding='reflect'.*future",
        ),
        (lambda: MaskNet(input_norm="global", norm="cumulative", causal=True), "norm='global'.*future"),
        (lambda: Encoder(tail="cut"), "tail='cut': expected"),
        (lambda: Encoder(tail="drop", edge_padding=True), "tail='drop' with edge_padding"),
        (lambda: MaskNet(B=0), "B=0: expected a whole number of at least 1"),
        (lambda: MaskNet(H="512"), "H='512'"),
        (lambda: MaskNet(Sc=-1), "Sc=-1"),
        (lambda: Encoder(L=15), "L=15: expected an even number"),
        (lambda: Encoder(N=True), "N=True"),
        (lambda: Encoder(activation="tanh"), "activation='tanh'"),
        (lambda: Decoder(L=0), "L=0"),
        (lambda: Encoder()(torch.randn(2, 1, 400)), "expected \\[batch, time\\]"),
        (lambda: Encoder()(torch.randn(2, 0)), "time at least 1"),
    ],
)
def test_impossible_values_are_refused_by_name(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_gln_is_another_name_for_global():
    torch.manual_seed(0)
    one = MaskNet(**SMALL, norm="gLN")
    torch.manual_seed(0)
    other = MaskNet(**SMALL, norm="global")
    w = torch.randn(1, 16, 20)
    assert torch.equal(one(w), other(w))
