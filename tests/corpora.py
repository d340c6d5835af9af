"""Corpora in the layouts of the public ones, made of synthetic voices: small, and faithful in every folder."""

from pathlib import Path

import numpy as np
import soundfile

SPLITS = {"tr": "tr", "cv": "cv", "tt": "tt"}
LIBRIMIX_SPLITS = {"tr": "train-100", "cv": "dev", "tt": "test"}
CUSTOM_SPLITS = {"tr": "train", "cv": "valid", "tt": "test"}


def speakers(corpus: Path, split: str, count: int, mixtures: int):
    """Yield names and speakers [count, time] of mixtures in a split; a third comes from the next mixture."""
    files = sorted((corpus / "wav8k/min" / split / "s1").glob("*.wav"))
    for i in range(mixtures):
        voices = [soundfile.read(files[i])[0], soundfile.read(str(files[i]).replace("/s1/", "/s2/"))[0]]
        if count == 3:
            voices.append(soundfile.read(files[(i + 1) % len(files)])[0])
        length = min(map(len, voices))
        yield files[i].stem, 0.3 * np.stack([voice[:length] for voice in voices[:count]])


def signals(voices: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Make every signal of WHAMR! [time]: a room of three echoes, white noise."""
    rng = np.random.default_rng(seed)
    noise = 0.02 * rng.standard_normal(voices.shape[1])
    rooms = {"_anechoic": voices, "_reverb": voices.copy()}
    for delay, gain in ((80, 0.5), (200, -0.3), (450, 0.2)):
        rooms["_reverb"][:, delay:] += gain * voices[:, :-delay]
    made = {"noise": noise}
    for room, sources in rooms.items():
        made |= {f"s{i}{room}": source for i, source in enumerate(sources, start=1)}
        made[f"mix_clean{room}"] = sources.sum(0)
        made[f"mix_both{room}"] = sources.sum(0) + noise
        made[f"mix_single{room}"] = sources[0] + noise
    return made


def dry(made: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Keep what WHAM! and LibriMix have."""
    return {name.removesuffix("_anechoic"): signal for name, signal in made.items() if "_reverb" not in name}


def write(
    root: Path, corpus: Path, layout: str, splits: dict[str, str], choose, count: int = 2, mixtures: int = 2
):
    """Write `ROOT/LAYOUT/SPLIT/SIGNAL/NAME.wav` for the signals that `choose` picks; returns the root."""
    rate = 16000 if "16k" in layout else 8000
    for split, folder in splits.items():
        for seed, (name, voices) in enumerate(speakers(corpus, split, count, mixtures)):
            for signal, samples in choose(signals(voices, seed)).items():
                path = root / layout / folder / signal / f"{name}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, samples, rate, "FLOAT" if "reverb" in signal else "PCM_16")
    return root


def write_wsj0mix(root, corpus, layout="wav8k/min", count=2):
    names = {"mix_clean": "mix", "s1": "s1", "s2": "s2", "s3": "s3"}

    def choose(made):
        return {names[name]: signal for name, signal in dry(made).items() if name in names}

    return write(root, corpus, layout, SPLITS, choose, count)


def write_wham(root, corpus, layout="wav8k/min"):
    return write(root, corpus, layout, SPLITS, dry)


def write_whamr(root, corpus, layout="wav8k/min"):
    return write(root, corpus, layout, SPLITS, lambda made: made)


def write_librimix(root, corpus, layout="wav8k/min", count=2):
    return write(root, corpus, layout, LIBRIMIX_SPLITS, dry, count)


def write_custom(root, corpus):
    names = {"mix_clean": "mixture", "s1": "source1", "s2": "source2"}

    def choose(made):
        return {names[name]: signal for name, signal in dry(made).items() if name in names}

    return write(root, corpus, "", CUSTOM_SPLITS, choose)
