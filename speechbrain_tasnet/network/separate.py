"""From a mixture to its sources: the only way through encoder, mask network and decoder."""

from functools import partial
from typing import Protocol

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from speechbrain_tasnet import ops
from speechbrain_tasnet.network.encoder_decoder import Decoder, Encoder
from speechbrain_tasnet.network.fit import check_fit
from speechbrain_tasnet.network.mask_network import MaskNet
from speechbrain_tasnet.network.output_channels import as_signals, as_sources
from speechbrain_tasnet.network.samples import Samples, as_samples, fit_weights
from speechbrain_tasnet.ops.denormals import flushed
from speechbrain_tasnet.ops.items import for_items, over_items
from speechbrain_tasnet.ops.threads import alone
from speechbrain_tasnet.padding import padding_mask, valid_samples


class AnyEncoder(Protocol):
    """What `separate` requires of an encoder, ours or another toolkit's in an adapter.

    Attributes
    ----------
    tail : str
        ``drop`` where samples that fill no whole stride are left out, so that what is decoded is shorter; any
        other value, or none, promises that it is not.
    """

    tail: str

    def __call__(self, signal: Tensor) -> Tensor:
        """Encode [batch, time] or [batch, time, mics]; the first channels of what comes out are masked."""

    def num_frames(self, num_samples: Tensor) -> Tensor:
        """Count the frames of a signal with this many samples."""


class AnyMaskNet(Protocol):
    """What `separate` requires of a mask network."""

    def __call__(self, mixture_w: Tensor, num_frames: Tensor | None = None) -> Tensor:
        """Estimate masks [C, batch, N, frames] of [batch, N, frames].

        Of each item only the first ``num_frames`` [batch] are signal; the masks are zero after them.
        """


class AnyDecoder(Protocol):
    """What `separate` requires of a decoder."""

    def __call__(self, weights: Tensor) -> Tensor:
        """Decode [..., N, frames] to [..., time]."""


def separate(
    encoder: AnyEncoder | nn.Module,
    masknet: AnyMaskNet | nn.Module,
    decoder: AnyDecoder | nn.Module,
    mixture: Samples,
    lengths: Samples | None = None,
) -> Samples:
    """Separate a batch of mixtures: the only way through the network, for training and inference.

    Parameters
    ----------
    encoder, masknet, decoder : Module
        `Encoder`, `MaskNet` and `Decoder` or what `AnyEncoder`, `AnyMaskNet` and `AnyDecoder` describe, possibly
        wrapped for distributed training.
    mixture : Tensor or numpy.ndarray
        [batch, time], or [batch, time, mics] for an encoder of several microphones, of any type that
        `samples.as_samples` describes: floating point with full scale at 1, or PCM of 16 or 32 bits. No mixtures
        at all, [0, time], are fine too.
    lengths : Tensor or numpy.ndarray, optional
        [batch], SpeechBrain's relative lengths in (0, 1]. Each item then gives the same as it would alone,
        whatever the padding holds, with zeros beyond its end.

    Returns
    -------
    Tensor or numpy.ndarray
        [batch, time, C], or [batch, time, C, mics] of an encoder with ``outputs="each"``; the mixture's own
        length, an array if the mixture was one. Computed in the type of the weights; returned in that of the
        mixture, or in float32 for PCM.

    Raises
    ------
    InputError
        If the mixture has another shape, no samples or is of another type, the model has no weights, or its
        parts do not belong together (`fit.check_fit`).

    Example
    -------
    >>> import torch
    >>> from speechbrain_tasnet import Decoder, Encoder, MaskNet
    >>> encoder, decoder = Encoder(N=16, L=8), Decoder(N=16, L=8)
    >>> masknet = MaskNet(N=16, B=8, H=16, Sc=8, X=3, R=2, C=3)
    >>> separate(encoder, masknet, decoder, torch.randn(2, 1001)).shape
    torch.Size([2, 1001, 3])
    """
    check_fit(encoder, masknet, decoder)
    samples, back = as_samples(mixture)
    lengths = None if lengths is None else torch.as_tensor(lengths, device=samples.device)
    inside = fit_weights(samples, encoder, masknet, decoder)
    if not ops.traced() and inside.ndim > 1 and len(inside) == 0:
        return back(_separate(encoder, masknet, decoder, inside.new_zeros(1, *inside.shape[1:]), None)[:0])
    estimates = _separate(encoder, masknet, decoder, inside, lengths)
    # Under autocast the loss gets what the decoder gives.
    return estimates if inside is mixture else back(estimates)


def is_ours(
    encoder: AnyEncoder | nn.Module, masknet: AnyMaskNet | nn.Module, decoder: AnyDecoder | nn.Module
) -> bool:
    """Return whether several threads may go through a network at once, each with a mixture of its own.

    Nothing in networks of ours goes from one mixture to another; of others, and of wrappers, nobody knows.
    """
    return isinstance(encoder, Encoder) and isinstance(masknet, MaskNet) and isinstance(decoder, Decoder)


def _separate(
    encoder: AnyEncoder | nn.Module,
    masknet: AnyMaskNet | nn.Module,
    decoder: AnyDecoder | nn.Module,
    mixture: Tensor,
    lengths: Tensor | None,
) -> Tensor:
    """Separate mixtures of the type of the weights, on a CPU each item in a thread of its own."""
    if ops.traced():
        return _separate_together(encoder, masknet, decoder, mixture, lengths)
    splits = is_ours(encoder, masknet, decoder) and mixture.ndim > 1
    threads = for_items(len(mixture), mixture.device) if splits else 1
    with flushed():
        if threads == 1:
            return _separate_together(encoder, masknet, decoder, mixture, lengths)
        with alone():  # threads of torch's that wait for more work would slow down those that take the items
            return _separate_items(threads, encoder, masknet, decoder, mixture, lengths)


def _separate_items(
    threads: int,
    encoder: Encoder,
    masknet: MaskNet,
    decoder: Decoder,
    mixture: Tensor,
    lengths: Tensor | None,
) -> Tensor:
    stacked = masknet.tcn.stack(mixture)
    weights = [*encoder.parameters(), *decoder.parameters()]
    if (of_blocks := getattr(stacked, "weights", None)) is None:
        weights += masknet.parameters()
    else:
        weights += [*of_blocks, *(w for name, w in masknet.named_parameters() if not name.startswith("tcn."))]

    def one(mixture: Tensor, lengths: Tensor | None) -> Tensor:
        return _separate_together(encoder, partial(masknet, stacked=stacked), decoder, mixture, lengths)

    return over_items(one, threads, [mixture, lengths], weights)


def _separate_together(
    encoder: AnyEncoder | nn.Module,
    masknet: AnyMaskNet | nn.Module,
    decoder: AnyDecoder | nn.Module,
    mixture: Tensor,
    lengths: Tensor | None,
) -> Tensor:
    # A wrapper for distributed training hides what is not forward.
    bare_encoder = getattr(encoder, "module", encoder)
    padding, num_frames = None, None
    if lengths is not None and bool((lengths < 1).any()):
        num_samples = valid_samples(lengths, mixture.shape[1])
        padding = padding_mask(num_samples, mixture.shape[1])  # [batch, time, 1]
        mixture = mixture.masked_fill(padding if mixture.ndim == 3 else padding.squeeze(2), 0)
        num_frames = bare_encoder.num_frames(num_samples)
    mixture_w = encoder(mixture)  # [batch, N, frames]; of M microphones M * N, those of the reference first
    masks = masknet(mixture_w) if num_frames is None else masknet(mixture_w, num_frames)
    if mixture.ndim == 3:
        mixture_w = mixture_w[:, : masks.shape[2]]
    outputs = getattr(bare_encoder, "outputs", 1)
    weights = ops.apply_masks(masks, mixture_w, getattr(bare_encoder, "summed", 1))
    estimates = decoder(as_sources(weights, outputs))[..., : mixture.shape[1]]
    if getattr(bare_encoder, "tail", "fill") == "drop":
        estimates = F.pad(estimates, (0, mixture.shape[1] - estimates.shape[2]))
    estimates = estimates.permute(1, 2, 0)
    estimates = estimates if padding is None else estimates.masked_fill(padding, 0)
    return as_signals(estimates, outputs, getattr(bare_encoder, "reference", 0))
