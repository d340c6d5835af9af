"""Mix a folder of speech into a corpus in the layout of wsj0-mix, WHAM! or WHAMR!."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from math import ceil
from pathlib import Path

import numpy as np

from speechbrain_tasnet import __version__
from speechbrain_tasnet.audio.channels import CHANNELS, CODECS, coded
from speechbrain_tasnet.audio.reading import audio_length
from speechbrain_tasnet.audio.speech_level import MAX_GAIN_DB
from speechbrain_tasnet.audio.writing import write_wav
from speechbrain_tasnet.data.folders.noise import split_noise
from speechbrain_tasnet.data.folders.speech import MIN_SECONDS, Speakers, split_speakers
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.generate.room_plan import Array
from speechbrain_tasnet.generate.room_simulation import simulator
from speechbrain_tasnet.generate.scenes import Mixture, Utterance, compose, furnish, render, write_scenes
from speechbrain_tasnet.generate.talk import Talk, segments
from speechbrain_tasnet.system.files import check_free, resumable_folder, write_text
from speechbrain_tasnet.system.parallel import Workers, check_workers, each_in_parallel

MAX_NAME = 190  # and room for the suffix
MAX_SPEAKERS = 8  # more would not fit into a name
MOST_DB = 60  # below a louder speaker 16-bit audio would hold little of the other


def make_mixtures(
    speech: Path | str,
    out: Path | str,
    num_speakers: int = 2,
    rate: int = 8000,
    hours: float = 2.0,
    valid_hours: float | None = None,
    test_hours: float | None = None,
    seed: int = 0,
    noise: Path | str | None = None,
    reverb: bool = False,
    array: Array | None = None,
    level_range: tuple[float, float] = (0.0, 2 * MAX_GAIN_DB),
    channel: str | None = None,
    min_speakers: int | None = None,
    talk: Talk | None = None,
    workers: Workers = None,
) -> None:
    """Mix a speech folder into `OUT/wav8k/min/{tr,cv,tt}/SIGNAL/NAME.wav` and `OUT/mix.json`.

    A mixture is `num_speakers` different speakers of a split, drawn uniformly, and an utterance of each. Every
    utterance is scaled to unit active level, then by a gain: g dB for the first, -g dB for the last, evenly
    spaced between, g uniform in [0, 2.5], after MERL's `create_wav_2speakers.m`. All are cut to the shortest.
    Or the speakers take turns, see `Talk`, and `mix/NAME.json` says who speaks when, see `talk.segments`. There
    may be fewer speakers than `num_speakers`, or nobody; the remaining sources are silent. Noise and a room are
    added to each mixture on demand, see `scenes`, and are recorded in `scenes.csv` of the split. All
    signals of a mixture are scaled together so that the largest peak of any of them is 0.9. The same options
    give the same bytes, whatever the number of workers, and the same seed the same utterances, whatever
    surrounds them.

    Parameters
    ----------
    speech : path-like
        Speech folder, see `folders.speech.split_speakers`. Utterances under one second are left out.
    out : path-like
        Folder to make; it appears when everything in it is complete. A run that was killed is continued.
    num_speakers : int
        Speakers in a mixture, 2 to 8; with `talk` from 1.
    rate : int
        Sampling rate in Hz, a multiple of 1000; utterances are resampled to it.
    hours, valid_hours, test_hours : float
        Hours of mixtures in each split; the last two are a tenth of the first unless given.
    seed : int
        Seed of every draw.
    noise : path-like, optional
        Noise folder, see `folders.noise.split_noise`. The signals are then those of WHAM!.
    reverb : bool
        Place the speakers in rooms. The signals are then those of WHAMR!, without noise where there is none.
    array : Array, optional
        Several microphones in each room. All signals then have a channel for each, and noise is a diffuse field;
        apart from the overall gain, the first channel is the same as without an array.
    level_range : tuple of float
        Level of the first speaker above the last, in dB: g is uniform between half of each.
    channel : str, optional
        What the mixtures pass through: ``telephone``, whose band of 300 to 3400 Hz also limits the sources; or
        ``mulaw``, ``alaw``, ``gsm`` or ``opus`` (12 kbit/s), which change only the mixture.
    min_speakers : int, optional
        Fewest speakers in a mixture, drawn uniformly; by default all have `num_speakers`. With `talk` it may be
        0: there is only the noise then, or silence.
    talk : Talk, optional
        How they talk; by default all speak all the time.
    workers : int or Launcher, optional
        Number of processes; by default one per available processor. Or jobs on a cluster.

    Raises
    ------
    InputError
        An option is out of range, `out` is taken, the speech or noise folder or a file in it cannot be used, or
        pyroomacoustics is needed and not installed.
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
    fewest = num_speakers if min_speakers is None else min_speakers
    _check_options(**options, fewest=fewest, talks=talk is not None, workers=workers)
    _check_conditions(level_range, channel, rate)
    if level_range != (0.0, 2 * MAX_GAIN_DB):
        options["level_range"] = list(level_range)
    if channel:
        options["channel"] = channel
    if fewest != num_speakers:
        options["min_speakers"] = fewest
    if talk:
        turns = {name: value for name, value in asdict(talk.turns).items() if value is not None}
        options["talk"] = {"seconds": talk.seconds, **turns}
    check_free(out)
    if array and not reverb:
        raise InputError(f"mics={array.mics}: several microphones need a simulated room; set reverb")
    if reverb:
        simulator()
        options["reverb"] = True
    if array:
        options["array"] = array._asdict()
    noises = split_noise(noise, rate, seed) if noise else {}
    if noise:
        options["noise"] = str(noise)
    plans, report = {}, {}
    splits = split_speakers(speech, num_speakers, seed)
    for number, (split, wanted) in enumerate(zip(splits, (hours, valid_hours, test_hours), strict=True)):
        usable = _utterances(Path(speech), splits[split], num_speakers, rate)
        draw = partial(_draw, usable, (fewest, num_speakers), level_range, talk, rate)
        plan = _plan(draw, ceil(wanted * 3600 * rate), (seed, number))
        seconds = sum(mixture.length for mixture in plan) / rate
        report[split] = {"mixtures": len(plan), "seconds": seconds, "speakers": list(splits[split])}
        if noise:
            report[split]["noise_files"] = len(noises[split])
        plan = [replace(mixture, channel=channel) for mixture in plan]
        plans[split] = [furnish(mixture, noises.get(split), reverb, array) for mixture in plan]
    provenance = {"version": __version__, "speech": str(speech), **options, "splits": report}
    with resumable_folder(out, provenance) as folder:
        targets = {split: folder / f"wav{rate // 1000}k" / "min" / split for split in plans}
        for target in targets.values():
            for name in _folders(num_speakers, bool(noise), reverb):
                (target / name).mkdir(parents=True, exist_ok=True)
        write = {split: partial(_write, folder=target, rate=rate) for split, target in targets.items()}
        each_in_parallel(write, plans, workers, "mixing")
        for split, plan in plans.items():
            if noise or reverb:
                write_scenes(targets[split] / "scenes.csv", plan, noise)
        write_text(folder / "mix.json", json.dumps(provenance, indent=1) + "\n")


def _check_options(num_speakers, rate, hours, valid_hours, test_hours, seed, fewest, talks, workers) -> None:
    """Refuse options out of range before any work starts."""
    if not (1 if talks else 2) <= num_speakers <= MAX_SPEAKERS:
        needs = "expected 1 to" if talks else "a mixture needs at least 2 unless they talk (--scene talk), at most"
        raise InputError(f"{num_speakers} speakers: {needs} {MAX_SPEAKERS}")
    least = 0 if talks else 1
    if not least <= fewest <= num_speakers:
        nobody = "" if talks or fewest else "; only conversations may have none (--scene talk)"
        raise InputError(
            f"at least {fewest} speakers: expected {least} to {num_speakers}, the most in a mixture{nobody}"
        )
    if rate < 1000 or rate % 1000:
        raise InputError(f"rate {rate} Hz: expected a multiple of 1000, such as 8000 or 16000")
    for name, value in {"hours": hours, "valid_hours": valid_hours, "test_hours": test_hours}.items():
        if not 0 < value < float("inf"):
            raise InputError(f"{name} {value}: expected more than 0")
    if seed < 0:
        raise InputError(f"seed {seed}: expected 0 or more")
    check_workers(workers)


def _check_conditions(level_range: tuple[float, float], channel: str | None, rate: int) -> None:
    """Refuse impossible levels and channels."""
    low, high = level_range
    if not 0 <= low <= high <= MOST_DB:
        raise InputError(
            f"level range {low} to {high} dB: expected two numbers from 0 to {MOST_DB}, the lower first"
        )
    if channel and channel not in CHANNELS:
        raise InputError(f"channel {channel}: expected one of {', '.join(CHANNELS)}")
    if channel in CODECS:
        coded(np.zeros(1), rate, channel)  # at once, not in a worker


def _utterances(speech: Path, members: Speakers, num_speakers: int, rate: int) -> list[list[Utterance]]:
    """List the utterances of a second or more of each speaker, with lengths from their headers."""
    usable, keys = [], set()
    for speaker, files in members.items():
        utterances = []
        for path in files:
            length = audio_length(path, rate)
            if length >= MIN_SECONDS * rate:
                key = _key(path.relative_to(speech), MAX_NAME // num_speakers - 10, keys)
                utterances.append(Utterance(path, key, length, speaker))
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


def _plan(
    draw: Callable[[tuple[int, ...], np.random.Generator], Mixture], total: int, seed: tuple[int, int]
) -> list[Mixture]:
    """Draw mixtures until they hold `total` samples; a mixture depends on the seed and its number alone."""
    plan, names = [], set()
    while total > 0:
        own = (*seed, len(plan))
        rng = np.random.default_rng(own)
        mixture = draw(own, rng)
        while mixture.name in names:
            mixture = draw(own, rng)
        names.add(mixture.name)
        plan.append(mixture)
        total -= mixture.length
    return plan


def _draw(
    speakers: list[list[Utterance]],
    counts: tuple[int, int],
    level_range: tuple[float, float],
    talk: Talk | None,
    rate: int,
    seed: tuple[int, ...],
    rng: np.random.Generator,
) -> Mixture:
    """Draw a mixture: who speaks, what, and how loud."""
    fewest, sources = counts
    count = int(rng.integers(fewest, sources + 1)) if fewest < sources else sources
    chosen = rng.choice(len(speakers), count, replace=False)
    if not talk:
        utterances = tuple(speakers[i][rng.integers(len(speakers[i]))] for i in chosen)
    top = rng.uniform(level_range[0] / 2, level_range[1] / 2)
    # Four decimals, as in MERL's names.
    gains = tuple(round(float(gain), 4) for gain in np.linspace(top, -top, count))
    if talk:
        return talk.mixture([speakers[i] for i in chosen], sources, gains, seed, rate, rng)
    name = "_".join(f"{u.key}_{gain:.4f}" for u, gain in zip(utterances, gains, strict=True))
    return Mixture(name, sources, gains, seed, utterances)


def _folders(num_speakers: int, noise: bool, reverb: bool) -> list[str]:
    """List the folders of a split, a signal each."""
    speakers = np.zeros((num_speakers, 1))
    rooms = ("_anechoic", "_reverb") if reverb else ("",)
    return list(compose(dict.fromkeys(rooms, speakers), speakers[0] if noise else None))


def _write(mixture: Mixture, folder: Path, rate: int) -> None:
    """Render a mixture and write its files, unless an earlier run has."""
    names = _folders(mixture.sources, mixture.noise is not None, mixture.room is not None)
    files = {name: folder / name / f"{mixture.name}.wav" for name in names}
    if all(file.exists() for file in files.values()):
        return
    if mixture.talks:
        for name in names:
            if name.startswith("mix"):
                write_text(folder / name / f"{mixture.name}.json", segments(mixture, rate, name))
    for name, signal in render(mixture, rate).items():
        write_wav(files[name], signal.T, rate)
