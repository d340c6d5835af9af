"""A whole network: encoder, mask network and decoder as one module."""

from collections.abc import Mapping

from torch import Tensor, nn

from speechbrain_tasnet.network.fit import check_fit
from speechbrain_tasnet.network.separate import separate

PARTS = ("encoder", "masknet", "decoder")


class Model(nn.ModuleDict):
    """An encoder, a mask network and a decoder that belong together.

    It is SpeechBrain's mapping of the three and may be passed wherever that is expected; its weights have the
    same names.

    Parameters
    ----------
    encoder, masknet, decoder : Module
        See `separate` for what is required of them.

    Raises
    ------
    InputError
        They are ours, and differ in ``N``, ``L``, ``edge_padding``, ``mics`` or ``outputs``.

    Example
    -------
    >>> import torch
    >>> from speechbrain_tasnet import Decoder, Encoder, MaskNet
    >>> model = Model(Encoder(16, 8), MaskNet(16, 8, 16, 8, X=2, R=1, C=3), Decoder(16, 8))
    >>> model(torch.randn(2, 1001)).shape
    torch.Size([2, 1001, 3])
    >>> model.masknet is model["masknet"]
    True
    """

    def __init__(self, encoder: nn.Module, masknet: nn.Module, decoder: nn.Module):
        super().__init__({"encoder": encoder, "masknet": masknet, "decoder": decoder})
        check_fit(encoder, masknet, decoder)

    @classmethod
    def of(cls, modules: Mapping[str, nn.Module]) -> "Model":
        """Take the three out of a mapping that may hold others."""
        return cls(*(modules[name] for name in PARTS))

    def forward(self, mixture: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Separate a batch of mixtures, see `separate`.

        Parameters
        ----------
        mixture : Tensor
            [batch, time], or [batch, time, mics].
        lengths : Tensor, optional
            [batch], SpeechBrain's relative lengths.

        Returns
        -------
        Tensor
            [batch, time, C], or [batch, time, C, mics], see `separate`.
        """
        return separate(*self.values(), mixture, lengths)
