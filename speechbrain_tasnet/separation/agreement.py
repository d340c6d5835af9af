"""How well two estimates of the same sources agree, each source with each: what puts them in one order."""

import torch
from torch import Tensor

FRAME_SECONDS = 0.032  # several times what sound takes from one microphone to another


def correlation(reference: Tensor, sources: Tensor) -> Tensor:
    """Correlate sources that were heard at the same place; a loud one has more weight than a faint one.

    Parameters
    ----------
    reference, sources : Tensor
        [time, C].

    Returns
    -------
    Tensor
        [C, C], each of the reference with each source, between -1 and 1.

    Example
    -------
    >>> correlation(torch.eye(2), torch.eye(2).flip(1))
    tensor([[0.0000, 0.5000],
            [0.5000, 0.0000]])
    """
    power = reference.norm() * sources.norm()
    return reference.T @ sources / power if power > 0 else torch.zeros(reference.shape[1], sources.shape[1])


def likeness_across_microphones(reference: Tensor, sources: Tensor, rate: int) -> Tensor:
    """Correlate how spectra change, for sources that another microphone hears earlier, louder or inverted.

    Parameters
    ----------
    reference, sources : Tensor
        [time, C].
    rate : int
        In Hz.

    Returns
    -------
    Tensor
        [C, C], each of the reference with each source, between -1 and 1.

    Example
    -------
    >>> voices = torch.randn(8000, 2)
    >>> likeness_across_microphones(voices, -voices.roll(8, dims=0).flip(1), 8000).argmax(1)
    tensor([1, 0])
    """
    return _changes(reference, rate) @ _changes(sources, rate).T


def _changes(sources: Tensor, rate: int) -> Tensor:
    """Return the magnitudes of spectra [C, bins and frames] less their means, each source's of norm 1."""
    size = 2 * max(1, round(FRAME_SECONDS * rate / 2))
    window = torch.hann_window(size, dtype=sources.dtype)
    spectra = torch.stft(sources.T, size, size // 2, window=window, pad_mode="constant", return_complex=True)
    magnitudes = spectra.abs()
    return torch.nn.functional.normalize((magnitudes - magnitudes.mean(2, keepdim=True)).flatten(1))
