"""Mix a folder of speech into a corpus in the layout of wsj0-mix, after MERL's `create_wav_2speakers.m`."""

import hashlib
import json
import re
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path

import numpy as np

from speechbrain_tasnet import __version__
from speechbrain_tasnet.audio import audio_length, read_audio, write_wav
from speechbrain_tasnet.data.parallel import in_parallel
from speechbrain_tasnet.data.speech_folder import Speakers, split_speakers
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.files import new_folder

MIN_SECONDS = 1.0
MAX_GAIN_DB = 2.5  # MERL's lists: the two speakers lie 0 to 5 dB apart
PEAK = 0.9
MAX_NAME = 190  # and room for the suffix
MAX_SPEAKERS = 8  # more would not fit into a name


@dataclass(frozen=True)
class Utterance:
    """One file of a speaker: its place, its part of a mixture's name, its samples at the corpus rate."""

    path: Path
    key: str
    length: int


@dataclass(frozen=True)
class Mixture:
    """One line of the plan: what a worker needs to render one mixture."""

    name: str
    utterances: tuple[Utterance, ...]
    gains: tuple[float, ...]
    seed: tuple[int, ...]

    @property
    def length(self) -> int:
        """Samples of the shortest utterance, hence of the mixture."""
        return min(utterance.length for utterance in self.utterances)


def make_mixtures(
    speech: Path | str,
    out: Path | str,
    num_speakers: int = 2,
    rate: int = 8000,
    hours: float = 2.0,
    valid_hours: float | None = None,
    test_hours: float | None = None,
    seed: int = 0,
    workers: int | None = None,
) -> None:
    """Mix a speech folder into `OUT/wav8k/min/{tr,cv,tt}/{mix,s1,s2,...}/NAME.wav` and `OUT/mix.json`.

    A mixture is `num_speakers` different speakers of a split, drawn uniformly, and an utterance of each.
    Every utterance is scaled to unit active level, then by a gain: g dB for the first, -g dB for the last,
    evenly spaced between, g uniform in [0, 2.5]. All are cut to the shortest, and mixture and sources are
    scaled together so that the largest peak of any of them is 0.9. The same options give the same bytes,
    whatever the number of workers.

    Parameters
    ----------
    speech : path-like
        Speech folder, see `speech_folder.split_speakers`. Utterances under one second are left out.
    out : path-like
        Folder to make; it appears when everything in it is complete.
    num_speakers : int
        Speakers in a mixture, 2 to 8.
    rate : int
        Sampling rate in Hz, a multiple of 1000; utterances are resampled to it.
    hours, valid_hours, test_hours : float
        Hours of mixtures in each split; the last two are a tenth of the first unless given.
    seed : int
        Seed of every draw.
    workers : int, optional
        Number of processes; by default one a core.

    Raises
    ------
    InputError
        An option is out of range, `out` is taken, or the speech folder or a file in it cannot be used.
    """
    valid_hours = hours / 10 if valid_hours is None else valid_hours
    test_hours = hours / 10 if test_hours is None else test_hours
    options = {
        "num_speakers": num_speakers,
        "rate": rate,
        "hours": hours,
        "valid_hours": valid_hours,
        "test_hours": test_hours,
        "seed": seed,
    }
    _check_options(**options, workers=workers)
    with new_folder(out) as folder:
        splits = split_speakers(speech, num_speakers, seed)
        plans, report = {}, {}
        for number, (split, wanted) in enumerate(zip(splits, (hours, valid_hours, test_hours), strict=True)):
            usable = _utterances(Path(speech), splits[split], num_speakers, rate)
            plan = _plan(usable, num_speakers, ceil(wanted * 3600 * rate), (seed, number))
            seconds = sum(mixture.length for mixture in plan) / rate
            report[split] = {"mixtures": len(plan), "seconds": seconds, "speakers": list(splits[split])}
            plans[split] = plan
        for split, plan in plans.items():
            target = folder / f"wav{rate // 1000}k" / "min" / split
            for name in _folders(num_speakers):
                (target / name).mkdir(parents=True)
            in_parallel(partial(_write, folder=target, rate=rate), plan, workers, f"mixing {split}")
        provenance = {"version": __version__, "speech": str(speech), **options, "splits": report}
        (folder / "mix.json").write_text(json.dumps(provenance, indent=1) + "\n", encoding="utf-8")


def active_level(samples: np.ndarray, rate: int) -> float:
    """Measure the mean power of speech where it is active.

    MERL used ITU-T P.56; this is its simple stand-in: the mean over the frames of 20 ms whose power lies
    within 40 dB of the strongest frame's.

    Parameters
    ----------
    samples : numpy.ndarray
        Speech `[time]`, at least one frame.
    rate : int
        Sampling rate in Hz.

    Returns
    -------
    float
        Power, the square of the samples' unit.

    Examples
    --------
    >>> half_silent = np.concatenate([np.zeros(8000), np.full(8000, 0.5)])
    >>> active_level(half_silent, rate=8000)
    0.25
    """
    frame = rate // 50
    frames = samples[: len(samples) // frame * frame].astype(np.float64).reshape(-1, frame)
    power = np.mean(frames**2, axis=1)
    return float(power[power >= 1e-4 * power.max()].mean())


def _check_options(num_speakers, rate, hours, valid_hours, test_hours, seed, workers) -> None:
    """Refuse options out of range before any work starts."""
    if not 2 <= num_speakers <= MAX_SPEAKERS:
        raise InputError(f"{num_speakers} speakers: a mixture needs at least 2, and takes at most {MAX_SPEAKERS}")
    if rate < 1000 or rate % 1000:
        raise InputError(f"rate {rate} Hz: expected a multiple of 1000, such as 8000 or 16000")
    for name, value in {"hours": hours, "valid_hours": valid_hours, "test_hours": test_hours}.items():
        if not 0 < value < float("inf"):
            raise InputError(f"{name} {value}: expected more than 0")
    if seed < 0:
        raise InputError(f"seed {seed}: expected 0 or more")
    if workers is not None and workers < 1:
        raise InputError(f"{workers} workers: expected 1 or more")


def _utterances(speech: Path, members: Speakers, num_speakers: int, rate: int) -> list[list[Utterance]]:
    """List the utterances of a second or more of each speaker, with lengths from their headers."""
    usable, keys = [], set()
    for files in members.values():
        utterances = []
        for path in files:
            length = audio_length(path, rate)
            if length >= MIN_SECONDS * rate:
                key = _key(path.relative_to(speech), MAX_NAME // num_speakers - 10, keys)
                utterances.append(Utterance(path, key, length))
        if utterances:
            usable.append(utterances)
    if len(usable) < num_speakers:
        raise InputError(
            f"{speech}: {len(usable)} of the {len(members)} speakers of a split have an utterance of "
            f"{MIN_SECONDS:g} s or more, at least {num_speakers} needed; add longer ones"
        )
    return usable


def _key(path: Path, limit: int, taken: set[str]) -> str:
    """Turn a path in the speech folder into a part of a file name that no other path has."""
    key = re.sub(r"[^A-Za-z0-9.-]", "-", path.with_suffix("").as_posix())
    if len(key) > limit or key.lower() in taken:
        digest = hashlib.sha1(path.as_posix().encode()).hexdigest()[:8]
        key = f"{key[: limit - 9]}-{digest}"
    taken.add(key.lower())
    return key


def _plan(speakers: list[list[Utterance]], num_speakers: int, total: int, seed: tuple[int, int]) -> list[Mixture]:
    """Draw mixtures until they hold `total` samples; a mixture depends on the seed and its number alone."""
    plan, names = [], set()
    while total > 0:
        rng = np.random.default_rng([*seed, len(plan)])
        name = None
        while name is None or name in names:
            chosen = rng.choice(len(speakers), num_speakers, replace=False)
            utterances = tuple(speakers[i][rng.integers(len(speakers[i]))] for i in chosen)
            top = rng.uniform(0, MAX_GAIN_DB)
            # Four decimals, as in MERL's names.
            gains = tuple(round(float(gain), 4) for gain in np.linspace(top, -top, num_speakers))
            name = "_".join(f"{u.key}_{gain:.4f}" for u, gain in zip(utterances, gains, strict=True))
        names.add(name)
        plan.append(Mixture(name, utterances, gains, seed=(*seed, len(plan), 1)))
        total -= plan[-1].length
    return plan


def _render(mixture: Mixture, rate: int) -> np.ndarray:
    """Render one mixture: `[1 + num_speakers, time]`, the mixture first, then its sources."""
    rng = np.random.default_rng(mixture.seed)
    sources = []
    for utterance, gain in zip(mixture.utterances, mixture.gains, strict=True):
        samples = read_audio(utterance.path, rate)
        level = active_level(samples, rate)
        if not level > 0:
            raise InputError(f"{utterance.path}: silent; delete the file")
        cut = _cut(samples, mixture.length, rng)
        sources.append(cut * (10 ** (gain / 20) / np.sqrt(level)))
    signals = np.stack([np.sum(sources, axis=0), *sources])
    return signals * (PEAK / np.abs(signals).max())


def _cut(samples: np.ndarray, length: int, rng: np.random.Generator) -> np.ndarray:
    """Cut at a random place, though not in a long pause: a silent source could not be scored."""
    energy = np.concatenate([[0.0], np.cumsum(samples.astype(np.float64) ** 2)])
    energy = energy[length:] - energy[:-length]
    start = rng.choice(np.flatnonzero(energy >= 0.1 * energy.max()))
    return samples[start : start + length].astype(np.float64)


def _folders(num_speakers: int) -> list[str]:
    return ["mix", *(f"s{number}" for number in range(1, num_speakers + 1))]


def _write(mixture: Mixture, folder: Path, rate: int) -> None:
    """Render a mixture and write its files."""
    for name, signal in zip(_folders(len(mixture.utterances)), _render(mixture, rate), strict=True):
        write_wav(folder / name / f"{mixture.name}.wav", signal, rate)
