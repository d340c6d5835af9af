"""Give sources their level and sign in the mixture: training for SI-SNR leaves their gain open."""

from collections.abc import Iterable
from copy import deepcopy

import torch
from torch import Tensor

from speechbrain_tasnet.network.model import Model
from speechbrain_tasnet.separation.scaling import Levels


@torch.no_grad()
def at_level_of(mixtures: Iterable[Tensor], model: Model) -> Model:
    """Return a separator the gain with which the sum of its sources fits its mixtures in the least-squares sense.

    What comes out live, where nothing can be scaled afterwards, so neither clips nor whispers.

    Parameters
    ----------
    mixtures : iterable of Tensor
        [time] or [time, mics] each, such as the separator was trained for.
    model : Model
        In its evaluation mode. It does not change.

    Returns
    -------
    Model
        The same, with a decoder of its own. Where the sources are silence it is as it was.

    Example
    -------
    >>> from speechbrain_tasnet import Decoder, Encoder, MaskNet
    >>> model = Model(Encoder(8, 4), MaskNet(8, 4, 8, 4, X=2, R=1), Decoder(8, 4))
    >>> mixture = torch.randn(400)
    >>> sources = at_level_of([mixture], model)(mixture[None]).sum(2)
    >>> bool(((mixture - sources) * sources).sum().abs() < 1e-3 * sources.square().sum())
    True
    """
    levels = Levels()
    for mixture in mixtures:
        signal = mixture.to(model.decoder.weight)[None]
        heard = model.encoder.at_reference(signal)
        sources = model(signal)
        levels.compare(heard, sources if sources.ndim == 3 else sources[..., model.encoder.reference])
    levelled = deepcopy(model.decoder)
    levelled.weight.mul_(levels.gain("mixture", limited=False))
    return Model(model.encoder, model.masknet, levelled)
