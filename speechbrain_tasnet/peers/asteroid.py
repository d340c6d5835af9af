"""Asteroid's Conv-TasNet, in three parts.

Samples after the last whole frame come out as zeros. Its last residual convolution feeds nothing and learns
nothing.
"""

from typing import TYPE_CHECKING

from torch import nn

from speechbrain_tasnet.convert.asteroid import MASKS, NORMS
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.network.norms import find_norm
from speechbrain_tasnet.peers.parts import Flat, Masks, SourcesFirst, WholeFrames, even

if TYPE_CHECKING:
    from asteroid.models import ConvTasNet


def conv_tasnet(
    N: int,
    L: int,
    B: int,
    H: int,
    Sc: int,
    P: int,
    X: int,
    R: int,
    C: int,
    norm: str = "global",
    causal: bool = False,
    encoder_activation: str | None = None,
    mask_activation: str = "sigmoid",
    sample_rate: int = 8000,
) -> "ConvTasNet":
    """Build it from the paper's letters and the values of `mask_network.Encoder` and `mask_network.MaskNet`.

    Raises
    ------
    InputError
        Asteroid is not installed, or does not have such a value.
    """
    try:
        from asteroid.models import ConvTasNet
    except ImportError as error:
        raise not_there(error) from None
    if mask_activation not in MASKS:
        raise InputError(f"mask_activation={mask_activation!r}: Asteroid has {', '.join(MASKS)}")
    find_norm(norm, causal)  # Asteroid would take another in silence
    return ConvTasNet(
        n_src=C,
        n_filters=N,
        kernel_size=even(L),
        stride=L // 2,
        bn_chan=B,
        hid_chan=H,
        skip_chan=Sc,
        conv_kernel_size=P,
        n_blocks=X,
        n_repeats=R,
        norm_type=next(theirs for theirs, ours in NORMS.items() if ours == norm),
        causal=causal,
        encoder_activation=encoder_activation,
        mask_act=mask_activation,
        sample_rate=sample_rate,
    )


def not_there(error: ImportError) -> InputError:
    """Return what to say where Asteroid cannot be imported."""
    return InputError(
        f"the network is Asteroid's, which is not installed ({error}); pip install 'speechbrain-tasnet[study]'"
    )


class Encoder(WholeFrames):
    """The encoder of an ``asteroid.models.ConvTasNet``."""

    def __init__(self, net: "ConvTasNet"):
        one_channel = nn.Unflatten(1, (1, -1))
        layers = nn.Sequential(one_channel, net.encoder, net.enc_activation)
        super().__init__(layers, net.encoder.filterbank.kernel_size)


class MaskNet(Masks):
    """The mask network of an ``asteroid.models.ConvTasNet``."""

    def __init__(self, net: "ConvTasNet"):
        super().__init__(SourcesFirst(net.masker))


class Decoder(Flat):
    """The decoder of an ``asteroid.models.ConvTasNet``."""

    def __init__(self, net: "ConvTasNet"):
        super().__init__(net.decoder)
