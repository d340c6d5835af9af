"""LibriMix: ``Libri2Mix/wav8k/min/{train-100,train-360,dev,test}/{mix_clean,mix_both,s1,s2,noise}/ID.wav``."""

from collections.abc import Sequence
from pathlib import Path

from speechbrain_tasnet.data.corpus import Corpus, layout, refuse_more_speakers
from speechbrain_tasnet.data.manifest import write_manifests
from speechbrain_tasnet.data.tasks import dry_pairing
from speechbrain_tasnet.data.wham import noisy_sums


def prepare_librimix(
    data_folder: Path | str,
    save_folder: Path | str,
    task: str,
    num_spks: int = 2,
    sample_rate: int = 8000,
    mode: str = "min",
    train_splits: Sequence[str] = ("train-360",),
    skip_prep: bool = False,
) -> None:
    """Write the manifests of a LibriMix corpus, see `manifest.write_manifests`.

    Parameters
    ----------
    data_folder : path-like
        ``Libri2Mix`` or ``Libri3Mix``, the folder that holds ``wav8k`` or ``wav16k``.
    save_folder : path-like
        Where the manifests go.
    task : str
        What goes in and what should come out, one of `tasks.DRY`.
    num_spks : int
        Sources to estimate: 1 for the enhancement tasks.
    sample_rate : int
        In Hz; names the folder ``wav8k`` or ``wav16k``.
    mode : str
        ``min`` (cut to the shorter utterance) or ``max``.
    train_splits : sequence of str
        ``train-100``, ``train-360`` or both.
    skip_prep : bool
        Trust the manifests that are there.

    Raises
    ------
    InputError
        There is no such task, or the corpus is not there, incomplete, or of another rate or number of speakers.
    """
    if skip_prep:
        return
    folder = layout(sample_rate, mode)
    splits = {"tr": train_splits, "cv": ("dev",), "tt": ("test",)}
    corpus = Corpus(
        root=Path(data_folder),
        splits={name: tuple(f"{folder}/{split}" for split in parts) for name, parts in splits.items()},
        pairing=dry_pairing(task, num_spks),
        sample_rate=sample_rate,
        sums=noisy_sums(num_spks),
    )
    if task.startswith("sep"):
        refuse_more_speakers(corpus)
    write_manifests(corpus, save_folder)
