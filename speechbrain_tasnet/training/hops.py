"""A network of twice the hop that starts as a finer one.

Twice the hop is half the frames, and so nearly half the time for an hour of audio. What a separator learns first,
who speaks where, does not need the finer ones.
"""

import torch
from torch import Tensor

from speechbrain_tasnet.network.encoder_decoder import Decoder, Encoder
from speechbrain_tasnet.network.mask_network import MaskNet
from speechbrain_tasnet.network.model import Model
from speechbrain_tasnet.training.growth import BLOCKS, name_at, place_of


def is_twice(model: Model, trained: Model) -> bool:
    """Return whether a model of twice the hop and twice the basis signals may begin as `coarsen` makes it."""
    here, there = model.encoder.config, trained.encoder.config
    twice = all(here[size] == 2 * there[size] for size in ("N", "L"))
    return twice and trained.masknet.config["X"] > 1 and trained.encoder.mics == 1


@torch.no_grad()
def coarsen(trained: Model) -> Model:
    """Make a network of twice the hop that does nearly what a trained one does.

    A frame stands for two of the finer ones, and has the basis signals of both at their places: encoder and
    decoder are exactly what they were. The bottleneck takes the mean of the two, and both get the same mask. The
    block of dilation 1 in each repeat goes; each other one keeps its reach in time, which is half as many frames.

    Parameters
    ----------
    trained : Model
        With two blocks or more in a repeat.

    Returns
    -------
    Model
        Of 2 L and 2 N, and of a block less in each repeat.

    Example
    -------
    >>> trained = Model(Encoder(16, 8), MaskNet(16, 8, 16, 8, X=3, R=2), Decoder(16, 8))
    >>> coarser = coarsen(trained)
    >>> coarser.encoder.stride, coarser.masknet.config["X"], coarser(torch.randn(2, 1001)).shape
    (8, 2, torch.Size([2, 1001, 2]))
    """
    ends = {"N": 2 * trained.encoder.config["N"], "L": 2 * trained.encoder.config["L"]}
    before = trained.masknet.config
    coarser = Model(
        Encoder(**trained.encoder.config | ends),
        MaskNet(**before | {"N": ends["N"], "X": before["X"] - 1}),
        Decoder(**trained.decoder.config | ends),
    )
    for end in ("encoder", "decoder"):
        coarser[end].weight.copy_(_both(trained[end].weight, trained[end].edge_padding))
    weights, names = trained.masknet.state_dict(), coarser.masknet.state_dict()
    coarser.masknet.load_state_dict({name: _weight(name, weights, before) for name in names})
    return coarser


def _both(filters: Tensor, edge_padding: bool) -> Tensor:
    """Place filters [N, 1, L] where the two finer frames lie within one of 2 L samples."""
    signals, _, samples = filters.shape
    hop = samples // 2
    first = hop if edge_padding else 0  # the coarser frames begin a finer hop earlier
    both = filters.new_zeros(2 * signals, 1, 2 * samples)
    both[:signals, :, first : first + samples] = filters
    both[signals:, :, first + hop : first + hop + samples] = filters
    return both


def _weight(name: str, weights: dict[str, Tensor], before: dict) -> Tensor:
    if name.startswith(BLOCKS):
        repeat, place, layer = place_of(name, before["X"] - 1)
        return weights[name_at(repeat, place + 1, layer, before["X"])]
    weight = weights[name]
    if name == "bottleneck.weight":
        return torch.cat([weight, weight], 1) / 2
    if name.startswith("norm."):
        return torch.cat([weight, weight])
    if name.startswith("mask."):
        of_source = weight.unflatten(0, (before["C"], before["N"]))
        return torch.cat([of_source, of_source], 1).flatten(0, 1)
    return weight
