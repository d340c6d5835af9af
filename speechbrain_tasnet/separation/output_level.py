"""Sources as loud as in the mixture, and not turned over: SI-SNR, which is trained for, leaves a gain open."""

from collections.abc import Iterable, Mapping
from copy import deepcopy

import torch
from torch import Tensor, nn

from speechbrain_tasnet.network.separate import separate
from speechbrain_tasnet.separation.scaling import Levels


@torch.no_grad()
def at_level_of(mixtures: Iterable[Tensor], modules: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    """Return a separator the gain with which the sum of its sources fits its mixtures in the least-squares sense.

    What comes out live, where nothing can be scaled afterwards, so neither clips nor whispers.

    Parameters
    ----------
    mixtures : iterable of Tensor
        [time] each, such as the separator was trained for.
    modules : mapping of Module
        ``encoder``, ``masknet`` and ``decoder``, in their evaluation mode. They do not change.

    Returns
    -------
    dict
        The same, with a decoder of its own. Where the sources are silence it is as it was.

    Example
    -------
    >>> from speechbrain_tasnet import Decoder, Encoder, MaskNet
    >>> modules = {"encoder": Encoder(8, 4), "masknet": MaskNet(8, 4, 8, 4, X=2, R=1), "decoder": Decoder(8, 4)}
    >>> mixture = torch.randn(400)
    >>> sources = separate(*at_level_of([mixture], modules).values(), mixture[None]).sum(2)
    >>> bool(((mixture - sources) * sources).sum().abs() < 1e-3 * sources.square().sum())
    True
    """
    encoder, masknet, decoder = (modules[name] for name in ("encoder", "masknet", "decoder"))
    levels = Levels()
    for mixture in mixtures:
        signal = mixture.to(decoder.weight)[None]
        levels.compare(signal, separate(encoder, masknet, decoder, signal))
    levelled = deepcopy(decoder)
    levelled.weight.mul_(levels.gain("mixture", limited=False))
    return {"encoder": encoder, "masknet": masknet, "decoder": levelled}
