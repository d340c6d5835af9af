"""Manifests: one row a mixture, any number of sources, in the CSV form that SpeechBrain's loaders read."""

import csv
from pathlib import Path

import soundfile

from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.files import new_file


def write_manifest(path: Path | str, data_folder: Path | str, signals: dict[str, str], sample_rate: int) -> None:
    """Describe a corpus that keeps each signal in a folder of its own, under the same file names.

    The columns are ``ID``, ``duration`` in seconds, and one ``NAME_wav`` a signal, its path with ``$data_root``
    standing for the data folder. Rows are sorted by ID. The file appears complete or not at all.

    Parameters
    ----------
    path : path-like
        CSV file to write.
    data_folder : path-like
        Root of the corpus.
    signals : dict
        Name of each signal (``mix``, ``s1``, ``s2``, ...) and its folder below `data_folder`, the mixture first.
    sample_rate : int
        Rate in Hz that every file must have.

    Raises
    ------
    InputError
        A folder or a file is missing, unreadable or empty, or has another rate or length than the others.
    """
    data_folder, path = Path(data_folder), Path(path)
    for folder in signals.values():
        if not (data_folder / folder).is_dir():
            raise InputError(f"{data_folder / folder}: no such folder; is {data_folder} the root of the corpus?")
    first = next(iter(signals.values()))
    names = sorted(file.name for file in (data_folder / first).glob("*.wav"))
    if not names:
        raise InputError(f"{data_folder / first}: holds no .wav files; is the corpus complete?")
    with new_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["ID", "duration", *(f"{signal}_wav" for signal in signals)])
        for name in names:
            duration = _duration([data_folder / folder / name for folder in signals.values()], sample_rate)
            files = [f"$data_root/{folder}/{name}" for folder in signals.values()]
            writer.writerow([Path(name).stem, f"{duration:.6f}", *files])


def _duration(files: list[Path], sample_rate: int) -> float:
    """Read the headers of one row's files, which must agree, and return their length in seconds."""
    lengths = []
    for file in files:
        try:
            header = soundfile.info(file)
        except soundfile.LibsndfileError as error:
            reason = error.error_string.strip(" .") if file.exists() else "no such file"
            raise InputError(f"{file}: cannot be read as audio ({reason}); restore it") from None
        if header.samplerate != sample_rate:
            raise InputError(f"{file}: {header.samplerate} Hz, expected sample_rate={sample_rate}")
        lengths.append(header.frames)
    if min(lengths) == 0 or min(lengths) != max(lengths):
        folders = [file.parent.name for file in files]
        raise InputError(f"{files[0].name}: {lengths} samples in {folders}, expected one length above 0")
    return lengths[0] / sample_rate
