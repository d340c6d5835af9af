"""The same mixtures through each contestant, to listen to and look at."""

from collections.abc import Sequence
from pathlib import Path

import soundfile
import torch
from torch import Tensor

from speechbrain_tasnet.report.media import RAMPS, audio_uri, decibels, same_level, spectrogram_uri
from speechbrain_tasnet.study.outcomes import Outcome

MAX_SECONDS = 6  # of each mixture, so that the page stays small


def boards(done: Sequence[Outcome]) -> list[dict]:
    """Prepare a board for each mixture that all contestants have separated.

    Parameters
    ----------
    done : sequence of Outcome
        Contestants that have finished.

    Returns
    -------
    list of dict
        ``id``, ``seconds``, the panels ``mixture`` and ``references`` (a list), and ``rows``: name, panels and
        score of each contestant. A panel has ``audio`` and ``picture`` as data URIs and a ``label``.
    """
    shared = [
        mixture for mixture in (done[0].examples if done else ()) if all(mixture in o.examples for o in done)
    ]
    return [_board(mixture, done) for mixture in shared]


def _board(mixture: str, done: Sequence[Outcome]) -> dict:
    parts = [_read(outcome.examples[mixture]) for outcome in done]
    sample_rate, mixed, targets, _ = parts[0]
    estimates = torch.cat([estimates for *_, estimates in parts], dim=1)
    mixed, targets, estimates = same_level(mixed, targets, estimates, MAX_SECONDS * sample_rate)
    top = decibels(mixed, sample_rate).max().item()

    def panel(role: str, label: str, samples: Tensor) -> dict:
        picture = spectrogram_uri(samples, sample_rate, top, RAMPS[role])
        return {"label": label, "audio": audio_uri(samples, sample_rate), "picture": picture}

    count = targets.shape[1]
    rows = []
    for place, outcome in enumerate(done):
        own = estimates[:, place * count : (place + 1) * count]
        scores = outcome.rows.get(mixture, {})
        panels = [panel("estimate", f"{outcome.name}, voice {k + 1}", own[:, k]) for k in range(count)]
        score = scores.get("si-snr_i")
        rows.append({"name": outcome.name, "panels": panels, "score": float(score) if score else None})
    return {
        "id": mixture,
        "seconds": len(mixed) / sample_rate,
        "mixture": panel("mixture", "mixture", mixed),
        "references": [panel("reference", f"voice {k + 1}, reference", targets[:, k]) for k in range(count)],
        "rows": rows,
    }


def _read(path: Path) -> tuple[int, Tensor, Tensor, Tensor]:
    """Read rate, mixture [time], references and estimates [time, C]."""
    samples, sample_rate = soundfile.read(path, dtype="float32", always_2d=True)
    signals = torch.from_numpy(samples)
    count = (signals.shape[1] - 1) // 2
    return sample_rate, signals[:, 0], signals[:, 1 : 1 + count], signals[:, 1 + count :]
