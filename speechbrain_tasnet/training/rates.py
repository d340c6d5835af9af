"""A network for twice the sampling rate that starts as the one for half of it."""

import torch
from torch import Tensor

from speechbrain_tasnet.audio.resampling import resample
from speechbrain_tasnet.network.encoder_decoder import Decoder, Encoder
from speechbrain_tasnet.network.model import Model


def is_for_twice(model: Model, rate: int, trained: Model, trained_rate: int) -> bool:
    """Return whether a model may begin as `double_rate` makes it: twice the rate, and as long a hop in seconds."""
    lengths = model.encoder.config["L"], trained.encoder.config["L"]
    return rate == 2 * trained_rate and lengths[0] == 2 * lengths[1]


@torch.no_grad()
def double_rate(trained: Model) -> Model:
    """Make a network of twice the sampling rate that does with the lower half of the band what a trained one does.

    The mask network stays. Basis signals are interpolated: they are as long in seconds, have nothing in the new
    upper half of the band, and learn it.

    Parameters
    ----------
    trained : Model
        For half the rate.

    Returns
    -------
    Model
        Of 2 L; the mask network is the trained one itself.

    Example
    -------
    >>> from speechbrain_tasnet import MaskNet
    >>> trained = Model(Encoder(16, 8), MaskNet(16, 8, 16, 8, X=2, R=1), Decoder(16, 8))
    >>> faster = double_rate(trained)
    >>> faster.encoder.stride, faster(torch.randn(2, 1001)).shape
    (8, torch.Size([2, 1001, 2]))
    """
    length = {"L": 2 * trained.encoder.config["L"]}
    encoder, decoder = Encoder(**trained.encoder.config | length), Decoder(**trained.decoder.config | length)
    # A product with twice as many samples is twice as large; what is decoded is as loud as it was.
    encoder.weight.copy_(_interpolated(trained.encoder.weight) / 2)
    if encoder.mics > 1:
        encoder.spatial.copy_(_interpolated(trained.encoder.spatial) / 2)
    decoder.weight.copy_(_interpolated(trained.decoder.weight))
    return Model(encoder, trained.masknet, decoder)


def _interpolated(filters: Tensor) -> Tensor:
    return torch.from_numpy(resample(filters.numpy(), 1, 2))
