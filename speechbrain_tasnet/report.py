"""Show an evaluation to a newcomer: one HTML page that holds its charts, spectrograms and players itself."""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile
import torch
from PIL import Image
from torch import Tensor

from speechbrain_tasnet.charts import Axis, frame, lay_out_curve, number, page_template
from speechbrain_tasnet.evaluation import Example, Row
from speechbrain_tasnet.files import write_text

# Longer utterances are cut, so that the page stays small enough to send by mail.
MAX_SECONDS = 10

PEAK = 0.9
DYNAMIC_RANGE_DB = 60
COLOUR_LEVELS = 64

# From soft to loud. The ramps have the same lightness at each step, so that pictures compare across roles.
RAMPS = {
    "mixture": ("#0d1117", "#3a4048", "#7d858f", "#c6ccd3", "#ffffff"),
    "reference": ("#0d1117", "#0f3d66", "#2f87c9", "#9fd3f7", "#ffffff"),
    "estimate": ("#0d1117", "#5a2c0c", "#c8691a", "#f5b878", "#ffffff"),
}

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
        ruler=_ruler(summary["metrics"]["si-snr_i"]),
        curve=lay_out_curve(curve),
        histogram=_histogram(rows),
        scatter=_scatter(rows),
        examples=[_show(example, summary["sample_rate"]) for example in examples],
        peak=PEAK,
        ramps=RAMPS,
        dynamic_range=DYNAMIC_RANGE_DB,
        max_seconds=MAX_SECONDS,
    )
    write_text(path, page)


def _headline(summary: Mapping, voices: str) -> str:
    """State the result in one sentence for someone who has never heard of SI-SNR."""
    gain = summary["metrics"]["si-snr_i"]
    if not gain["count"]:
        return f"No mixture of {voices} could be scored."
    mixtures = "1 mixture" if gain["count"] == 1 else f"{gain['count']} mixtures"
    verb, sign = ("raises", 1) if gain["mean"] >= 0 else ("lowers", -1)
    sentence = f"On {mixtures} of {voices}, the model {verb} the SI-SNR by {number(sign * gain['mean'])} dB"
    if gain["ci95"] is None:
        return sentence + "."
    low, high = sorted(sign * end for end in gain["ci95"])
    return f"{sentence} (95{NBSP}% interval {number(low)} to {number(high)})."


def _ruler(gain: Mapping) -> Axis | None:
    """Scale in percent of the width that holds the improvement and what is known of such numbers."""
    if not gain["count"]:
        return None
    return Axis.around([0, 20, *(gain["ci95"] or [gain["mean"]])], start=0, end=100, most=8)


def _histogram(rows: Sequence[Row]) -> dict | None:
    """Lay out the distribution of the improvement over the utterances."""
    gains = [row["si-snr_i"] for row in rows if row["si-snr_i"] is not None]
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


def _show(example: Example, sample_rate: int) -> dict:
    """Prepare what the template shows of one utterance: scores, and a panel for each signal."""
    mixture, targets, estimates = _same_level(example, MAX_SECONDS * sample_rate)
    top = _decibels(mixture, sample_rate).max().item()

    def panel(role: str, label: str, samples: Tensor) -> dict:
        picture = _spectrogram(samples, sample_rate, top, RAMPS[role])
        return {"role": role, "label": label, "audio": _wav(samples, sample_rate), "picture": picture}

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
        "cut": len(example.mixture) > len(mixture),
        "seconds": len(mixture) / sample_rate,
        "khz": sample_rate / 2000,
    }


def _same_level(example: Example, max_samples: int) -> tuple[Tensor, Tensor, Tensor]:
    """Give each estimate the energy of its target, and all signals one gain, so that they compare by ear."""
    mixture, targets, estimates = example.mixture, example.targets.double(), example.estimates.double()
    wanted, given = targets.square().mean(0).sqrt(), estimates.square().mean(0).sqrt()
    estimates = estimates * torch.where((wanted > 0) & (given > 0), wanted / given, 1)
    signals = [signal[:max_samples].double() for signal in (mixture, targets, estimates)]
    peak = max(signal.abs().max().item() for signal in signals)
    mixture, targets, estimates = (signal * (PEAK / peak if peak else 1) for signal in signals)
    return mixture, targets, estimates


def _wav(samples: Tensor, sample_rate: int) -> str:
    """Encode samples [time] as a data URI of 16-bit WAV."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples.numpy(), sample_rate, format="WAV", subtype="PCM_16")
    return _data_uri("audio/wav", buffer)


def _decibels(samples: Tensor, sample_rate: int) -> Tensor:
    """Compute the power of samples [time] in dB, [frequencies, frames]: windows of 32 ms, every 8 ms."""
    size = round(0.032 * sample_rate)
    window = torch.hann_window(size, dtype=samples.dtype)
    spectrum = torch.stft(samples, size, round(size / 4), window=window, pad_mode="constant", return_complex=True)
    return 20 * torch.log10(spectrum.abs() + 1e-6)


def _spectrogram(samples: Tensor, sample_rate: int, top: float, ramp: Sequence[str]) -> str:
    """Draw the spectrogram of samples [time] below `top` dB as a data URI of a PNG without axes."""
    level = (_decibels(samples, sample_rate) - top) / DYNAMIC_RANGE_DB + 1
    index = (level.clamp(0, 1) * (COLOUR_LEVELS - 1)).round().byte().flip(0).numpy()
    colours = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in ramp])
    steps = np.linspace(0, len(ramp) - 1, COLOUR_LEVELS)
    palette = np.stack([np.interp(steps, range(len(ramp)), channel) for channel in colours.T], axis=1)
    image = Image.frombytes("P", index.shape[::-1], index.tobytes())
    image.putpalette(palette.round().astype(np.uint8).tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return _data_uri("image/png", buffer)


def _data_uri(kind: str, buffer: io.BytesIO) -> str:
    return f"data:{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
