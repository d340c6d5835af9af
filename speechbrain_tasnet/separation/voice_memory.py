"""What voices sound like, remembered from window to window: who comes back after a pause gets his output again."""

from typing import NamedTuple

import torch
from torch import Tensor
from torchaudio.functional import melscale_fbanks

FRAME = 0.032  # seconds
BANDS = 24
LOWEST, HIGHEST = 60.0, 3800.0  # Hz; what every recording of speech has, from 8 kHz on
# A frame tells about a voice that is louder in it than all others together, and near to the loudest frame of all.
LOUD = 10 ** (-25 / 10)
# In frames of a voice: up to when nothing is known of it, when it is known well, and how much of its past counts.
UNKNOWN, KNOWN, REMEMBERED = 30, 100, 4000


class Voiceprints(NamedTuple):
    """The mean spectra of several voices."""

    levels: Tensor  # [C, BANDS] in dB, each against the mean of its frame
    frames: Tensor  # [C], how many each is the mean of


def voiceprints(sources: Tensor, rate: int) -> Voiceprints:
    """Take the mean spectra of sources, each where it is louder than all others.

    Loudness plays no part, and what leaks of other voices little.

    Parameters
    ----------
    sources : Tensor
        [time, C].
    rate : int
        In Hz.

    Examples
    --------
    >>> prints = voiceprints(torch.randn(8000, 2) * (torch.arange(8000) < 4000).unsqueeze(1) @ torch.eye(2), 8000)
    >>> prints.levels.shape, prints.frames.shape
    (torch.Size([2, 24]), torch.Size([2]))
    """
    size = round(FRAME * rate)
    if len(sources) < size:
        voices = sources.shape[1]
        return Voiceprints(torch.zeros(voices, BANDS), torch.zeros(voices))
    spectra = torch.stft(
        sources.T, size, size // 2, window=torch.hann_window(size), center=False, return_complex=True
    )
    powers = spectra.abs().square().transpose(1, 2)  # [C, frames, size // 2 + 1]
    energies = powers.sum(2)
    loudest = energies.amax(0)
    louder = energies > energies.sum(0) - energies
    used = (louder & (loudest > LOUD * loudest.max())).float().unsqueeze(2)
    filters = melscale_fbanks(powers.shape[2], LOWEST, min(HIGHEST, rate / 2), BANDS, rate)
    levels = 10 * (powers @ filters).clamp(min=1e-12).log10()
    levels = levels - levels.mean(2, keepdim=True)
    frames = used.sum((1, 2))
    return Voiceprints((used * levels).sum(1) / frames.clamp(min=1).unsqueeze(1), frames)


class VoiceMemory:
    """The voices that have been heard so far.

    Examples
    --------
    >>> memory = VoiceMemory()
    >>> memory.remember(Voiceprints(torch.tensor([[0.0, 4.0], [4.0, 0.0]]), torch.tensor([500.0, 500.0])))
    >>> memory.likeness(Voiceprints(torch.tensor([[4.0, 1.0], [0.0, 3.0]]), torch.tensor([200.0, 0.0])))
    tensor([[-12.5000,   0.0000],
            [ -0.5000,   0.0000]])
    """

    def __init__(self):
        self._known: Voiceprints | None = None

    def likeness(self, new: Voiceprints) -> Tensor:
        """Compare each remembered voice with each new one.

        Returns
        -------
        Tensor
            [remembered, new]: the negative mean square of the differences of their levels in dB, less in so far as
            one of the two has been heard for a short time; 0 where that is less than half a second.
        """
        known = self._known
        if known is None:
            return torch.zeros(len(new.frames), len(new.frames))
        distances = (known.levels.unsqueeze(1) - new.levels).square().mean(2)
        frames = torch.minimum(known.frames.unsqueeze(1), new.frames)
        return 0 - distances * ((frames - UNKNOWN) / (KNOWN - UNKNOWN)).clamp(0, 1)

    def remember(self, voices: Voiceprints) -> None:
        """Take in how the voices, in the order of those remembered, sound now."""
        known = self._known
        if known is not None:
            frames = known.frames + voices.frames
            weights = (voices.frames / frames.clamp(min=1)).unsqueeze(1)
            voices = Voiceprints(torch.lerp(known.levels, voices.levels, weights), frames)
        self._known = voices._replace(frames=voices.frames.clamp(max=REMEMBERED))
