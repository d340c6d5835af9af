"""What voices sound like, remembered across windows: a speaker who returns after a pause keeps their output."""

from typing import NamedTuple

import torch
from torch import Tensor
from torchaudio.functional import melscale_fbanks

FRAME = 0.032  # seconds
BANDS = 24
LOWEST, HIGHEST = 60.0, 3800.0  # Hz; what every recording of speech has, from 8 kHz on
# A frame tells about a voice that is louder in it than all others together, and near to the loudest frame of all.
LOUD = 10 ** (-25 / 10)
FLOOR_DB = 40.0  # below the highest band of a frame, where there is nothing but what noise the recording has
# In frames of a voice: up to when nothing is known of it, when it is known well, and how much of its past counts.
UNKNOWN, KNOWN, REMEMBERED = 30, 100, 4000
# In dB²: the same voice differs by less from what it was before, by 1 or 2 in general, another one by more.
SAME = 5.0


class Voiceprints(NamedTuple):
    """The mean spectra of several voices."""

    levels: Tensor  # [C, BANDS] in dB, each against the mean of its frame
    frames: Tensor  # [C], how many each is the mean of


def voiceprints(sources: Tensor, rate: int) -> Voiceprints:
    """Compute the mean spectra of sources, each where it is louder than all others.

    Loudness plays no part, and what leaks of other voices little.

    Parameters
    ----------
    sources : Tensor
        [time, C].
    rate : int
        In Hz.

    Examples
    --------
    >>> prints = voiceprints(torch.randn(8000, 2), 8000)
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
    levels = levels.maximum(levels.amax(2, keepdim=True) - FLOOR_DB)
    levels = levels - levels.mean(2, keepdim=True)
    frames = used.sum((1, 2))
    return Voiceprints((used * levels).sum(1) / frames.clamp(min=1).unsqueeze(1), frames)


class VoiceMemory:
    """The voices that have been heard so far.

    Examples
    --------
    >>> memory = VoiceMemory()
    >>> memory.remember(Voiceprints(torch.tensor([[0.0, 4.0], [4.0, 0.0]]), torch.tensor([500.0, 500.0])))
    >>> memory.likeness(Voiceprints(torch.tensor([[4.0, 1.0], [0.0, 3.0]]), torch.tensor([200.0, 200.0])))
    tensor([[-5.0000,  4.5000],
            [ 4.5000, -5.0000]])
    """

    def __init__(self):
        self._known: Voiceprints | None = None

    def likeness(self, new: Voiceprints) -> Tensor:
        """Compare each remembered voice with each new one.

        Returns
        -------
        Tensor
            [remembered, new]: above 0 where they may be the same voice, below where they are not. In dB², how far
            the mean square of the differences of their levels is below `SAME`, or above, then as much at most;
            less in so far as one of the two has not been heard for long, and 0 where it was for half a second.
        """
        known = self._known
        if known is None:
            return torch.zeros(len(new.frames), len(new.frames))
        distances = (known.levels.unsqueeze(1) - new.levels).square().mean(2)
        frames = torch.minimum(known.frames.unsqueeze(1), new.frames)
        return (SAME - distances).clamp(min=-SAME) * ((frames - UNKNOWN) / (KNOWN - UNKNOWN)).clamp(0, 1)

    def remember(self, voices: Voiceprints) -> None:
        """Update the memory with how the voices, in the order of those remembered, sound now."""
        known = self._known
        if known is not None:
            frames = known.frames + voices.frames
            weights = (voices.frames / frames.clamp(min=1)).unsqueeze(1)
            voices = Voiceprints(torch.lerp(known.levels, voices.levels, weights), frames)
        self._known = voices._replace(frames=voices.frames.clamp(max=REMEMBERED))
