"""Excerpts of LibriCSS: ``wav16k/{dev,test}/{record,clean,s1,s2,s3}/NAME.wav``."""

from pathlib import Path

from speechbrain_tasnet.data.corpus import Corpus, refuse_more_speakers
from speechbrain_tasnet.data.manifest import write_manifests
from speechbrain_tasnet.data.tasks import Pairing
from speechbrain_tasnet.errors import InputError

TASKS = {"sep_reverb_noisy": "record", "sep_clean": "clean"}


def prepare_libricss(
    data_folder: Path | str,
    save_folder: Path | str,
    task: str = "sep_reverb_noisy",
    num_spks: int = 3,
    sample_rate: int = 8000,
    skip_prep: bool = False,
) -> None:
    """Write the manifests ``cv.csv`` and ``tt.csv`` of excerpts, see `manifest.write_manifests`.

    Parameters
    ----------
    data_folder : path-like
        What `generate.libricss` has made.
    save_folder : path-like
        Where the manifests go.
    task : str
        What goes in: ``sep_reverb_noisy``, the recording, or ``sep_clean``, the sum of what was played.
    num_spks : int
        Sources that should come out.
    sample_rate : int
        In Hz; names the folder ``wav8k`` or ``wav16k``.
    skip_prep : bool
        Trust the manifests that are there.

    Raises
    ------
    InputError
        There is no such task, or the corpus is not there, incomplete, or of another rate or number of speakers.
    """
    if skip_prep:
        return
    if task not in TASKS:
        raise InputError(f"task={task!r}: expected one of {', '.join(TASKS)}")
    sources = tuple(f"s{number}" for number in range(1, num_spks + 1))
    place = f"wav{sample_rate // 1000}k"
    corpus = Corpus(
        root=Path(data_folder),
        splits={"cv": (f"{place}/dev",), "tt": (f"{place}/test",)},
        pairing=Pairing(TASKS[task], sources),
        sample_rate=sample_rate,
        sums={"clean": sources},
    )
    refuse_more_speakers(corpus)
    write_manifests(corpus, save_folder)
