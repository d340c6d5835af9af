"""Which channels of a mixture are heard: by the network, and at the reference.

A mixture of one channel is [..., time], one of several [..., time, channels].
"""

from torch import Tensor


def channels_of(hparams) -> int:
    """Return how many channels a recipe's mixtures have: ``mixture_channels``, and where that is none ``mics``."""
    return getattr(hparams, "mixture_channels", None) or getattr(hparams, "mics", 1)


def at_reference(mixture: Tensor, hparams) -> Tensor:
    """Return what the reference microphone hears of a mixture, [..., time]."""
    return mixture if channels_of(hparams) == 1 else mixture[..., getattr(hparams, "reference", 0)]


def with_sources(mixture: Tensor, hparams) -> Tensor:
    """Return what is heard of a mixture where its sources are: at the reference, or at each microphone."""
    return mixture if getattr(hparams, "outputs", "reference") == "each" else at_reference(mixture, hparams)


def sources_at_reference(sources: Tensor, hparams) -> Tensor:
    """Return of sources [..., C], or [..., C, mics] at each microphone, those at the reference."""
    return sources[..., hparams.reference] if getattr(hparams, "outputs", "reference") == "each" else sources


def heard_alike(mixture: Tensor, hparams) -> Tensor:
    """Return a mixture [..., time] as a recipe's network takes it, where all microphones hear the same.

    Example
    -------
    >>> import torch
    >>> from types import SimpleNamespace
    >>> [heard_alike(torch.randn(4, 800), SimpleNamespace(mics=mics)).shape for mics in (1, 2)]
    [torch.Size([4, 800]), torch.Size([4, 800, 2])]
    """
    channels = channels_of(hparams)
    return mixture if channels == 1 else mixture.unsqueeze(-1).expand(*mixture.shape, channels)


def for_network(mixture: Tensor, hparams) -> Tensor:
    """Return what the network hears of a mixture, the first ``mics`` channels.

    Example
    -------
    >>> import torch
    >>> from types import SimpleNamespace
    >>> mixture = torch.randn(4, 800, 6)
    >>> [for_network(mixture, SimpleNamespace(mixture_channels=6, mics=mics)).shape for mics in (1, 2)]
    [torch.Size([4, 800]), torch.Size([4, 800, 2])]
    """
    mics = getattr(hparams, "mics", 1)
    if channels_of(hparams) == mics:
        return mixture
    return mixture[..., 0] if mics == 1 else mixture[..., :mics]
