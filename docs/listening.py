"""Mixtures of synthetic voices before and after the bundled separators, as HTML to listen to."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile
import torch
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page
from torch import Tensor

from speechbrain_tasnet import TasNetSeparation
from speechbrain_tasnet.audio.channels import band
from speechbrain_tasnet.evaluation.evaluator import Evaluator, in_target_order
from speechbrain_tasnet.generate.synthetic_voices import synthesize_speech
from speechbrain_tasnet.report.media import RAMPS, audio_uri, decibels, same_level, spectrogram_uri

MARK = '<div id="examples"></div>'
RATE = 8000
SECONDS = 4
SPEAKERS = "test-000", "test-003", "test-004"  # a low and a high voice, and one of which the talk is typical
# Of a conversation: who speaks, from when to when.
TURNS = (0, 0.0, 4.0), (1, 3.5, 7.5), (0, 8.0, 11.0), (1, 10.0, 13.0), (0, 13.5, 16.0)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the examples where a page wants them."""
    del page, config, files
    return markdown.replace(MARK, examples()) if MARK in markdown else markdown


def two(voices: np.ndarray) -> np.ndarray:
    """Return the first seconds of two of the voices [C, time]."""
    return voices[:2, : SECONDS * RATE]


def telephone(voices: np.ndarray) -> np.ndarray:
    """Return two of the voices [C, time] as a telephone transmits them."""
    return band(two(voices), RATE, 300, 3400)


def far_apart(voices: np.ndarray) -> np.ndarray:
    """Return two of the voices [C, time], the second 15 dB below the first."""
    return two(voices) * np.array([[1.0], [10 ** (-15 / 20)]])


def conversation(voices: np.ndarray) -> np.ndarray:
    """Return the first and the last of the voices [C, time], silent but for their turns."""
    talk = np.zeros_like(voices[:2])
    for speaker, start, end in TURNS:
        turn = slice(round(start * RATE), round(end * RATE))
        talk[speaker, turn] = voices[(0, -1)[speaker], turn]
    return talk


Change = Callable[[np.ndarray], np.ndarray]
EXAMPLES: list[tuple[str, str, Change]] = [
    ("Two people", "convtasnet-8k-2spk", two),
    ("Over a telephone", "convtasnet-8k-2spk", telephone),
    ("One 15 dB louder than the other", "convtasnet-8k-2spk", far_apart),
    ("While they speak", "convtasnet-8k-2spk-live", two),
    ("In a conversation", "convtasnet-8k-talk", conversation),
]


def examples() -> str:
    """Return all examples as HTML."""
    with tempfile.TemporaryDirectory() as folder:
        synthesize_speech(Path(folder) / "speech", (1, 1, 5), utterances=1, rate=RATE)
        voices = np.stack([_voice(Path(folder) / "speech", name) for name in SPEAKERS])
    parts = []
    for title, model, change in EXAMPLES:
        sources = torch.from_numpy(change(voices).T).float()
        parts += [f"## {title}", *_example(model, sources)]
    return "\n\n".join(parts)


def _voice(speech: Path, name: str) -> np.ndarray:
    [file] = (speech / name).glob("*.wav")
    samples = np.resize(soundfile.read(file)[0], round(TURNS[-1][2] * RATE))
    return samples / np.sqrt(np.mean(samples**2))


def _example(model: str, sources: Tensor) -> Iterator[str]:
    mixture = sources.sum(1)
    # An output in which nobody is heard is none of the voices.
    estimates = TasNetSeparation.from_bundle(model).separate_voices(mixture, RATE).sources[0]
    estimates = in_target_order(sources, estimates)
    evaluator = Evaluator(RATE, ())
    evaluator.add(model, mixture, sources, estimates)
    [scores] = evaluator.rows
    yield f"`{model}`: SI-SNRi {scores['si-snr_i']:.1f} dB"
    mixture, sources, estimates = same_level(mixture, sources, estimates, len(mixture))
    top = decibels(mixture, RATE).max().item()
    rows = [[("mixture", "the mixture", mixture)]]
    for place, name in enumerate(("first", "second")):
        after = f"{name} voice, separated ({scores[f'si-snr_i_s{place + 1}']:+.1f} dB)"
        alone = ("reference", f"{name} voice, alone", sources[:, place])
        rows.append([alone, ("estimate", after, estimates[:, place])])
    for row in rows:
        figures = (_figure(*panel, top) for panel in row)
        yield f'<div style="display: flex; gap: 1rem">{"".join(figures)}</div>'
        if row[0][0] == "mixture":
            yield f'<a href="{audio_uri(mixture, RATE)}" download="mixture.flac">download the mixture</a>'


def _figure(role: str, label: str, samples: Tensor, top: float) -> str:
    picture = spectrogram_uri(samples, RATE, top, RAMPS[role])
    return (
        '<figure style="flex: 1; margin: 0 0 1rem"><figcaption style="font-style: normal; margin: 0">'
        f'{label}</figcaption><img alt="spectrogram of {label}" src="{picture}" style="width: 100%; height: 7rem">'
        f'<audio controls preload="none" src="{audio_uri(samples, RATE)}" style="width: 100%"></audio></figure>'
    )
