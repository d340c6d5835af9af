"""What a voice sounds like, as a vector: turns of one person lie close together, those of others apart.

The network is SpeechBrain's ECAPA-TDNN (Desplanques et al., arXiv 2005.07143), of a hundredth of its usual size.
It was trained on turns of one to four seconds as separators give them (benchmarks/training/speaker_embedding.py).
"""

from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load_file
from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN
from torch import Tensor, nn
from torch.nn.functional import normalize, pad
from torchaudio.functional import melscale_fbanks

WEIGHTS = Path(__file__).with_name("embedding.safetensors")
SIZE = 96
BANDS = 40
LOWEST_RATE = 8000  # Hz
LOWEST, HIGHEST = 60.0, 3800.0  # Hz; what every recording of speech has from that rate on
FRAME, HOP = 0.032, 0.01  # seconds
FLOOR_DB = 60.0  # below the highest level of a turn, where there is nothing but what noise the recording has
SHORTEST = 0.3  # seconds; less is padded with silence
CHANNELS = 64


class SpeakerEmbedding(nn.Module):
    """A network from speech to unit vectors.

    Parameters
    ----------
    rate : int
        Sampling rate in Hz of what it hears, `LOWEST_RATE` or more; its weights are the same for all.

    Example
    -------
    >>> network = SpeakerEmbedding(16000).eval()
    >>> network(torch.randn(2, 16000)).shape
    torch.Size([2, 96])
    """

    def __init__(self, rate: int):
        super().__init__()
        self.rate, self._size, self._hop = rate, round(FRAME * rate), round(HOP * rate)
        filters = melscale_fbanks(self._size // 2 + 1, LOWEST, HIGHEST, BANDS, rate)
        self.register_buffer("filters", filters, persistent=False)
        self.register_buffer("window", torch.hann_window(self._size), persistent=False)
        self.ecapa = ECAPA_TDNN(
            BANDS,
            lin_neurons=SIZE,
            channels=[CHANNELS] * 4 + [3 * CHANNELS],
            kernel_sizes=[5, 3, 3, 3, 1],
            dilations=[1, 2, 3, 4, 1],
            attention_channels=CHANNELS // 2,
            res2net_scale=4,
            se_channels=CHANNELS // 2,
        )

    def forward(self, speech: Tensor) -> Tensor:
        """Compute the embeddings of speech [batch, time], of `SHORTEST` seconds or more: [batch, `SIZE`]."""
        return self.of_levels(self.levels(speech))

    def levels(self, speech: Tensor) -> Tensor:
        """Compute the levels in mel bands against their mean, in units of 10 dB: [batch, frames, BANDS]."""
        spectra = torch.stft(speech, self._size, self._hop, window=self.window, center=False, return_complex=True)
        powers = spectra.abs().square().transpose(1, 2) @ self.filters
        top = powers.amax((1, 2), keepdim=True).clamp(min=1e-20)
        levels = powers.maximum(top * 10 ** (-FLOOR_DB / 10)).log10()
        return levels - levels.mean((1, 2), keepdim=True)

    def of_levels(self, levels: Tensor) -> Tensor:
        """Compute the embeddings of `levels`."""
        return normalize(self.ecapa(levels).squeeze(1), dim=1)


@cache
def speaker_embedding(rate: int) -> SpeakerEmbedding:
    """Load the trained network, once for each rate."""
    network = SpeakerEmbedding(rate)
    network.load_state_dict({name: weights.float() for name, weights in load_file(WEIGHTS).items()})
    return network.eval().requires_grad_(False)


@torch.no_grad()
def embed(turns: list[Tensor], rate: int) -> Tensor:
    """Compute the embeddings of turns.

    Parameters
    ----------
    turns : list of Tensor
        Each [any number of samples].
    rate : int
        In Hz.

    Returns
    -------
    Tensor
        [turns, `SIZE`].
    """
    network, shortest = speaker_embedding(rate), round(SHORTEST * rate)
    padded = (pad(turn, (0, max(0, shortest - len(turn)))) for turn in turns)
    return torch.cat([torch.empty(0, SIZE), *(network(turn.unsqueeze(0)) for turn in padded)])
