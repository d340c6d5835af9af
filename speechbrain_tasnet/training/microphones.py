"""A network for more microphones that begins as the one for fewer."""

import torch

from speechbrain_tasnet.network.encoder_decoder import Encoder
from speechbrain_tasnet.network.mask_network import MaskNet
from speechbrain_tasnet.network.model import Model


def has_more(model: Model, trained: Model) -> bool:
    """Return whether a model may begin as `add_microphones` makes it: more microphones, the reference kept."""
    here, there = model.encoder.config, trained.encoder.config
    return here["mics"] > there["mics"] and (there["mics"] == 1 or here["reference"] == there["reference"])


@torch.no_grad()
def add_microphones(trained: Model, mics: int, reference: int) -> Model:
    """Make a network of more microphones that does what a trained one does.

    What the new ones hear is worth nothing to the bottleneck yet. It learns at once: their basis signals are those
    of the reference, so that a difference of two microphones is one of equal signals.

    Parameters
    ----------
    trained : Model
        For fewer microphones.
    mics, reference : int
        As for `Encoder`.

    Returns
    -------
    Model
        The decoder is the trained one itself.

    Example
    -------
    >>> from speechbrain_tasnet import Decoder
    >>> trained = Model(Encoder(16, 8), MaskNet(16, 8, 16, 8, X=2, R=1), Decoder(16, 8))
    >>> mixture = torch.randn(1, 101, 2)
    >>> torch.equal(add_microphones(trained, 2, 0)(mixture), trained(mixture[..., 0]))
    True
    """
    encoder = Encoder(**trained.encoder.config | {"mics": mics, "reference": reference})
    masknet = MaskNet(**trained.masknet.config | {"mics": mics})
    before = trained.encoder.mics - 1
    encoder.weight.copy_(trained.encoder.weight)
    encoder.spatial[:] = trained.encoder.weight
    if before:
        encoder.spatial[:before] = trained.encoder.spatial
    for spatial in masknet.spatial[before:]:
        spatial.linear.weight.zero_()
    masknet.load_state_dict(masknet.state_dict() | trained.masknet.state_dict())
    return Model(encoder, masknet, trained.decoder)
