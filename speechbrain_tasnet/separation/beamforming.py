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

# Long against the reverberation that is to be followed, so that one filter a frequency is enough.
FRAME_SECONDS = 0.256
FRAMES_IN_A_HOP = 4
# Of the noise's power, added to it at each microphone: more makes filters that trust the estimates less.
LOADING = 1e-3


def beamform(mixture: Tensor, estimates: Tensor, rate: int) -> Tensor:
    """Filter what all microphones hear to the sources at the first.

    Parameters
    ----------
    mixture : Tensor
        [mics, time].
    estimates : Tensor
        [mics, time, C], the sources at each microphone, in any order.
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
    grid = {"n_fft": frame, "hop_length": frame // FRAMES_IN_A_HOP, "window": window}
    heard = torch.stft(mixture, **grid, pad_mode="constant", return_complex=True)  # [mics, bins, frames]
    sources = torch.stft(estimates.transpose(1, 2).flatten(0, 1), **grid, pad_mode="constant", return_complex=True)
    sources = _in_one_order(sources.unflatten(0, (estimates.shape[0], -1)))  # [mics, C, bins, frames]
    filtered = [
        SoudenMVDR()(heard, _covariance(source), _covariance(heard - source), 0, diag_eps=LOADING)
        for source in sources.unbind(1)
    ]
    return torch.istft(torch.stack(filtered), **grid, length=mixture.shape[1]).T


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


def _in_one_order(sources: Tensor) -> Tensor:
    """Put the sources [mics, C, bins, frames] of all microphones in the order of the first one's.

    Microphones differ by delays, so magnitudes are compared.
    """
    first, *others = sources
    ordered = [first]
    for other in others:
        likeness = first.abs().flatten(1) @ other.abs().flatten(1).T
        ordered.append(other[scipy.optimize.linear_sum_assignment(likeness.numpy(), maximize=True)[1]])
    return torch.stack(ordered)


def _covariance(signals: Tensor) -> Tensor:
    """Return how signals [mics, bins, frames] vary together in each bin, [bins, mics, mics]."""
    signals = signals.transpose(0, 1).to(torch.complex128)
    return (signals @ signals.mH / signals.shape[2]).to(torch.complex64)
