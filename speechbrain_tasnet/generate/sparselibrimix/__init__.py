"""Make SparseLibriMix from LibriSpeech and WHAM!'s noise, after its authors' `make_mixtures.py`."""

import hashlib
import json
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import scipy
import soundfile

from speechbrain_tasnet import __version__
from speechbrain_tasnet.audio.pcm import quantize_like_libsndfile
from speechbrain_tasnet.audio.writing import write_pcm
from speechbrain_tasnet.data.segments import Segment, to_seglst
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.generate.sparselibrimix.metadata import Mixture, Part, find_sets, read_set
from speechbrain_tasnet.system.files import check_free, resumable_folder, write_text
from speechbrain_tasnet.system.parallel import Workers, in_parallel

RATES = (8000, 16000)
NOTE = "sparselibrimix.json"
BLOCK = 0.1  # seconds of a block of the loudness meter


def generate_sparselibrimix(
    librispeech: Path | str,
    noise: Path | str | None,
    metadata: Path | str,
    out: Path | str,
    rates: Sequence[int] = (8000,),
    num_speakers: int | None = None,
    workers: Workers = None,
) -> list[Path]:
    """Make `OUT/sparse_2_0.2/wav8000/{s1,s2,mix_clean,noise,mix_noisy}/NAME.wav`, and so on.

    Each part of an utterance is freed of its mean, resampled and brought to its loudness (ITU-R BS.1770); where
    it is heard is silent else. The same as in the original to the last bit, but for what is added: beside each
    mixture ``NAME.json`` says who speaks when and what, as SegLST.

    Parameters
    ----------
    librispeech : path-like
        LibriSpeech's ``test-clean``.
    noise : path-like, optional
        The folder ``tt`` of WHAM!'s ``wham_noise``; without it there is speech alone.
    metadata : path-like
        ``metadata`` of github.com/popcornell/SparseLibriMix, or one set in it.
    out : path-like
        Folder for the sets. One whose run was killed is continued.
    rates : sequence of int
        Of 8000 and 16000 Hz.
    num_speakers : int, optional
        Number of sources of each mixture; those that the metadata does not have are silent.
    workers : int or Launcher, optional
        Number of processes; by default one per available processor. Or jobs on a cluster.

    Returns
    -------
    list of Path
        The folders of the sets.

    Raises
    ------
    InputError
        An option is out of range, a folder to make is taken, or something is missing or wrong in the metadata or
        in the audio that it names.
    """
    try:
        import pyloudnorm  # noqa: F401 - its absence is reported before any work
    except ImportError:
        raise InputError(
            "SparseLibriMix needs the package pyloudnorm: pip install 'speechbrain-tasnet[corpora]'"
        ) from None
    if not rates or any(rate not in RATES for rate in rates):
        raise InputError(f"rates {list(rates)}: expected {' or '.join(map(str, RATES))} Hz")
    sets = {name: (path, read_set(path)) for name, path in find_sets(Path(metadata)).items()}
    for name, (_, mixtures) in sets.items():
        most = max(len(mixture.sources) for mixture in mixtures)
        if num_speakers is not None and num_speakers < most:
            raise InputError(f"{num_speakers} speakers: {name} has mixtures of {most}; expected at least as many")
        _check_files(mixtures, Path(librispeech), None if noise is None else Path(noise))
    options = {
        "version": __version__,
        "librispeech": str(librispeech),
        "noise": None if noise is None else str(noise),
        "rates": list(rates),
        "num_speakers": num_speakers,
    }
    provenances = {
        name: options | {"metadata": hashlib.sha256(path.read_bytes()).hexdigest(), "mixtures": len(mixtures)}
        for name, (path, mixtures) in sets.items()
    }
    missing = [name for name in sets if not _is_made(Path(out) / name, provenances[name])]
    for name in missing:
        check_free(Path(out) / name)
    for name in missing:
        _make_set(Path(out) / name, sets[name][1], provenances[name], workers)
    return [Path(out) / name for name in sets]


def _is_made(folder: Path, provenance: dict) -> bool:
    """Return whether an earlier run has made the set."""
    note = folder / NOTE
    return note.exists() and json.loads(note.read_text(encoding="utf-8")) == provenance


def _check_files(mixtures: Sequence[Mixture], librispeech: Path, noise: Path | None) -> None:
    """Refuse now what is not there."""
    for mixture in mixtures:
        parts = [librispeech / part.file for source in mixture.sources.values() for part in source]
        if noise and not mixture.noise:
            raise InputError(f"{mixture.mixture_name}: no noise in the metadata; leave --noise out")
        parts += [noise / part.file for part in mixture.noise] if noise else []
        for path in parts:
            if not path.is_file():
                raise InputError(f"{path}: no such file; {mixture.mixture_name} needs it")


def _make_set(out: Path, mixtures: list[Mixture], provenance: dict, workers: Workers) -> None:
    noise = provenance["noise"]
    with resumable_folder(out, provenance) as folder:
        make = partial(
            _make,
            folder=folder,
            librispeech=Path(provenance["librispeech"]),
            noise=None if noise is None else Path(noise),
            rates=provenance["rates"],
            num_speakers=provenance["num_speakers"],
        )
        in_parallel(make, mixtures, workers, f"mixing {out.name}")
        write_text(folder / NOTE, json.dumps(provenance, indent=1) + "\n")


def _make(
    mixture: Mixture,
    folder: Path,
    librispeech: Path,
    noise: Path | None,
    rates: Sequence[int],
    num_speakers: int | None,
) -> None:
    """Write all files of a mixture; those of its sums come last, and say that all is there."""
    segments = [
        (Segment(part.spk_id, part.start, part.stop), name, " ".join(part.words))
        for name, parts in mixture.sources.items()
        for part in parts
    ]
    said = to_seglst(
        mixture.mixture_name,
        [segment for segment, _, _ in segments],
        source=[name for _, name, _ in segments],
        words=[words for _, _, words in segments],
    )
    for rate in rates:
        place = folder / f"wav{rate}"
        last = "mix_noisy" if noise else "mix_clean"
        if (place / last / f"{mixture.mixture_name}.json").exists():
            continue  # of an earlier run
        signals = _signals(mixture, librispeech, noise, rate, num_speakers)
        for name, samples in signals.items():
            pcm = quantize_like_libsndfile(samples)
            write_pcm(place / name / f"{mixture.mixture_name}.wav", pcm, rate)
        for name in ("mix_clean", "mix_noisy"):
            if name in signals:
                write_text(place / name / f"{mixture.mixture_name}.json", said)


def _signals(
    mixture: Mixture, librispeech: Path, noise: Path | None, rate: int, num_speakers: int | None
) -> dict[str, np.ndarray]:
    """Make the signals of a mixture, in the original's order and float64: sources, their sum, noise, all."""
    heard = {name: [_render(librispeech, part, rate) for part in parts] for name, parts in mixture.sources.items()}
    if noise:
        heard["noise"] = [_render(noise, part, rate) for part in mixture.noise]
    length = max(len(samples) for parts in heard.values() for samples in parts)
    signals = {
        name: np.sum([np.pad(samples, (0, length - len(samples))) for samples in parts], axis=0)
        for name, parts in heard.items()
    }
    background = signals.pop("noise", None)
    clean = sum(list(signals.values())[1:], start=next(iter(signals.values())))
    for number in range(len(signals) + 1, (num_speakers or 0) + 1):
        signals[f"s{number}"] = np.zeros(length)
    signals["mix_clean"] = clean
    if background is not None:
        signals |= {"noise": background, "mix_noisy": clean + background}
    return signals


def _render(root: Path, part: Part, rate: int) -> np.ndarray:
    """Read a part of a file at its loudness and its place: [time] from the mixture's beginning."""
    from pyloudnorm import Meter, normalize

    path = root / part.file
    try:
        with soundfile.SoundFile(path) as file:
            own, channels = file.samplerate, file.channels
            if channels > 1 and part.channel >= channels:
                raise InputError(f"{path}: {channels} channels; the metadata names number {part.channel}")
            first, last = int(part.orig_start * own), int(part.orig_stop * own)
            file.seek(min(first, file.frames))
            samples = file.read(last - first, always_2d=True)
    except soundfile.LibsndfileError as error:
        raise InputError(f"{path}: cannot be read ({error.error_string})") from None
    samples = samples[:, part.channel if channels > 1 else 0]
    if len(samples) < BLOCK * own:
        raise InputError(f"{path}: {len(samples)} samples from {part.orig_start} s on; expected {last - first}")
    samples = samples - np.mean(samples)
    if own != rate:
        samples = scipy.signal.resample_poly(samples, rate, own)
    loudness = Meter(rate, block_size=BLOCK).integrated_loudness(samples)
    if not np.isfinite(loudness):
        raise InputError(
            f"{path}: silent from {part.orig_start} to {part.orig_stop} s; expected speech of {part.lvl} LUFS"
        )
    with warnings.catch_warnings():  # of samples beyond full scale, which writing clips
        warnings.simplefilter("ignore")
        samples = normalize.loudness(samples, loudness, part.lvl)
    return np.pad(samples, (int(part.start * rate), 0))
