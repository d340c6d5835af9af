"""A network for more microphones that starts as the one for fewer."""

import torch

from speechbrain_tasnet.network.encoder_decoder import Encoder
from speechbrain_tasnet.network.mask_network import MaskNet
from speechbrain_tasnet.network.model import Model

# Score of the mask of a new microphone in a sum: it lets 2 % through, which training may change.
CLOSED = -4.0


def has_more(model: Model, trained: Model) -> bool:
    """Return whether a model may begin as `add_microphones` makes it: more of them, and the reference kept."""
    here, there = model.encoder, trained.encoder
    more = here.mics > there.mics or (here.mics == there.mics and here.masked > there.masked)
    same_outputs = there.masked == 1 or here.config["outputs"] == there.config["outputs"]
    return more and same_outputs and (there.mics == 1 or here.reference == there.reference)


@torch.no_grad()
def add_microphones(trained: Model, mics: int, reference: int, outputs: str = "reference") -> Model:
    """Make a network of more microphones that does what a trained one does.

    What the new ones hear is worth nothing to the bottleneck yet. It learns at once: their basis signals are those
    of the reference, so that a difference of two microphones is one of equal signals. Where sources are estimated
    at each microphone, all have the masks of the reference at first, which leaves the levels between them alone;
    where they are a sum over all microphones, the masks of the new ones are nearly closed.

    Parameters
    ----------
    trained : Model
        For fewer microphones.
    mics, reference, outputs
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
    encoder = Encoder(**trained.encoder.config | {"mics": mics, "reference": reference, "outputs": outputs})
    masknet = MaskNet(**trained.masknet.config | {"mics": mics, "outputs": outputs})
    before = trained.encoder.mics - 1
    encoder.weight.copy_(trained.encoder.weight)
    encoder.spatial[:] = trained.encoder.weight
    if before:
        encoder.spatial[:before] = trained.encoder.spatial
    for spatial in masknet.spatial[before:]:
        spatial.linear.weight.zero_()
    weights = trained.masknet.state_dict()
    for name, value in (("mask.weight", 0.0), ("mask.bias", CLOSED)):
        by_microphone = weights[name].unflatten(0, (-1, trained.encoder.masked, encoder.config["N"]))
        new = by_microphone[:, :1].expand(-1, encoder.masked - trained.encoder.masked, *by_microphone.shape[2:])
        new = torch.full_like(new, value) if outputs == "sum" else new
        weights[name] = torch.cat([by_microphone, new], dim=1).flatten(0, 2)  # [C * masked * N, ...]
    masknet.load_state_dict(masknet.state_dict() | weights)
    return Model(encoder, masknet, trained.decoder)
