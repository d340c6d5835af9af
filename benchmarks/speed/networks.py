"""The same network from each toolkit, as a module from a mixture [batch, time] to estimates [batch, time, C].

A toolkit is imported when its network is built, so that one that is missing leaves the others alone.
"""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from benchmarks.sizes import SAMPLE_RATE, Sizes


class Ours(nn.Module):
    """Our own, with the edge padding that torchaudio has too."""

    def __init__(self, sizes: Sizes):
        from speechbrain_tasnet import Decoder, Encoder, MaskNet

        super().__init__()
        letters = sizes._asdict()
        N, L = letters["N"], letters.pop("L")
        self.encoder = Encoder(N, L, edge_padding=True)
        self.masknet = MaskNet(**letters)
        self.decoder = Decoder(N, L, edge_padding=True)

    def forward(self, mixture: Tensor) -> Tensor:
        """Separate."""
        from speechbrain_tasnet import separate

        return separate(self.encoder, self.masknet, self.decoder, mixture)


class SpeechBrain(nn.Module):
    """SpeechBrain's own, put together as in its recipes; it has neither skip path nor biases."""

    def __init__(self, sizes: Sizes):
        from speechbrain.lobes.models.conv_tasnet import MaskNet

        from speechbrain_tasnet.peers.speechbrain import Decoder, Encoder

        super().__init__()
        N, L, B, H, _, P, X, R, C = sizes
        self.encoder, self.decoder = Encoder(N, L).encoder, Decoder(N, L).decoder
        self.masknet = MaskNet(N, B, H, P, X, R, C, norm_type="gLN", causal=False, mask_nonlinear="relu")

    def forward(self, mixture: Tensor) -> Tensor:
        """Separate."""
        mixture_w = self.encoder(mixture)
        masks = self.masknet(mixture_w)
        sources_w = torch.stack([mixture_w] * len(masks)) * masks
        estimates = torch.stack([self.decoder(source_w) for source_w in sources_w], dim=-1)
        missing = mixture.shape[1] - estimates.shape[1]
        return F.pad(estimates, (0, 0, 0, missing)) if missing else estimates


class Asteroid(nn.Module):
    """Asteroid's; it computes a last residual that nothing reads."""

    def __init__(self, sizes: Sizes):
        from speechbrain_tasnet.peers.asteroid import conv_tasnet

        super().__init__()
        self.net = conv_tasnet(**sizes._asdict(), sample_rate=SAMPLE_RATE)

    def forward(self, mixture: Tensor) -> Tensor:
        """Separate."""
        return self.net(mixture.unsqueeze(1)).transpose(1, 2)


class Torchaudio(nn.Module):
    """torchaudio's, with the weights that `Ours` draws under the same seed: it must give the same."""

    def __init__(self, sizes: Sizes):
        from speechbrain_tasnet.peers.torchaudio import conv_tasnet

        super().__init__()
        letters = sizes._asdict()
        if letters["B"] != letters.pop("Sc"):
            raise ValueError(f"{sizes}: torchaudio's skip path is as wide as its bottleneck")
        ours = Ours(sizes)
        self.net = conv_tasnet(**letters)
        with torch.no_grad():  # both register the same weights in the same order
            for theirs, mine in zip(self.net.parameters(), ours.parameters(), strict=True):
                theirs.copy_(mine.view_as(theirs))

    def forward(self, mixture: Tensor) -> Tensor:
        """Separate."""
        return self.net(mixture.unsqueeze(1)).transpose(1, 2)
