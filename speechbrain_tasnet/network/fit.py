"""Whether an encoder, a mask network and a decoder of ours belong together."""

from torch import nn

from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.network.encoder_decoder import Decoder, Encoder
from speechbrain_tasnet.network.mask_network import MaskNet

# What an encoder must have in common with the other parts.
WITH_MASKNET = ("N", "mics", "outputs")
WITH_DECODER = ("N", "L", "edge_padding")


def check_fit(encoder: nn.Module, masknet: nn.Module, decoder: nn.Module) -> None:
    """Refuse three modules of ours that were built for different networks.

    Not every mismatch would fail later: sources are L/2 samples late if only the encoder pads the edges.

    Parameters
    ----------
    encoder, masknet, decoder : Module
        Possibly wrapped for distributed training. Nothing is known of other toolkits' modules, which pass.

    Raises
    ------
    InputError
        They are ours, and differ in ``N``, ``L``, ``edge_padding``, ``mics`` or ``outputs``.

    Example
    -------
    >>> check_fit(Encoder(mics=2), MaskNet(), Decoder())
    Traceback (most recent call last):
    speechbrain_tasnet.errors.InputError: mics=2 of the encoder, 1 of the mask network: expected the same
    """
    bare = [getattr(module, "module", module) for module in (encoder, masknet, decoder)]
    if not all(map(isinstance, bare, (Encoder, MaskNet, Decoder))):
        return
    here, of_masknet, of_decoder = (module.config for module in bare)
    for part, there, names in (("mask network", of_masknet, WITH_MASKNET), ("decoder", of_decoder, WITH_DECODER)):
        for name in names:
            if here[name] != there[name]:
                raise InputError(
                    f"{name}={here[name]!r} of the encoder, {there[name]!r} of the {part}: expected the same"
                )
