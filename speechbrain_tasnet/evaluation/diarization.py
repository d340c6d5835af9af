"""Who speaks when in separated signals, and its diarisation error rate (DER), by pyannote.metrics."""

from collections.abc import Mapping, Sequence

import numpy as np
import scipy
from torch import Tensor

from speechbrain_tasnet.audio.activity import FrameEnergies, active_frames, to_segments
from speechbrain_tasnet.losses import silent

# A segment: the number of the voice, from 0, and where it starts and ends in seconds.
Turn = tuple[int, float, float]

# What errors consist of, in pyannote.metrics' words and in ours.
COMPONENTS = {"missed detection": "missed", "false alarm": "false alarm", "confusion": "confusion"}


def turns_spoken(targets: Tensor, sample_rate: int) -> list[Turn]:
    """Return when each voice speaks, however soft it is beside the others.

    Parameters
    ----------
    targets : Tensor
        [time, C], each with one voice alone or silent.
    sample_rate : int
        In Hz.

    Returns
    -------
    list of (int, float, float)
        Voice, start and end in seconds, by start.

    Examples
    --------
    >>> import torch
    >>> turns_spoken(torch.randn(8000, 2) * torch.tensor([1.0, 0.001]), 8000)
    [(0, 0.0, 1.0), (1, 0.0, 1.0)]
    """
    frames = _frames(targets, sample_rate)
    energies = frames.array()
    active = np.concatenate([active_frames(energies[[voice]]) for voice in range(len(energies))])
    active[silent(targets[None])[0].numpy()] = False  # whatever rounding has left in them
    return to_segments(active, frames.seconds, frames.length)


def turns_heard(estimates: Tensor, sample_rate: int) -> list[Turn]:
    """Return when a voice is heard in each output [time, C], as `tasnet separate` says: see `turns_spoken`."""
    frames = _frames(estimates, sample_rate)
    return to_segments(active_frames(frames.array()), frames.seconds, frames.length)


def diarization_errors(reference: Sequence[Turn], hypothesis: Sequence[Turn], seconds: float) -> dict[str, float]:
    """Compare who speaks when, overlapped speech included, without a collar.

    Voices are matched in the best way, one to one.

    Parameters
    ----------
    reference, hypothesis : sequence of (int, float, float)
        Voice, start and end in seconds.
    seconds : float
        Of the recording.

    Returns
    -------
    dict
        Seconds of ``speech`` in the reference, all voices together, and of them ``missed`` and in
        ``confusion``; seconds of ``false alarm``.

    Examples
    --------
    >>> errors = diarization_errors([(0, 0.0, 8.0), (1, 6.0, 10.0)], [(2, 0.0, 7.0), (0, 7.0, 11.0)], 12.0)
    >>> errors
    {'speech': 12.0, 'missed': 2.0, 'false alarm': 1.0, 'confusion': 0.0}
    >>> error_shares([errors])["rate"]
    0.25
    """
    from pyannote.core import Annotation, Segment, Timeline
    from pyannote.metrics.diarization import DiarizationErrorRate

    def annotation(turns: Sequence[Turn]) -> Annotation:
        return Annotation.from_records(
            (Segment(start, end), number, voice) for number, (voice, start, end) in enumerate(turns)
        )

    found = DiarizationErrorRate()(
        annotation(reference), annotation(hypothesis), detailed=True, uem=Timeline([Segment(0.0, seconds)])
    )
    return {"speech": found["total"], **{ours: found[theirs] for theirs, ours in COMPONENTS.items()}}


def order_by_turns(reference: Sequence[Turn], hypothesis: Sequence[Turn], voices: int) -> list[int]:
    """Match voices and outputs, one to one, by how long both are heard at once.

    Parameters
    ----------
    reference, hypothesis : sequence of (int, float, float)
        Voice or output, start and end in seconds.
    voices : int
        Of each.

    Returns
    -------
    list of int
        The output of each voice.

    Examples
    --------
    >>> order_by_turns([(0, 0.0, 4.0), (1, 3.0, 9.0)], [(1, 0.0, 5.0), (0, 5.0, 9.0)], voices=2)
    [1, 0]
    """
    shared = np.zeros((voices, voices))
    for voice, start, end in reference:
        for output, first, last in hypothesis:
            shared[voice, output] += max(0.0, min(end, last) - max(start, first))
    return scipy.optimize.linear_sum_assignment(shared, maximize=True)[1].tolist()


def error_shares(rows: Sequence[Mapping[str, float]]) -> dict[str, float] | None:
    """Return the DER of all recordings together.

    Parameters
    ----------
    rows : sequence of mapping
        The `diarization_errors` of each.

    Returns
    -------
    dict or None
        Seconds ``missed``, of ``false alarm`` and in ``confusion`` over the seconds of speech, and their sum as
        ``rate``, the DER. None if nobody speaks.
    """
    speech = sum(row["speech"] for row in rows)
    if not speech:
        return None
    shares = {name: sum(row[name] for row in rows) / speech for name in COMPONENTS.values()}
    return {"rate": sum(shares.values()), **shares}


def _frames(signals: Tensor, sample_rate: int) -> FrameEnergies:
    frames = FrameEnergies(sample_rate)
    frames.add(signals.T.numpy())
    return frames
