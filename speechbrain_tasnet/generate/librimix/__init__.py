"""Make LibriMix from LibriSpeech and WHAM!'s noise, after its authors' `create_librimix_from_metadata.py`."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from functools import partial
from math import ceil
from pathlib import Path

import numpy as np

from speechbrain_tasnet import __version__
from speechbrain_tasnet.audio.pcm import quantize_like_libsndfile
from speechbrain_tasnet.audio.reading import audio_rate, open_audio, read_audio, read_blocks
from speechbrain_tasnet.audio.resampling import resample
from speechbrain_tasnet.audio.writing import write_pcm
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.generate.librimix.metadata import Mixture, Part, Roots, find_tables, read_table
from speechbrain_tasnet.generate.librimix.tables import TYPES, Row, terms, write_tables
from speechbrain_tasnet.system.files import check_free, resumable_folder, write_text
from speechbrain_tasnet.system.parallel import Workers, check_workers, each_in_parallel, here, in_parallel

RATE = 16000  # Hz, of LibriSpeech and of WHAM!'s noise
FADE = 8000  # samples over which a noise that is too short passes into its own beginning
RATES = (8000, 16000)
MODES = ("min", "max")
ROWS = ".rows"
EPSILON = 1e-10  # keeps the ratio of a silent source, or of one alone, finite


def generate_librimix(
    librispeech: Path | str,
    noise: Path | str | None,
    metadata: Path | str,
    out: Path | str,
    rates: Sequence[int] = (8000,),
    modes: Sequence[str] = ("min",),
    types: Sequence[str] = TYPES,
    splits: Sequence[str] | None = None,
    workers: Workers = None,
) -> Path:
    """Make `OUT/Libri2Mix/wav8k/min/{train-100,train-360,dev,test}/{s1,s2,mix_clean,...}/ID.wav` and tables.

    The tables of the metadata give the number of speakers (`Libri3Mix` for three), the utterances, the noise and
    the gains. Each signal is multiplied by its gain and resampled; `min` cuts all of a mixture to the shortest,
    `max` pads them with zeros to the longest; a mixture is the sum. What is beyond full scale is clipped, as
    in the original. The same options give the same bytes, whatever the number of workers.

    Parameters
    ----------
    librispeech : path-like
        Folder that holds ``train-clean-100`` and the like.
    noise : path-like, optional
        WHAM!'s ``wham_noise``, the folder that holds ``tr``, ``cv`` and ``tt``; not read where `types` is
        ``mix_clean`` alone.
    metadata : path-like
        ``metadata/Libri2Mix`` or ``metadata/Libri3Mix`` of github.com/JorisCos/LibriMix.
    out : path-like
        Folder in which ``Libri2Mix`` appears when everything in it is complete. A run that was killed is
        continued.
    rates : sequence of int
        Of 8000 and 16000 Hz.
    modes : sequence of str
        Of ``min`` and ``max``.
    types : sequence of str
        Of ``mix_clean`` (speech alone), ``mix_both`` (speech and noise), ``mix_single`` (the first speaker and
        noise).
    splits : sequence of str, optional
        Such as ``train-100``; by default all that there is metadata of.
    workers : int or Launcher, optional
        Number of processes; by default one per available processor. Or jobs on a cluster.

    Returns
    -------
    pathlib.Path
        ``OUT/Libri2Mix`` or ``OUT/Libri3Mix``.

    Raises
    ------
    InputError
        An option is out of range, the folder to make is taken, or something is missing or wrong in the metadata
        or in the audio that it names.
    """
    rates = _chosen("rate", rates, RATES)
    modes = _chosen("mode", modes, MODES)
    types = _chosen("type", types, TYPES)
    check_workers(workers)
    roots = _roots(librispeech, noise, types)
    tables = find_tables(Path(metadata), splits)
    plans = {split: read_table(table, roots) for split, table in tables.items()}
    num_speakers = _num_speakers(plans, tables)
    corpus = Path(out) / f"Libri{num_speakers}Mix"
    check_free(corpus)
    files = {part.path for plan in plans.values() for mixture in plan for part in _parts(mixture)}
    in_parallel(_check_rate, sorted(files), here(workers), "checking")
    provenance = {
        "version": __version__,
        "librispeech": str(librispeech),
        "noise": None if roots.noise is None else str(noise),
        "metadata": {str(table): hashlib.sha256(table.read_bytes()).hexdigest() for table in tables.values()},
        "rates": rates,
        "modes": modes,
        "types": types,
    }
    with resumable_folder(corpus, provenance) as folder:
        make = partial(_make, folder=folder, rates=rates, modes=modes, types=types)
        rows = each_in_parallel({split: partial(make, split=split) for split in plans}, plans, workers, "mixing")
        report = {split: write_tables(folder, split, rows[split], num_speakers) for split in plans}
        write_text(folder / "librimix.json", json.dumps({**provenance, "splits": report}, indent=1) + "\n")
        shutil.rmtree(folder / ROWS)
    return corpus


def _chosen(name: str, values: Sequence, allowed: Sequence) -> list:
    """Check values of an option and put them in the order of the allowed ones, each once."""
    wrong = [value for value in values if value not in allowed]
    if wrong or not values:
        raise InputError(f"{name} {wrong[0] if wrong else 'missing'}: expected {' or '.join(map(str, allowed))}")
    return [value for value in allowed if value in values]


def _roots(librispeech: Path | str, noise: Path | str | None, types: Sequence[str]) -> Roots:
    """Check the folders of audio; noise counts where a type of mixture has noise in it."""
    if not Path(librispeech).is_dir():
        raise InputError(f"{librispeech}: no such folder; expected LibriSpeech, the folder that holds dev-clean")
    if types == ["mix_clean"]:
        return Roots(Path(librispeech), None)
    if noise is None:
        raise InputError(f"--noise: missing, but {types[-1]} contains noise; give it, or --types mix_clean")
    if not Path(noise).is_dir():
        raise InputError(f"{noise}: no such folder; expected wham_noise, the folder that holds tr, cv and tt")
    return Roots(Path(librispeech), Path(noise))


def _num_speakers(plans: dict[str, list[Mixture]], tables: dict[str, Path]) -> int:
    """Return how many speakers the mixtures have, the same in all splits."""
    counts = {split: len(plan[0].sources) for split, plan in plans.items()}
    if len(set(counts.values())) > 1:
        told = " and ".join(f"{count} in {tables[split]}" for split, count in counts.items())
        raise InputError(f"speakers in a mixture: {told}; expected the same number in all tables")
    return next(iter(counts.values()))


def _parts(mixture: Mixture) -> list[Part]:
    return [*mixture.sources, *([mixture.noise] if mixture.noise else [])]


def _check_rate(path: Path) -> None:
    """Refuse a file whose header is unsound or states another rate."""
    rate = audio_rate(path)
    if rate != RATE:
        raise InputError(f"{path}: {rate} Hz, expected {RATE}; take the file of the original corpus")


def _make(
    mixture: Mixture, folder: Path, split: str, rates: Sequence[int], modes: Sequence[str], types: Sequence[str]
) -> Row:
    """Write all files of a mixture, unless an earlier run has, and return what the tables say of it."""
    note = folder / ROWS / split / f"{mixture.name}.json"
    if note.exists():
        return json.loads(note.read_text(encoding="utf-8"))
    row: Row = {"name": mixture.name, "places": {}}
    originals = _read(mixture)
    for rate in rates:
        resampled = {name: resample(samples, RATE, rate) for name, samples in originals.items()}
        for mode in modes:
            place = f"wav{rate // 1000}k/{mode}"
            signals, snr = _mix(_fit(resampled, mode), types, len(mixture.sources))
            for name, samples in signals.items():
                pcm = quantize_like_libsndfile(samples)
                write_pcm(folder / place / split / name / f"{mixture.name}.wav", pcm, rate)
            row["places"][place] = {
                "rate": rate,
                "length": len(signals["s1"]),
                "clipped": sum(bool(np.abs(samples).max() > 1) for samples in signals.values()),
                "snr": snr,
            }
    # Written last, it says that all the others are there.
    write_text(note, json.dumps(row))
    return row


def _read(mixture: Mixture) -> dict[str, np.ndarray]:
    """Read the sources and the noise of a mixture at 16 kHz, times their gains: `[time]` each."""
    speech = [part.gain * read_audio(part.path, RATE) for part in mixture.sources]
    signals = {f"s{number}": samples for number, samples in enumerate(speech, start=1)}
    if mixture.noise:
        length = max(len(samples) for samples in speech)
        signals["noise"] = mixture.noise.gain * _extend(_read_noise(mixture.noise), length, mixture.noise.path)
    return signals


def _read_noise(part: Part) -> np.ndarray:
    """Read the first channel of a noise, played at its speed: `[time]`."""
    with open_audio(part.path) as file:
        samples = np.concatenate([block[0] for block in read_blocks(file, "left")])
    return resample(samples, round(10 * part.speed), 10)


def _extend(noise: np.ndarray, length: int, path: Path) -> np.ndarray:
    """Cut a noise, or repeat it with half a second of Hann-shaped cross-fade, to `length` samples."""
    if len(noise) >= length:
        return noise[:length]
    if len(noise) <= FADE + 1:
        raise InputError(f"{path}: {len(noise)} samples are too few to repeat; expected over half a second")
    rising = np.hanning(2 * FADE + 1)[: FADE + 1]
    step = len(noise) - (FADE + 1)
    repeats = ceil((length - len(noise)) / step)
    extended = np.zeros(len(noise) + repeats * step)
    # What is there fades out under the repetition that fades in.
    extended[: len(noise)] = noise
    for start in range(step, repeats * step + 1, step):
        extended[start : start + FADE + 1] *= rising[::-1]
        extended[start : start + FADE + 1] += noise[: FADE + 1] * rising
        extended[start + FADE + 1 : start + len(noise)] = noise[FADE + 1 :]
    return extended[:length]  # in float64, as in the original


def _fit(signals: dict[str, np.ndarray], mode: str) -> dict[str, np.ndarray]:
    """Cut all signals to the shortest (`min`) or pad them with zeros to the longest (`max`)."""
    length = (min if mode == "min" else max)(len(samples) for samples in signals.values())
    cut = {name: samples[:length] for name, samples in signals.items()}
    return {name: np.pad(samples, (0, length - len(samples))) for name, samples in cut.items()}


def _mix(
    signals: dict[str, np.ndarray], types: Sequence[str], num_speakers: int
) -> tuple[dict[str, np.ndarray], dict[str, list[float]]]:
    """Add the mixtures to the signals, and return the ratio in dB of each term to the rest of its mixture."""
    mixed, ratios = dict(signals), {}
    for kind in types:
        parts = [signals[name] for name in terms(kind, num_speakers)]
        mixed[kind] = _add(parts)
        total = mixed[kind].astype(np.float64)
        ratios[kind] = [_ratio(part.astype(np.float64), total - part) for part in parts]
    return mixed, ratios


def _add(parts: list[np.ndarray]) -> np.ndarray:
    """Add signals in float32, one after the other, as the original does.

    Samples are rounded down, so that the last bit of a sum can make a whole level.
    """
    total = np.zeros_like(parts[0])
    for part in parts:
        total += part
    return total


def _ratio(signal: np.ndarray, rest: np.ndarray) -> float:
    """Power of a signal over that of the rest, in dB."""
    return float(10 * np.log10(np.mean(signal**2) / (np.mean(rest**2) + EPSILON) + EPSILON))
