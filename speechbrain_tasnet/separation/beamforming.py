"""A beamformer for any array: sources of a one-microphone separator, sharpened with the other microphones.

The separator hears each microphone by itself. Its estimates at all of them show where each source is, and a
filter for each frequency keeps what comes from there and as little as possible of everything else (MVDR). That is
Beam-TasNet (Ochiai et al., ICASSP 2020, arXiv 1912.04553); the filters are those of Souden et al. 2010, as
torchaudio computes them.
"""

from collections.abc import Callable

import scipy
import torch
from torch import Tensor
from torchaudio.transforms import SoudenMVDR

from speechbrain_tasnet.separation.agreement import likeness_across_microphones

# Long against the reverberation that is to be followed, so that one filter a frequency is enough.
FRAME_SECONDS = 0.256
FRAMES_IN_A_HOP = 4
# Of the noise's power, added to it at each microphone: more makes filters that trust the estimates less.
LOADING = 1e-3
# A channel of which no more than this part is not that of another one, at whatever level, is a copy of it.
COPY = 1e-5


def of_their_own(mixture: Tensor) -> list[int]:
    """Return which channels are those of microphones: not silent, and no copy of one before.

    Many stereo files are of one microphone, or have a channel that nothing was plugged into.

    Parameters
    ----------
    mixture : Tensor
        [channels, time].

    Returns
    -------
    list of int
        At least one: of nothing but silence, the first.

    Example
    -------
    >>> first, second = torch.randn(2, 100)
    >>> of_their_own(torch.stack([0 * first, first, -0.5 * first, second]))
    [1, 3]
    """
    signals = torch.nn.functional.normalize(mixture.double(), dim=1)
    likeness = (signals @ signals.T).square()
    own: list[int] = []
    for channel in range(len(mixture)):
        if likeness[channel, channel] > 0 and not (likeness[channel, own] > 1 - COPY).any():
            own.append(channel)
    return own or [0]


def beamform(mixture: Tensor, estimates: Tensor, rate: int) -> Tensor:
    """Filter what all microphones hear to the sources at the first.

    Parameters
    ----------
    mixture : Tensor
        [mics, time], at any levels: microphones need not be alike.
    estimates : Tensor
        [mics, time, C], the sources at each microphone, in any order, at any levels.
    rate : int
        In Hz.

    Returns
    -------
    Tensor
        [time, C], in the order of the first microphone's estimates.

    Example
    -------
    >>> beamform(torch.randn(4, 8000), torch.randn(4, 8000, 2), 8000).shape
    torch.Size([8000, 2])
    """
    frame = FRAMES_IN_A_HOP * max(1, round(FRAME_SECONDS * rate / FRAMES_IN_A_HOP))
    window = torch.hann_window(frame, dtype=mixture.dtype)
    grid = {"n_fft": frame, "hop_length": frame // FRAMES_IN_A_HOP, "window": window, "pad_mode": "constant"}
    # At equal levels, for the load of the filters is the same for all microphones.
    levels = mixture.square().mean(1).sqrt()
    scales = levels.clamp(min=torch.finfo(levels.dtype).tiny).unsqueeze(1)
    estimates = _at_their_levels(mixture, _in_one_order(estimates, rate)) / scales.unsqueeze(2)
    heard = torch.stft(mixture / scales, **grid, return_complex=True)  # [mics, bins, frames]
    filtered = []
    for estimate in estimates.unbind(2):
        source = torch.stft(estimate, **grid, return_complex=True)
        noise = _covariance(heard - source)
        filtered.append(SoudenMVDR()(heard, _covariance(source), noise, 0, diag_eps=LOADING))
    del grid["pad_mode"]
    return levels[0] * torch.istft(torch.stack(filtered), **grid, length=mixture.shape[1]).T


def postfilter(filtered: Tensor, separate: Callable[[Tensor], Tensor]) -> Tensor:
    """Separate each output of a beamformer once more, and keep the voice it was steered to.

    A filter of so few microphones leaves some of the other voices, but less of them than the mixture had, and a
    separator removes most of that.

    Parameters
    ----------
    filtered : Tensor
        [time, C], see `beamform`.
    separate : callable
        From mixtures [batch, time] to their sources [batch, time, C], in any order.

    Returns
    -------
    Tensor
        [time, C], in the same order.

    Example
    -------
    >>> filtered = torch.randn(8000, 2)
    >>> torch.equal(postfilter(filtered, lambda x: torch.stack([0.1 * x.flip(1), x], dim=2)), filtered)
    True
    """
    sources = separate(filtered.T)  # [C, time, C]: those of each output
    likeness = torch.einsum("tc,ctk->ck", filtered, sources) / sources.norm(dim=1).clamp(min=1e-12)
    return torch.stack([of[:, like.argmax()] for of, like in zip(sources, likeness, strict=True)], dim=1)


def _in_one_order(estimates: Tensor, rate: int) -> Tensor:
    """Put the sources [mics, time, C] of all microphones in the order of the first one's."""
    first, *others = estimates
    ordered = [first]
    for other in others:
        likeness = likeness_across_microphones(first, other, rate)
        ordered.append(other[:, scipy.optimize.linear_sum_assignment(likeness.numpy(), maximize=True)[1]])
    return torch.stack(ordered)


def _at_their_levels(mixture: Tensor, estimates: Tensor) -> Tensor:
    """Scale the sources [mics, time, C] so that their sum fits the mixture: some losses leave levels open."""
    gram = (estimates.mT @ estimates).double()
    gains = torch.linalg.pinv(gram, hermitian=True) @ (estimates.mT @ mixture.unsqueeze(2)).double()
    return estimates * gains.mT.to(estimates.dtype)


def _covariance(signals: Tensor) -> Tensor:
    """Return how signals [mics, bins, frames] vary together in each bin, [bins, mics, mics]."""
    signals = signals.transpose(0, 1).to(torch.complex128)
    return (signals @ signals.mH / signals.shape[2]).to(torch.complex64)
