"""Scale-invariant SNR and permutation-invariant training, on padded batches of any number of sources."""

import torch
from torch import Tensor

from speechbrain_tasnet.losses.targets import Targets, check_shapes


def si_snr(targets: Tensor, estimates: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Return the scale-invariant signal-to-noise ratio of each estimate to the target in the same place.

    Section II-E of the Conv-TasNet paper (arXiv 1809.07454): both signals are made zero-mean, the estimate
    is projected on the target, and the powers of projection and residue are compared.

    Parameters
    ----------
    targets, estimates : Tensor
        [batch, time, C] each.
    lengths : Tensor, optional
        [batch], SpeechBrain's relative lengths in (0, 1]. What is beyond them has no effect.

    Returns
    -------
    Tensor
        [batch, C] in dB. A silent target gives about -80 dB whatever the estimate, with zero gradient.

    Raises
    ------
    ValueError
        If the two shapes differ or are not [batch, time, C].

    Example
    -------
    >>> target = torch.sin(torch.arange(800.0)).reshape(1, 800, 1)
    >>> noise = torch.cos(torch.arange(800.0)).reshape(1, 800, 1)
    >>> si_snr(target, 3 * (target + 0.1 * noise)).round()
    tensor([[20.]])
    """
    check_shapes(targets, estimates)
    return Targets(targets, lengths).si_snr(estimates)


def pit_si_snr_loss(targets: Tensor, estimates: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Return the negative SI-SNR under the best assignment of estimates to targets (utterance-level PIT).

    Takes its arguments as SpeechBrain's `get_si_snr_with_pitwrapper` does and equals it wherever that is
    defined. Silent targets are left out of the mean over the sources, since no estimate can be right or
    wrong about them; `silent` returns which they are.

    Parameters
    ----------
    targets, estimates : Tensor
        [batch, time, C] each, C of any size; or [batch, time, C, M] at each microphone, see `Targets`.
    lengths : Tensor, optional
        [batch], relative lengths in (0, 1].

    Returns
    -------
    Tensor
        [batch], in dB, lower is better; 0 with zero gradient where all targets are silent.

    Raises
    ------
    ValueError
        If the two shapes differ or are not [batch, time, C].

    Example
    -------
    >>> targets = torch.randn(4, 800, 3)
    >>> pit_si_snr_loss(targets, targets[..., [2, 0, 1]]).shape
    torch.Size([4])
    """
    check_shapes(targets, estimates)
    return Targets(targets, lengths).loss(estimates)


@torch.no_grad()
def best_permutation(targets: Tensor, estimates: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Find the assignment of estimates to targets that has the highest mean SI-SNR.

    All C! orders are compared up to C=4; beyond, the Hungarian algorithm finds the same assignment.

    Parameters
    ----------
    targets, estimates : Tensor
        [batch, time, C] each.
    lengths : Tensor, optional
        [batch], relative lengths in (0, 1].

    Returns
    -------
    Tensor
        [batch, C] of int64: estimate ``permutation[b, c]`` belongs to target ``c``.

    Example
    -------
    >>> targets = torch.randn(1, 800, 3)
    >>> best_permutation(targets, targets[..., [2, 0, 1]])
    tensor([[1, 2, 0]])
    """
    check_shapes(targets, estimates)
    return Targets(targets, lengths).best_permutation(estimates)


def silent(targets: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Return which targets are silent: at most one step of 16-bit audio (-90 dBFS) once zero-mean.

    Parameters
    ----------
    targets : Tensor
        [batch, time, C].
    lengths : Tensor, optional
        [batch], relative lengths in (0, 1].

    Returns
    -------
    Tensor
        [batch, C] of bool.

    Example
    -------
    >>> silent(torch.stack([torch.zeros(1, 8), torch.randn(1, 8)], dim=2))
    tensor([[ True, False]])
    """
    return Targets(targets, lengths).silent
