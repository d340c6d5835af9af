"""The report of an evaluation: one self-contained HTML page with charts, spectrograms and players."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from speechbrain_tasnet.evaluation.evaluator import Example, Row
from speechbrain_tasnet.report.charts import Axis, frame, lay_out_curve, number, page_template
from speechbrain_tasnet.report.media import (
    DYNAMIC_RANGE_DB,
    MAX_SECONDS,
    PEAK,
    RAMPS,
    audio_uri,
    decibels,
    same_level,
    spectrogram_uri,
)
from speechbrain_tasnet.report.timeline import lay_out_timeline
from speechbrain_tasnet.system.files import write_text

NBSP = "\N{NO-BREAK SPACE}"


def write_report(
    path: str | Path,
    *,
    title: str,
    voices: str,
    facts: Mapping[str, object],
    summary: Mapping,
    rows: Sequence[Row],
    curve: Sequence[Mapping[str, float]],
    examples: Sequence[Example],
) -> None:
    """Write the report of one evaluation; the file is replaced whole or not at all.

    Parameters
    ----------
    path : str or Path
        The HTML file.
    title : str
        Name of the run, at the head of the page and in the browser's tab.
    voices : str
        Ends the sentence "On 120 mixtures of", for example "voices it never heard in training".
    facts : mapping
        Label to value, as a short list: corpus, configuration, parameters, training time and the like.
    summary, rows : mapping, sequence of mapping
        `Evaluator.summary()` and `Evaluator.rows`.
    curve : sequence of mapping
        One an epoch, with ``epoch`` and the SI-SNR in dB of ``train`` and ``valid``; may be empty.
    examples : sequence of Example
        `Evaluator.examples(...)`; may be empty.
    """
    page = page_template("report.html.j2").render(
        title=title,
        headline=_headline(summary, voices),
        facts=facts,
        summary=summary,
        ruler=_ruler(summary["metrics"]["si-snr_i"]) if summary["aligned_sources"] else None,
        curve=lay_out_curve(curve),
        histogram=_histogram(rows),
        scatter=_scatter(rows),
        examples=[_show(example, summary["sample_rate"], bool(summary["talk"])) for example in examples],
        peak=PEAK,
        ramps=RAMPS,
        dynamic_range=DYNAMIC_RANGE_DB,
        max_seconds=MAX_SECONDS,
    )
    write_text(path, page)


def _headline(summary: Mapping, voices: str) -> str:
    """State the result in one sentence for someone who has never heard of SI-SNR."""
    if not summary["aligned_sources"]:
        return _who_was_found(summary, voices)
    gain = summary["metrics"]["si-snr_i"]
    if not gain["count"]:
        return f"No mixture of {voices} could be scored."
    mixtures = _mixtures(gain["count"])
    verb, sign = ("raises", 1) if gain["mean"] >= 0 else ("lowers", -1)
    sentence = f"On {mixtures} of {voices}, the model {verb} the SI-SNR by {number(sign * gain['mean'])} dB"
    if gain["ci95"] is None:
        return sentence + "."
    low, high = sorted(sign * end for end in gain["ci95"])
    return f"{sentence} (95{NBSP}% interval {number(low)} to {number(high)})."


def _who_was_found(summary: Mapping, voices: str) -> str:
    talk = summary["talk"]
    sentence = (
        f"On {_mixtures(summary['utterances'])} of {voices}, the model finds the right number of voices in "
        f"{number(100 * talk['right'])}{NBSP}%"
    )
    if not talk.get("der"):
        return sentence + "."
    return f"{sentence}, with a diarisation error rate of {number(100 * talk['der']['rate'])}{NBSP}%."


def _mixtures(count: int) -> str:
    return "1 mixture" if count == 1 else f"{count} mixtures"


def _ruler(gain: Mapping) -> Axis | None:
    """Scale in percent of the width that holds the improvement and what is known of such numbers."""
    if not gain["count"]:
        return None
    return Axis.around([0, 20, *(gain["ci95"] or [gain["mean"]])], start=0, end=100, most=8)


def _histogram(rows: Sequence[Row]) -> dict | None:
    """Lay out the distribution of the improvement over the utterances."""
    gains = [row["si-snr_i"] for row in rows if row.get("si-snr_i") is not None]
    if not gains:
        return None
    edges = Axis.around([*gains, 0], 0, 1, most=24).ticks
    counts, _ = np.histogram(gains, edges)
    bars = list(zip(edges[:-1], edges[1:], counts.tolist(), strict=True))
    return frame(edges, [0, counts.max()]) | {"bars": bars}


def _scatter(rows: Sequence[Row]) -> dict | None:
    """Lay out the improvement of each voice over its SI-SNR in the mixture, which says how hard it was."""
    points = [
        (row[name.replace("_i", "")] - gain, gain)
        for row in rows
        for name, gain in row.items()
        if name.startswith("si-snr_i_s")
    ]
    if not points:
        return None
    chart = frame([x for x, _ in points], [0, *(y for _, y in points)])
    dots = "".join(f"M{chart['x'](x)} {chart['y'](y)}h0" for x, y in points)
    return chart | {"dots": dots, "count": len(points)}


def _show(example: Example, sample_rate: int, talk: bool) -> dict:
    """Prepare what the template shows of one utterance: scores, a panel for each signal, in talk a timeline."""
    size = MAX_SECONDS * sample_rate
    signals = example.targets, example.estimates
    mixture, targets, estimates = same_level(example.mixture, *signals, size)
    top = decibels(mixture, sample_rate).max().item()

    def panel(role: str, label: str, samples: Tensor) -> dict:
        picture = spectrogram_uri(samples, sample_rate, top, RAMPS[role])
        return {"role": role, "label": label, "audio": audio_uri(samples, sample_rate), "picture": picture}

    sources = [
        {
            "reference": panel("reference", f"Voice {number}, reference", targets[:, number - 1]),
            "estimate": panel("estimate", f"Voice {number}, estimate", estimates[:, number - 1]),
            "si-snr": example.row.get(f"si-snr_s{number}"),
            "si-snr_i": example.row.get(f"si-snr_i_s{number}"),
        }
        for number in range(1, targets.shape[1] + 1)
    ]
    return {
        "rank": example.rank,
        "row": example.row,
        "mixture": panel("mixture", "Mixture", mixture),
        "sources": sources,
        "timeline": lay_out_timeline(*signals, sample_rate, example.spoken) if talk else None,
        "cut": len(example.mixture) > len(mixture),
        "seconds": len(mixture) / sample_rate,
        "khz": sample_rate / 2000,
    }
