"""The available separators: their purpose, quality and speed on this machine."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from speechbrain_tasnet.bundle import find_bundle, load_bundle
from speechbrain_tasnet.bundle.config import CONFIG, Config
from speechbrain_tasnet.data.folders.walk import walk
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.network.costs import count_parameters, latency_ms, real_time_factor
from speechbrain_tasnet.shipped import bundled_names

PATIENCE = 1.0  # seconds in which the speed of a separator is measured
HEAD = ("NAME", "FOR", "RATE", "SI-SNRi", "ON MIXTURES", "PARAMETERS", "TIMES REAL TIME")
# Recipes without a task, whose corpora have neither noise nor, at one microphone, rooms.
CLEAN = {"demo", "wsj0mix"}


def find_separators(folders: Sequence[Path]) -> list[Path | str]:
    """List the bundled separators, and those in folders and all folders in them.

    Raises
    ------
    InputError
        A folder is not there, or holds no separator.
    """
    found: list[Path | str] = list(bundled_names())
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder")
        inside = sorted(path.parent for path in walk(folder) if path.name == CONFIG)
        if not inside:
            raise InputError(f"{folder}: no separator in it; expected folders with a {CONFIG}")
        found += inside
    return found


def describe_separator(name: Path | str, timed: bool = True) -> dict[str, Any]:
    """Return what is known of a separator.

    Parameters
    ----------
    name : path-like
        As `find_bundle` takes it.
    timed : bool
        Whether its speed is measured.

    Returns
    -------
    dict
        ``name``, ``folder``, ``for`` (in words), ``voices`` (at most), ``counts_voices``, ``microphones``,
        ``sample_rate`` in Hz, ``latency_ms`` (None: it takes in the whole mixture), ``parameters``, ``bytes``,
        ``si_snr_improvement`` in dB on its test mixtures and what these are, ``tested_on`` (None where nobody
        says), ``licence`` and ``times_real_time`` on one thread of this processor. Of one that cannot be loaded
        ``folder`` and ``error``.
    """
    try:
        folder = find_bundle(name)
        model, config = load_bundle(folder)
    except InputError as error:
        return {"name": Path(name).name, "folder": str(name), "error": str(error)}
    latency = latency_ms(model, config.sample_rate)
    score = config.about.get("scores", {}).get("si-snr_i", {})
    facts = {
        "name": config.about.get("name") or Path(name).name,
        "folder": str(folder),
        "for": purpose(config, latency),
        "voices": config.num_spks,
        "counts_voices": config.counts_voices,
        "microphones": config.mics,
        "sample_rate": config.sample_rate,
        "latency_ms": latency if math.isfinite(latency) else None,
        "parameters": count_parameters(model),
        "bytes": sum(file.stat().st_size for file in folder.iterdir() if file.is_file()),
        "si_snr_improvement": score.get("mean"),
        "tested_on": kind_of_test(config.about, config.mics) if score else None,
        "licence": config.about.get("licence"),
    }
    if timed:
        factor = real_time_factor(model.eval(), config.sample_rate, config.mics, PATIENCE)
        facts["times_real_time"] = 1 / factor
    return facts


def purpose(config: Config, latency: float) -> str:
    """Return in a few words what a separator is for."""
    voices, task = config.num_spks, config.about.get("task", "")
    words = "1 voice" if voices == 1 else f"{voices} voices"
    if voices > 1 and config.about.get("silence") == "power":
        words = f"1 to {voices} voices"
    around = [what for what, sign in (("noise", "noisy"), ("rooms", "reverb")) if sign in task]
    words += f" in {' and '.join(around)}" if around else ""
    words += f", {config.mics} microphones" if config.mics > 1 else ""
    return f"{words}, live ({latency:g} ms)" if math.isfinite(latency) else words


def kind_of_test(about: Mapping[str, Any], mics: int) -> str | None:
    """Return in a few words what the test mixtures are like, as far as the bundle says; else their corpus.

    Scores of separators can be compared only if they are of the same mixtures.

    Examples
    --------
    >>> kind_of_test({"recipe": "whamr", "task": "sep_reverb_noisy"}, 1)
    'noisy, reverberant'
    """
    task = about.get("task", "sep_clean" if about.get("recipe") in CLEAN and mics == 1 else None)
    if task is None:
        return about.get("corpus")
    words = ["noisy"] if "noisy" in task or task.startswith("enh") else []
    words += ["reverberant"] if "reverb" in task else []
    voices = sorted(map(int, about.get("speakers", ())))
    counted = [f"{voices[0]} to {voices[-1]} voices"] if len(voices) > 1 else []
    return ", ".join([*(words or ["clean"]), *counted])


def table(separators: Sequence[dict[str, Any]]) -> str:
    """Write a line for each separator, in columns."""
    rows = [HEAD]
    for facts in separators:
        if "error" in facts:
            continue
        score, speed = facts["si_snr_improvement"], facts.get("times_real_time")
        rows.append(
            (
                facts["name"],
                facts["for"],
                f"{facts['sample_rate']} Hz",
                "" if score is None else f"{score:.1f} dB",
                facts["tested_on"] or "",
                f"{facts['parameters'] / 1e6:.1f} M",
                "" if speed is None else f"{speed:.0f}",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return "\n".join([*lines, *(f"left out: {facts['error']}" for facts in separators if "error" in facts)])
