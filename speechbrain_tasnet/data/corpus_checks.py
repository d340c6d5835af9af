"""Check a corpus before training: every header, and a sample of the sums."""

from pathlib import Path
from typing import TypeVar

import numpy as np

from speechbrain_tasnet.audio.audio_file import CHECK, RESCUE, RESTORE
from speechbrain_tasnet.audio.random_access import open_random
from speechbrain_tasnet.audio.reading import count_samples, open_audio
from speechbrain_tasnet.data.corpus import Corpus, Row
from speechbrain_tasnet.errors import InputError

# Mixtures of each split whose samples are read, evenly spread: enough for whatever went wrong in the making.
SUMS_CHECKED = 50
T = TypeVar("T")
LSB = 2.0**-15


def length(corpus: Corpus, row: Row) -> int | str:
    """Read the headers of a row's files, which must agree.

    Parameters
    ----------
    corpus : Corpus
        The row's corpus.
    row : Row
        One mixture.

    Returns
    -------
    int or str
        Samples of each of the files, or what is wrong with them.
    """
    frames = {}
    for signal, name in row.files.items():
        file = corpus.root / name
        try:
            with open_audio(file) as audio:
                if audio.samplerate != corpus.sample_rate:
                    return f"{file}: {audio.samplerate} Hz, expected sample_rate={corpus.sample_rate}"
                if wrong := _wrong_channels(corpus, signal, audio.channels):
                    return f"{file}: {wrong}"
                frames[signal] = count_samples(audio)
        except InputError as error:
            return advise(error)
    shortest, longest = min(frames.values()), max(frames.values())
    if shortest != longest or longest == 0:
        return f"{row.name}: samples in its files {frames}, expected one length above 0"
    return longest


def advise(error: InputError) -> str:
    """Return what is wrong with a file of a corpus, which has to be as it was.

    Example
    -------
    >>> advise(InputError(f"s1/a.wav: holds no samples; {RESTORE}"))
    's1/a.wav: holds no samples; restore it'
    """
    text = str(error)
    for way_out in (RESCUE, RESTORE, CHECK):
        text = text.replace(way_out, "restore it")
    return text


def _wrong_channels(corpus: Corpus, signal: str, channels: int) -> str | None:
    """Return what is wrong with the channels of a signal's file."""
    if channels == corpus.mics or (channels == 1 and signal != corpus.pairing.mixture):
        return None
    if corpus.mics == 1:
        return f"{channels} channels, expected one; {corpus.if_stereo}"
    return f"{channels} {'channel' if channels == 1 else 'channels'}, expected mics={corpus.mics}"


def wrong_sum(corpus: Corpus, row: Row) -> str | None:
    """Compare each signal of a row that should be a sum with that sum, to the rounding of 16-bit files.

    Parameters
    ----------
    corpus : Corpus
        The row's corpus, which knows the sums.
    row : Row
        One mixture with sound headers.

    Returns
    -------
    str or None
        What is wrong.
    """
    for total, terms in corpus.sums.items():
        if not {total, *terms} <= set(row.files):
            continue
        whole, *parts = (_read(corpus.root / row.files[name], corpus.reference) for name in (total, *terms))
        error = float(_distance(whole, parts).max())
        if not error <= (len(parts) + 1) * LSB:
            return (
                f"{corpus.root / row.files[total]}: not the sum of {' + '.join(terms)}, off by {error:.4f} of "
                "full scale; were signals of different versions put side by side?"
            )
    return None


def _distance(whole: np.ndarray, parts: list[np.ndarray]) -> np.ndarray:
    """Return how far each sample is from the sum of its parts, as far as clipping lets it be known.

    A sample at full scale may have been any value beyond it, in a part as in the sum. So what the parts add up to
    has a lower and an upper bound, one of which is infinite where a part is clipped; and a clipped sum may be
    exceeded.
    """
    lower = np.sum([np.where(_clipped(-part), -np.inf, part) for part in parts], axis=0)
    upper = np.sum([np.where(_clipped(part), np.inf, part) for part in parts], axis=0)
    lower = np.where(_clipped(whole), -np.inf, lower)
    upper = np.where(_clipped(-whole), np.inf, upper)
    return np.maximum(np.maximum(lower - whole, whole - upper), 0)


def _clipped(samples: np.ndarray) -> np.ndarray:
    """Return where samples are at full scale; beyond it, as floats can be, nothing was clipped."""
    return (samples >= 1 - LSB) & (samples <= 1)


def evenly_spread(rows: list[T]) -> list[T]:
    """Choose the rows whose sums are checked.

    Parameters
    ----------
    rows : list
        All of a split.

    Returns
    -------
    list
        At most `SUMS_CHECKED` of them, the first and the last among them.
    """
    chosen = np.unique(np.linspace(0, len(rows) - 1, SUMS_CHECKED).round().astype(int))
    return [rows[i] for i in chosen]


def _read(file: Path, reference: int) -> np.ndarray:
    """Read the only channel, or that of the reference."""
    with open_random(file) as audio:
        samples = audio.read(dtype="float64", always_2d=True)
        return samples[:, reference if audio.channels > 1 else 0]
