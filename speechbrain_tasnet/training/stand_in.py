"""A batch for a process that has no item in the last step of an epoch, so that all take the same steps."""

from collections.abc import Sequence

import torch
from speechbrain.dataio.batch import PaddedBatch

from speechbrain_tasnet.data.microphones import channels_of, heard_alike
from speechbrain_tasnet.data.skipping import BadItem, Fetched, collate

SECONDS = 0.5  # the padding of SpeechBrain's own network fails on much less


def noise_item(name: str, size: int, hparams, generator: torch.Generator | None = None) -> Fetched:
    """Make an item of noise: ``mixture`` [size], or [size, channels] of several, and its ``sources``."""
    sources = 0.1 * torch.randn(size, hparams.num_spks, generator=generator)
    mixture = heard_alike(sources.sum(1), hparams)
    if hparams.outputs == "each":
        sources = sources.unsqueeze(2).expand(-1, -1, channels_of(hparams))
    return Fetched({"id": name, "mixture": mixture, "sources": sources})


def stand_in(bad: Sequence[BadItem], hparams) -> PaddedBatch:
    """Make a batch of noise that counts for nothing: without an id, its gradient is to be weighted with zero.

    Parameters
    ----------
    bad : sequence of BadItem
        What the batch in whose place it comes has to report.
    hparams : namespace
        With ``sample_rate`` and ``num_spks``.
    """
    own = torch.Generator().manual_seed(0)  # no draw of the training is used up
    size = round(SECONDS * hparams.sample_rate)
    batch = collate([noise_item("", size, hparams, own)])
    batch.id, batch.bad = [], list(bad)
    return batch
