"""Make wsj0-2mix, wsj0-3mix and their like from WSJ0, after MERL's `create_wav_2speakers.m`."""

import hashlib
import json
import shutil
from dataclasses import dataclass
from functools import partial
from math import sqrt
from pathlib import Path, PurePosixPath

import numpy as np

from speechbrain_tasnet import __version__
from speechbrain_tasnet.audio.reading import audio_rate, read_audio
from speechbrain_tasnet.audio.resampling import resample
from speechbrain_tasnet.audio.speech_level import PEAK, active_level
from speechbrain_tasnet.audio.writing import write_wav
from speechbrain_tasnet.data.folders.walk import walk
from speechbrain_tasnet.data.wsj0mix import SPLITS
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.system.files import check_free, new_file, resumable_folder, write_text
from speechbrain_tasnet.system.parallel import Workers, check_workers, each_in_parallel, here, in_parallel

RATES = (8000, 16000)
LEVEL_RATE = 8000  # Hz; what is made at 16 kHz has the levels measured at 8 kHz
MODES = ("min", "max")
LARGEST_GAIN_DB = 100
# The lists say .wav; the discs say .wv1. Where an utterance has several files the first kind counts.
SUFFIXES = (".wav", ".wv1", ".sph")
SCALES, SCALING = "scaling.npz", ".scaling"


@dataclass(frozen=True)
class Mixture:
    """One line of a list: the name of a mixture, the files of its sources, their gains in dB."""

    name: str
    files: tuple[Path, ...]
    gains: tuple[float, ...]


def generate_wsj0mix(
    wsj0: Path | str,
    lists: Path | str,
    out: Path | str,
    rate: int = 8000,
    mode: str = "min",
    num_speakers: int = 2,
    workers: Workers = None,
) -> None:
    """Mix WSJ0 into `OUT/wav8k/min/{tr,cv,tt}/{mix,s1,s2,...}/NAME.wav`, as MERL's lists say.

    Every utterance is divided by the root of its active level at 8 kHz and multiplied by its gain. All are cut
    to the shortest (`min`) or padded with zeros to the longest (`max`), and mixture and sources are scaled
    together so that the largest peak of any of them is 0.9. Beside the signals of a split, `scaling.npz` holds
    what MERL's `scaling.mat` does: `scaling_8k` [mixtures, speakers], the factor from each utterance to its
    source, and `scaling16bit_8k` [mixtures], the last factor alone; and `names` [mixtures].

    The resampling filter is that of MATLAB's `resample`, a sinc of ten zero crossings a side under a Kaiser
    window of beta 5; its gain differs by 0.005 dB, which the scaling takes out. So the samples are those of
    MERL's script but for rounding, and for the levels where its voicebox is one of those that appended no
    silence in `activlev`.

    Parameters
    ----------
    wsj0 : path-like
        Folder with the utterances, as wav or uncompressed NIST SPHERE at `rate` or more. The last two folders
        and the name of a file are compared with those of the lists, without case and suffix.
    lists : path-like
        Folder with `mix_{num_speakers}_spk_{tr,cv,tt}.txt`, lines of ``path gain path gain ...``.
    out : path-like
        Folder to make; it appears when everything in it is complete. A run that was killed is continued.
    rate : int
        8000 or 16000 Hz.
    mode : str
        ``min`` or ``max``.
    num_speakers : int
        Speakers in a mixture, at least 2; says which lists are read.
    workers : int or Launcher, optional
        Number of processes; by default one per available processor. Or jobs on a cluster.

    Raises
    ------
    InputError
        An option is out of range, `out` is taken, a list or a line of it is wrong, or an utterance is missing or
        cannot be used.
    """
    _check_options(rate, mode, num_speakers, workers)
    check_free(out)
    utterances = _find_utterances(Path(wsj0))
    tables = {split: Path(lists) / f"mix_{num_speakers}_spk_{split}.txt" for split in SPLITS}
    plans = {split: _read_list(table, num_speakers, utterances, Path(wsj0)) for split, table in tables.items()}
    files = sorted({file for plan in plans.values() for mixture in plan for file in mixture.files})
    in_parallel(partial(_check_file, rate=rate), files, here(workers), "reading headers")
    provenance = {
        "version": __version__,
        "wsj0": str(wsj0),
        "lists": {str(table): hashlib.sha256(table.read_bytes()).hexdigest() for table in tables.values()},
        "rate": rate,
        "mode": mode,
        "num_speakers": num_speakers,
        "mixtures": {split: len(plan) for split, plan in plans.items()},
    }
    with resumable_folder(out, provenance) as folder:
        _make_splits(folder / f"wav{rate // 1000}k" / mode, plans, rate, mode, workers)
        write_text(folder / "generate.json", json.dumps(provenance, indent=1) + "\n")


def _check_options(rate: int, mode: str, num_speakers: int, workers: Workers) -> None:
    """Refuse options out of range before any work starts."""
    if rate not in RATES:
        raise InputError(f"rate {rate} Hz: expected {' or '.join(map(str, RATES))}")
    if mode not in MODES:
        raise InputError(f"mode {mode!r}: expected {' or '.join(MODES)}")
    if num_speakers < 2:
        raise InputError(f"{num_speakers} speakers: a mixture needs at least 2")
    check_workers(workers)


def _find_utterances(wsj0: Path) -> dict[str, Path]:
    """Find the audio files of a folder by their keys; the discs of WSJ0 may lie in it as they are, or as links."""
    if not wsj0.is_dir():
        raise InputError(f"{wsj0}: no such folder; expected WSJ0, a folder with si_tr_s, si_dt_05 and si_et_05")
    found = [path for path in walk(wsj0) if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")]
    found.sort(key=lambda path: (SUFFIXES.index(path.suffix.lower()), path))
    utterances: dict[str, Path] = {}
    for path in found:
        utterances.setdefault(_key(path.relative_to(wsj0)), path)
    return utterances


def _key(path: PurePosixPath) -> str:
    """Return what a list and a disc call an utterance alike: part, speaker and name (``si_tr_s/01t/01to030v``)."""
    return "/".join((*path.parts[:-1], path.stem)[-3:]).lower()


def _read_list(table: Path, num_speakers: int, utterances: dict[str, Path], wsj0: Path) -> list[Mixture]:
    """Read the mixtures of a split and find their utterances."""
    try:
        lines = table.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise InputError(
            f"{table}: cannot be read ({error.strerror}); expected MERL's list, check --lists"
        ) from None
    plan: dict[str, Mixture] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{table} line {number}"
        names, gains = _read_line(line, num_speakers, where)
        for name in names:
            if _key(name) not in utterances:
                raise InputError(f"{where}: no {name} in {wsj0}, as {', '.join(SUFFIXES)}; check --wsj0")
        mixture = Mixture(
            # Five digits are what MATLAB's num2str gives; MERL's lists have no more.
            "_".join(f"{name.stem}_{gain:.5g}" for name, gain in zip(names, gains, strict=True)),
            tuple(utterances[_key(name)] for name in names),
            gains,
        )
        if mixture.name in plan:
            raise InputError(f"{where}: mixture {mixture.name} appears twice; delete one of the lines")
        plan[mixture.name] = mixture
    if not plan:
        raise InputError(f"{table}: no mixtures in it; expected MERL's list")
    return list(plan.values())


def _read_line(line: str, num_speakers: int, where: str) -> tuple[tuple[PurePosixPath, ...], tuple[float, ...]]:
    """Read the paths and the gains of one line."""
    words = line.split()
    if len(words) != 2 * num_speakers:
        raise InputError(
            f"{where}: {len(words)} words, expected {2 * num_speakers} ({num_speakers} times path and gain); "
            "fix the line or take the lists for another number of speakers"
        )
    gains = []
    for word in words[1::2]:
        try:
            gains.append(float(word))
        except ValueError:
            gains.append(float("nan"))
        if not abs(gains[-1]) <= LARGEST_GAIN_DB:
            raise InputError(f"{where}: gain {word!r}, expected decibels such as 1.9857; fix the line")
    return tuple(map(PurePosixPath, words[::2])), tuple(gains)


def _check_file(path: Path, rate: int) -> None:
    """Refuse an utterance whose header shows that it cannot be used."""
    try:
        with path.open("rb") as file:
            header = file.read(1024)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
    # libsndfile calls a compressed SPHERE file unimplemented.
    if header.startswith(b"NIST_1A") and b",embedded-" in header:
        raise InputError(
            f"{path}: compressed SPHERE; run `sph2pipe -f wav IN OUT` and give the folder of the OUTs"
        )
    file_rate = audio_rate(path)
    if file_rate < rate:
        raise InputError(f"{path}: {file_rate} Hz, expected {rate} or more; take the original, or a lower --rate")


def _make_splits(folder: Path, plans: dict[str, list[Mixture]], rate: int, mode: str, workers: Workers) -> None:
    """Write the mixtures of all splits, then the factors that went into them."""
    missing = {split: plan for split, plan in plans.items() if not (folder / split / SCALES).exists()}
    write = {split: partial(_write, folder=folder / split, rate=rate, mode=mode) for split in missing}
    unit = f"{rate // 1000}k"
    for split, rows in each_in_parallel(write, missing, workers, "mixing").items():
        factors = np.array(rows)
        with new_file(folder / split / SCALES) as path, path.open("wb") as stream:
            np.savez(
                stream,
                names=[mixture.name for mixture in plans[split]],
                **{f"scaling_{unit}": factors[:, 1:], f"scaling16bit_{unit}": factors[:, 0]},
            )
    for split in plans:
        shutil.rmtree(folder / split / SCALING, ignore_errors=True)


def _write(mixture: Mixture, folder: Path, rate: int, mode: str) -> list[float]:
    """Render a mixture and write its files, unless an earlier run has; give the factors that went into it."""
    note = folder / SCALING / f"{mixture.name}.json"
    if note.exists():
        return json.loads(note.read_text(encoding="utf-8"))
    signals, factors = _render(mixture, rate, mode)
    names = ["mix", *(f"s{number}" for number in range(1, len(signals)))]
    for name, signal in zip(names, signals, strict=True):
        write_wav(folder / name / f"{mixture.name}.wav", signal, rate)
    # Written last, it says that all the others are there.
    write_text(note, json.dumps(factors))
    return factors


def _render(mixture: Mixture, rate: int, mode: str) -> tuple[np.ndarray, list[float]]:
    """Render one mixture.

    Returns
    -------
    numpy.ndarray
        `[1 + num_speakers, time]`, the mixture first, then its sources.
    list of float
        The factor that brought the peak to 0.9, then that from each utterance to its source.
    """
    loaded = [_load(path, rate) for path in mixture.files]
    factors = [10 ** (gain / 20) / sqrt(level) for gain, (_, level) in zip(mixture.gains, loaded, strict=True)]
    length = (min if mode == "min" else max)(len(samples) for samples, _ in loaded)
    signals = np.zeros((1 + len(loaded), length))
    for signal, factor, (samples, _) in zip(signals[1:], factors, loaded, strict=True):
        signal[: len(samples)] = factor * samples[:length]
    signals[0] = signals[1:].sum(axis=0)
    scale = PEAK / float(np.abs(signals).max())
    return scale * signals, [scale, *(scale * factor for factor in factors)]


def _load(path: Path, rate: int) -> tuple[np.ndarray, float]:
    """Read an utterance `[time]` at the corpus rate, and measure its active level at 8 kHz."""
    file_rate = audio_rate(path)
    original = read_audio(path, file_rate).astype(np.float64)
    samples = resample(original, file_rate, LEVEL_RATE)
    level = active_level(samples, LEVEL_RATE)
    if not level > 0:
        raise InputError(f"{path}: silent; replace the file or take the lines that name it out of the lists")
    return samples if rate == LEVEL_RATE else resample(original, file_rate, rate), level
