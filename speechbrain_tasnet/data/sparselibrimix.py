"""SparseLibriMix: ``sparse_2_0.2/wav8000/{s1,s2,mix_clean,noise,mix_noisy}/NAME.wav``, a test set."""

from pathlib import Path

from speechbrain_tasnet.data.corpus import Corpus, refuse_more_speakers
from speechbrain_tasnet.data.manifest import write_manifests
from speechbrain_tasnet.data.tasks import Pairing
from speechbrain_tasnet.errors import InputError

TASKS = {"sep_clean": "mix_clean", "sep_noisy": "mix_noisy"}


def prepare_sparselibrimix(
    data_folder: Path | str,
    save_folder: Path | str,
    task: str,
    num_spks: int = 2,
    sample_rate: int = 8000,
    skip_prep: bool = False,
) -> None:
    """Write the manifest ``tt.csv`` of one set of SparseLibriMix, see `manifest.write_manifests`.

    Parameters
    ----------
    data_folder : path-like
        The set, such as ``sparse_2_0.2``, the folder that holds ``wav8000``.
    save_folder : path-like
        Where the manifest goes.
    task : str
        ``sep_clean`` or ``sep_noisy``.
    num_spks : int
        Sources that should come out.
    sample_rate : int
        In Hz; names the folder ``wav8000`` or ``wav16000``.
    skip_prep : bool
        Trust the manifest that is there.

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
    corpus = Corpus(
        root=Path(data_folder),
        splits={"tt": (f"wav{sample_rate}",)},
        pairing=Pairing(TASKS[task], sources),
        sample_rate=sample_rate,
        sums={"mix_clean": sources, "mix_noisy": ("mix_clean", "noise")},
    )
    refuse_more_speakers(corpus)
    write_manifests(corpus, save_folder)
