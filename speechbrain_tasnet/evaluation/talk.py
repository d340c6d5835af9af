"""Scores of mixtures with silent voices: how many voices were found, where, and how quiet unused outputs are."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import scipy
import torch
from torch import Tensor

from speechbrain_tasnet.evaluation.confidence import describe
from speechbrain_tasnet.evaluation.diarization import (
    Turn,
    diarization_errors,
    error_shares,
    turns_heard,
    turns_spoken,
)
from speechbrain_tasnet.losses import Targets, silent
from speechbrain_tasnet.losses.ratios import Pairs, sa_sdr

SCORES = ("si-snr", "si-snr_i", "p_si-snr", "sa-sdr", "silence", "right output")

# What a voice too many or too few costs in P-SI-SNR.
PENALTY_DB = 30.0

SECOND = 1.0  # in each of which a voice is in the right output or not
# Of a voice's energy on average: a second in which it has less holds too little of it to be looked for. And of an
# output's energy: noise agrees with a voice that well by chance.
AUDIBLE = 0.01
# Of what all outputs together hold of a voice, by energy: with less in its own it is torn, for in the others it is
# then less than 5 dB softer. Halves and copies of the mixture have one part in two, or in three.
OWN = 0.75


def count_voices(
    targets: Tensor,
    estimates: Tensor,
    sample_rate: int,
    der: bool = False,
    spoken: Sequence[Turn] | None = None,
) -> dict[str, str | float | None]:
    """Score who was found and when: what can be scored even where no estimate can resemble its target.

    Parameters
    ----------
    targets, estimates : Tensor
        [time, C] each, in any order; targets of silent voices are zero.
    sample_rate : int
        In Hz.
    der : bool
        Whether to return `diarization.diarization_errors`, too, and what they are measured against as
        ``reference``: ``segments`` or ``energy``.
    spoken : sequence of (int, float, float), optional
        When each target speaks: its number, start and end in seconds. Where nobody knows, the energy of the
        targets decides, see `diarization.turns_spoken`.

    Returns
    -------
    dict
        ``speakers``, who are heard, and ``found``, the outputs in which somebody is, besides the errors.

    Example
    -------
    >>> voices = torch.randn(8000, 2) * torch.tensor([1.0, 0.0])
    >>> count_voices(voices, voices + 0.5 * voices.flip(1), 8000)
    {'speakers': 1, 'found': 2}
    """
    turns = turns_heard(estimates, sample_rate)
    speakers = int((~silent(targets[None])).sum())
    scores: dict[str, str | float | None] = {"speakers": speakers, "found": len({voice for voice, *_ in turns})}
    if der:
        scores["reference"] = "energy" if spoken is None else "segments"
        reference = turns_spoken(targets, sample_rate) if spoken is None else spoken
        scores |= diarization_errors(reference, turns, len(targets) / sample_rate)
    return scores


def score_talk(mixture: Tensor, targets: Tensor, estimates: Tensor, sample_rate: int) -> dict[str, float | None]:
    """Score how well the voices of an utterance are separated, some of which may be silent.

    Parameters
    ----------
    mixture : Tensor
        [time].
    targets, estimates : Tensor
        [time, C] each, in any order; targets of silent voices are zero.
    sample_rate : int
        In Hz.

    Returns
    -------
    dict
        The mean ``si-snr`` of the speakers in their best outputs; ``p_si-snr`` of those that were found, see
        `penalized`; ``sa-sdr``, one ratio of the energies of all voices; ``silence``, the level in dB of the
        outputs for nobody against the mixture; and ``right output``, the share of the seconds of all voices that
        are in the output of the speaker, see `in_right_output`. None where a score is not defined.

    Example
    -------
    >>> voices = torch.randn(16000, 2) * (torch.arange(16000) < 8000).unsqueeze(1)
    >>> targets = torch.cat([voices, torch.zeros(16000, 1)], dim=1)
    >>> score_talk(targets.sum(1), targets, targets.flip(1), 8000)["right output"]
    1.0
    """
    prepared = Targets(targets[None])
    heard = (~prepared.silent[0]).nonzero().squeeze(1)
    signals = prepared.zero_mean(estimates[None])
    ratios = Pairs(prepared.signals, signals).si_snr()[0]
    order = scipy.optimize.linear_sum_assignment(ratios[heard].numpy(), maximize=True)[1]
    others = sorted(set(range(estimates.shape[1])) - set(order.tolist()))
    found = np.unique([voice for voice, *_ in turns_heard(estimates, sample_rate)]).astype(int)
    scores: dict[str, float | None] = {}
    scores["si-snr"] = float(ratios[heard, order].mean()) if len(heard) else None
    scores["p_si-snr"] = penalized(ratios[heard][:, torch.from_numpy(found)])
    power = mixture.square().mean()
    level = estimates[:, others].square().mean() / power if others and power > 0 else None
    scores["silence"] = None if level is None else float(10 * level.clamp(min=1e-10).log10())
    scores["right output"] = in_right_output(targets[:, heard], estimates, order, sample_rate)
    whole = [*order.tolist(), *others]
    ordered = [*heard.tolist(), *prepared.silent[0].nonzero().squeeze(1).tolist()]
    aggregated = sa_sdr(prepared.signals[:, ordered], signals[:, whole]) if len(heard) else None
    scores["sa-sdr"] = None if aggregated is None else float(aggregated)
    return scores


def penalized(ratios: Tensor) -> float | None:
    """Compute P-SI-SNR: the mean SI-SNR, with 30 dB less for each voice too many or too few.

    The sum of the SI-SNR of matched voices and outputs, less 30 dB for each that has no match, over the larger of
    both numbers.

    Parameters
    ----------
    ratios : Tensor
        SI-SNR [speakers, outputs that were found] of each with each.

    Returns
    -------
    float or None
        In dB; None if there is neither.

    Examples
    --------
    >>> penalized(torch.tensor([[10.0, -5.0], [-5.0, 14.0]]))
    12.0
    >>> penalized(torch.tensor([[10.0], [-5.0]]))  # one of two was found
    -10.0
    """
    most = max(ratios.shape)
    if not most:
        return None
    rows, columns = scipy.optimize.linear_sum_assignment(ratios.numpy(), maximize=True)
    matched = float(ratios[rows, columns].sum())
    return (matched - PENALTY_DB * abs(ratios.shape[0] - ratios.shape[1])) / most


def in_right_output(
    voices: Tensor, estimates: Tensor, order: Sequence[int] | np.ndarray, sample_rate: int
) -> float | None:
    """Return the share of the seconds of speech in which the speaker is heard in the right output.

    That output must hold three quarters of what all outputs hold of the voice in this second, by energy. How much
    an output holds of each voice is found for all voices together, by least squares: two voices are never quite
    uncorrelated, and what a soft one has in common with a loud one would count as the soft one.

    Parameters
    ----------
    voices : Tensor
        [time, speakers].
    estimates : Tensor
        [time, C].
    order : sequence of int
        The output of each speaker in the whole.
    sample_rate : int
        In Hz.

    Returns
    -------
    float or None
        Of the seconds of all speakers together; None if nobody speaks.
    """
    size = round(SECOND * sample_rate)
    usual = AUDIBLE * voices.square().mean(0)
    right = spoken = 0
    for part, estimate in zip(voices.split(size), estimates.split(size), strict=True):
        gains = torch.linalg.pinv(part.T @ part, hermitian=True) @ (part.T @ estimate)  # [speakers, C]
        held = gains.square() * part.square().sum(0).unsqueeze(1)
        audible = AUDIBLE * estimate.square().sum(0)
        for speaker in (part.square().mean(0) > usual).nonzero().squeeze(1).tolist():
            own = held[speaker, order[speaker]]
            spoken += len(part)
            # Of silence, which holds nothing of anybody, neither is true.
            right += len(part) * int(own > OWN * held[speaker].sum() and own > audible[order[speaker]])
    return right / spoken if spoken else None


def summarize(rows: Sequence[Mapping[str, str | float | None]]) -> dict:
    """Summarise the scores of a test set.

    Parameters
    ----------
    rows : sequence of mapping
        What `count_voices` has returned and, where the sources are aligned, `score_talk`, with the utterance's
        ``si-snr_i``, or None.

    Returns
    -------
    dict
        ``confusion``: how many mixtures of so many speakers gave so many voices, as ``{"1": {"1": 9, "2": 1}}``;
        ``right``, ``too few`` and ``too many``, the shares of all mixtures; ``by speakers``: of each number
        of them `confidence.describe` of each score that some have; ``all``, the same of all mixtures; and
        ``der``, see `diarization.error_shares`, if it was asked for, with its ``reference``: ``segments`` of the
        corpus, ``energy`` of the targets, or both, where only some utterances have segments.

    Example
    -------
    >>> row = {"speakers": 1, "found": 2, "si-snr": 12.0, "si-snr_i": None, "silence": -9.0}
    >>> summary = summarize([row])
    >>> summary["confusion"], summary["too many"], summary["by speakers"]["1"]["silence"]["mean"]
    ({'1': {'2': 1}}, 1.0, -9.0)
    """
    confusion: dict[str, Counter] = {}
    for row in rows:
        confusion.setdefault(str(row["speakers"]), Counter())[str(row["found"])] += 1
    differences = np.array([row["found"] - row["speakers"] for row in rows])
    summary = {
        "confusion": {speakers: dict(sorted(found.items())) for speakers, found in sorted(confusion.items())},
        "right": float(np.mean(differences == 0)),
        "too few": float(np.mean(differences < 0)),
        "too many": float(np.mean(differences > 0)),
        "by speakers": {},
    }
    for speakers in summary["confusion"]:
        own = [row for row in rows if str(row["speakers"]) == speakers]
        summary["by speakers"][speakers] = _describe_scores(own)
    summary["all"] = _describe_scores(rows)
    if rows and "speech" in rows[0]:
        summary["der"] = error_shares(rows)
        summary["reference"] = " and ".join(sorted({row["reference"] for row in rows}, reverse=True))
    return summary


def _describe_scores(rows: Sequence[Mapping[str, str | float | None]]) -> dict[str, dict]:
    values = {name: [row[name] for row in rows if row.get(name) is not None] for name in SCORES}
    return {name: describe(found) for name, found in values.items() if found}
