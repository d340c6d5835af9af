"""Score separated utterances, SI-SNR, SDR, PESQ, STOI and DER, and write them as CSV and JSON."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.evaluation.by_condition import by_condition
from speechbrain_tasnet.evaluation.confidence import describe
from speechbrain_tasnet.evaluation.diarization import Turn, error_shares, order_by_turns, turns_heard, turns_spoken
from speechbrain_tasnet.evaluation.metrics import METRICS, check_metrics, pesq, sdr, stoi
from speechbrain_tasnet.evaluation.pitch import voices_of
from speechbrain_tasnet.evaluation.talk import count_voices, score_talk, summarize
from speechbrain_tasnet.losses import best_permutation, reorder, si_snr, silent
from speechbrain_tasnet.system.csv_text import csv_text
from speechbrain_tasnet.system.files import write_text

Row = dict[str, str | float | None]


@dataclass(frozen=True)
class Example:
    """One utterance to look at and listen to: its place in the ranking, its scores and its audio.

    `mixture` is [time], `targets` and `estimates` are [time, C], the estimates in the order of the targets.
    `spoken` is when each target speaks, where that is known, see `talk.score_talk`.
    """

    rank: str
    row: Row
    mixture: Tensor
    targets: Tensor
    estimates: Tensor
    spoken: Sequence[Turn] | None = None


class Evaluator:
    """Collect the scores of a test set, one utterance at a time, without keeping its audio.

    Every score is the mean over the sources of the utterance. Two kinds of sources are left out of it: silent
    targets, which no estimate can resemble, and targets that are alone in the mixture, so that there is nothing
    to remove. An utterance without any other source is listed but not scored. Where a test set has silent
    targets, or ``der`` is asked for, it is also scored who was found, see `talk.count_voices` and
    `talk.score_talk`. Where sources are not aligned, only who was found is scored.

    Parameters
    ----------
    sample_rate : int
        In Hz.
    metrics : sequence of str
        Any of ``sdr`` (BSS eval version 3, with its improvement ``sdr_i``), ``pesq``, ``stoi`` and ``der``, see
        `diarization.diarization_errors`, beside ``si-snr`` and ``si-snr_i``, which are always there. An
        improvement is over the mixture as estimate.
    aligned_sources : bool
        Whether the targets are in the mixture sample by sample. Where what was recorded has passed through a room
        and the targets have not, no ratio of energies says anything.

    Raises
    ------
    InputError
        If a metric is unknown, its package is not installed or it is not defined at this sample rate or for such
        targets.

    Example
    -------
    >>> sources, noise = torch.randn(8000, 2), torch.randn(8000, 2)
    >>> evaluator = Evaluator(8000)
    >>> evaluator.add("a", sources.sum(1), sources, (sources + 0.1 * noise).flip(1))
    >>> evaluator.summary()["metrics"]["si-snr_i"]["mean"] > 15
    True
    """

    def __init__(self, sample_rate: int, metrics: Sequence[str] = ("sdr",), aligned_sources: bool = True) -> None:
        check_metrics(metrics, sample_rate, aligned_sources)
        self.sample_rate, self.aligned_sources = sample_rate, aligned_sources
        self._metrics = [name for name in METRICS if name in metrics]
        self._rows: dict[str, Row] = {}
        self._talk: dict[str, Row] = {}
        self._spoken: dict[str, Sequence[Turn]] = {}
        self._bad_items: list[str] = []
        self._silent_targets = 0
        self._lone_targets = 0

    @property
    def columns(self) -> list[str]:
        """Names of the scores, in SpeechBrain's order."""
        if not self.aligned_sources:
            return []
        of_sdr = ["sdr", "sdr_i"] if "sdr" in self._metrics else []
        return [*of_sdr, "si-snr", "si-snr_i", *(name for name in self._metrics if name in ("pesq", "stoi"))]

    @property
    def rows(self) -> list[Row]:
        """One row an utterance, sorted by id: the scores (None where undefined), duration in s, sources."""
        return [self._rows[utterance_id] for utterance_id in sorted(self._rows)]

    def add(
        self,
        utterance_id: str,
        mixture: Tensor,
        targets: Tensor,
        estimates: Tensor,
        spoken: Sequence[Turn] | None = None,
    ) -> None:
        """Score one utterance.

        Parameters
        ----------
        utterance_id : str
            Unique in the test set.
        mixture : Tensor
            [time], without padding.
        targets, estimates : Tensor
            [time, C] each; the estimates in any order.
        spoken : sequence of (int, float, float), optional
            When each target speaks, if the corpus says so, see `talk.score_talk`.

        Raises
        ------
        InputError
            If the id was there before, or a sample is not finite.
        ValueError
            If the shapes do not fit.
        """
        mixture, targets, estimates = (x.detach().cpu().double() for x in (mixture, targets, estimates))
        if utterance_id in self._rows:
            raise InputError(f"utterance {utterance_id!r} appears twice: expected unique ids in the manifest")
        if targets.shape != estimates.shape or mixture.shape != targets.shape[:1]:
            shapes = ", ".join(str(list(x.shape)) for x in (mixture, targets, estimates))
            raise ValueError(f"shapes {shapes}: expected mixture [time], targets and estimates [time, C]")
        for name, signal in (("mixture", mixture), ("targets", targets), ("estimates", estimates)):
            if not signal.isfinite().all():
                raise InputError(
                    f"utterance {utterance_id!r} has {name} with NaN or infinity: expected finite samples; "
                    "fix the audio, or if only estimates are so, evaluate an earlier checkpoint"
                )
        is_silent = silent(targets[None])[0]
        self._silent_targets += int(is_silent.sum())
        self._talk[utterance_id] = count_voices(
            targets, estimates, self.sample_rate, "der" in self._metrics, spoken
        )
        if spoken is not None:
            self._spoken[utterance_id] = spoken
        row: Row = {"snt_id": utterance_id, **dict.fromkeys(self.columns)}
        self._rows[utterance_id] = row | {"duration": len(mixture) / self.sample_rate}
        if self.aligned_sources:
            self._rows[utterance_id] |= self._compare(mixture, targets, estimates, is_silent)
            self._talk[utterance_id] |= score_talk(mixture, targets, estimates, self.sample_rate)

    def leave_out(self, utterance_id: str) -> None:
        """Record an utterance of the test set that could not be read."""
        self._bad_items.append(utterance_id)

    def merge(self, other: "Evaluator") -> None:
        """Take in the utterances that another process of a distributed run has scored."""
        self._rows |= other._rows
        self._talk |= other._talk
        self._spoken |= other._spoken
        self._bad_items += other._bad_items
        self._silent_targets += other._silent_targets
        self._lone_targets += other._lone_targets

    def _compare(self, mixture: Tensor, targets: Tensor, estimates: Tensor, is_silent: Tensor) -> Row:
        """Scores of the sources that can be scored; None where there are none."""
        mixtures = mixture.unsqueeze(1).expand_as(targets)
        is_alone = ~is_silent & silent((mixtures - targets)[None])[0]
        self._lone_targets += int(is_alone.sum())
        scored = (~is_silent & ~is_alone).nonzero().squeeze(1)
        row: Row = dict.fromkeys(("input_si-snr", "level_difference", "voices"))
        if len(scored):
            estimates = in_target_order(targets, estimates)
            row |= self._score(mixtures[:, scored], targets[:, scored], estimates[:, scored], scored.tolist())
        return row

    def _score(self, mixtures: Tensor, targets: Tensor, estimates: Tensor, sources: list[int]) -> Row:
        """Scores of the utterance and, as ``si-snr_s1`` and ``si-snr_i_s1``, those of its sources."""
        values = {"si-snr": si_snr(targets[None], estimates[None])[0]}
        before = si_snr(targets[None], mixtures[None])[0]
        values["si-snr_i"] = values["si-snr"] - before
        if "sdr" in self._metrics:
            values["sdr"], sdr_before = sdr(targets, torch.stack([estimates, mixtures]))
            values["sdr_i"] = values["sdr"] - sdr_before
        pairs = list(zip(targets.T.numpy(), estimates.T.numpy(), strict=True))
        for name, quality in (("pesq", pesq), ("stoi", stoi)):
            if name in self._metrics:
                values[name] = torch.tensor([quality(*pair, self.sample_rate) for pair in pairs]).double()
        row: Row = {name: _finite_mean(values[name]) for name in self.columns}
        row["input_si-snr"] = before.mean().item()
        if len(sources) > 1:
            powers = targets.square().mean(0).log10() * 10
            row["level_difference"] = (powers.max() - powers.min()).item()
            row["voices"] = voices_of(targets.numpy(), self.sample_rate)
        for place, source in enumerate(sources):
            row |= {f"{name}_s{source + 1}": values[name][place].item() for name in ("si-snr", "si-snr_i")}
        return row

    def summary(self) -> dict:
        """Summarise the scores of all utterances.

        Returns
        -------
        dict
            ``metrics`` maps each score to its ``mean``, ``ci95`` (low and high end of the 95 % confidence
            interval of the mean, from Student's t distribution over the utterances, None below two of
            them), ``median``, ``std``, ``min``, ``max`` and ``count``. Beside it stand
            ``sample_rate``, the number of ``utterances``, whether there are ``aligned_sources``, the SI-SNR
            improvement under `by_condition.by_condition` as ``conditions``, `talk.summarize` as ``talk`` (None
            where all targets are heard and ``der`` is not asked for), the ids ``without_score``, those
            ``not_improved`` (SI-SNR improvement at or below 0 dB, worst first), those left out as ``bad_items``
            and the counts ``silent_targets`` and ``lone_targets``. Without aligned sources ``metrics`` is empty,
            and whatever follows from SI-SNR is missing.
        """
        rows = self.rows
        summary = {
            "sample_rate": self.sample_rate,
            "utterances": len(rows),
            "aligned_sources": self.aligned_sources,
            "metrics": {
                name: describe([row[name] for row in rows if row[name] is not None]) for name in self.columns
            },
            "talk": summarize(self._talk_rows()) if self._scores_talk else None,
            "bad_items": sorted(self._bad_items),
            "silent_targets": self._silent_targets,
        }
        if self.aligned_sources:
            summary |= {
                "conditions": by_condition(rows),
                "without_score": [row["snt_id"] for row in rows if row["si-snr"] is None],
                "not_improved": [row["snt_id"] for row in self._ranked() if row["si-snr_i"] <= 0],
                "lone_targets": self._lone_targets,
            }
        return summary

    def examples(self, separate_again: Callable[[str], tuple[Tensor, Tensor, Tensor]]) -> list[Example]:
        """Fetch the best, the median and the worst utterance, by SI-SNR improvement or, if not aligned, by DER.

        Parameters
        ----------
        separate_again : callable
            Takes an utterance id and returns mixture [time], targets [time, C] and estimates [time, C], the
            latter in any order: computing three utterances twice is cheaper than keeping all their audio.

        Returns
        -------
        list of Example
            Best, median, worst; fewer if fewer utterances have a score.
        """
        ranked = self._ranked()
        if not ranked:
            return []
        ranks = {0: "worst", len(ranked) // 2: "median", len(ranked) - 1: "best"}
        examples = []
        for place in sorted(ranks, reverse=True):
            utterance_id = ranked[place]["snt_id"]
            mixture, targets, estimates = (x.detach().cpu() for x in separate_again(utterance_id))
            signals = mixture, targets, self._in_order(utterance_id, targets, estimates)
            examples.append(Example(ranks[place], ranked[place], *signals, self._spoken.get(utterance_id)))
        return examples

    def write(self, folder: str | Path) -> None:
        """Write ``test_results.csv``, one row an utterance, and ``test_results.json``, the summary.

        Parameters
        ----------
        folder : str or Path
            Made if it is not there. Each file is replaced whole or not at all.
        """
        rows = self.rows
        if self._scores_talk:
            rows = [scores | row for row, scores in zip(rows, self._talk_rows(), strict=True)]
        common = ["snt_id", *self.columns, "duration"]
        common += ["input_si-snr", "level_difference", "voices"] if self.aligned_sources else []
        columns = dict.fromkeys([*common, *(name for row in rows for name in row)])
        table = [columns, *([_cell(row.get(name)) for name in columns] for row in rows)]
        write_text(Path(folder) / "test_results.csv", csv_text(table))
        summary = json.dumps(self.summary(), indent=2, allow_nan=False)
        write_text(Path(folder) / "test_results.json", summary + "\n")

    @property
    def _scores_talk(self) -> bool:
        return self._silent_targets > 0 or "der" in self._metrics or not self.aligned_sources

    def _talk_rows(self) -> list[Row]:
        """Return the scores of who was found, sorted by id as `rows` are."""
        gains = [{"si-snr_i": row["si-snr_i"]} if self.aligned_sources else {} for row in self.rows]
        return [self._talk[row["snt_id"]] | gain for row, gain in zip(self.rows, gains, strict=True)]

    def _in_order(self, utterance_id: str, targets: Tensor, estimates: Tensor) -> Tensor:
        """Put estimates in the order of the targets; without aligned sources, by when they are heard."""
        if self.aligned_sources:
            return in_target_order(targets, estimates)
        spoken = self._spoken.get(utterance_id) or turns_spoken(targets, self.sample_rate)
        return estimates[:, order_by_turns(spoken, turns_heard(estimates, self.sample_rate), targets.shape[1])]

    def _ranked(self) -> list[Row]:
        """Rows with a score, worst first."""
        if not self.aligned_sources:
            rates = {name: error_shares([row])["rate"] for name, row in self._talk.items() if row.get("speech")}
            return [self._rows[name] for name in sorted(sorted(rates), key=rates.__getitem__, reverse=True)]
        return sorted((row for row in self.rows if row["si-snr_i"] is not None), key=lambda r: r["si-snr_i"])


def in_target_order(targets: Tensor, estimates: Tensor) -> Tensor:
    """Put estimates in the order of the targets.

    Parameters
    ----------
    targets, estimates : Tensor
        [time, C] each.

    Returns
    -------
    Tensor
        The estimates [time, C] under their best permutation.
    """
    return reorder(estimates[None], best_permutation(targets[None], estimates[None]))[0]


def _finite_mean(values: Tensor) -> float | None:
    values = values[values.isfinite()]
    return values.mean().item() if len(values) else None


def _cell(value: str | float | None) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)
