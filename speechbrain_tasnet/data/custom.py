"""Your own mixtures: one folder per split, in it one folder per signal, in each of these the same file names."""

from collections.abc import Sequence
from pathlib import Path

from speechbrain_tasnet.data.corpus import Corpus
from speechbrain_tasnet.data.manifest import write_manifests
from speechbrain_tasnet.data.tasks import Pairing
from speechbrain_tasnet.errors import InputError


def prepare_custom(
    data_folder: Path | str,
    save_folder: Path | str,
    mixture: str,
    sources: Sequence[str],
    splits: Sequence[str] = ("train", "valid", "test"),
    num_spks: int = 2,
    sample_rate: int = 8000,
    additive: bool = True,
    mics: int = 1,
    reference: int = 0,
    skip_prep: bool = False,
) -> None:
    """Write the manifests of a corpus of your own, see `manifest.write_manifests`.

    Parameters
    ----------
    data_folder : path-like
        The folder that holds the splits.
    save_folder : path-like
        Where the manifests go.
    mixture : str
        Folder of the mixtures in each split.
    sources : sequence of str
        Folders of the sources in each split.
    splits : sequence of str
        Folders for training, validation and test.
    num_spks : int
        Number of sources.
    sample_rate : int
        In Hz.
    additive : bool
        The mixture is the sum of the sources: check it. False with noise or rooms.
    mics : int
        Channels of a mixture, a microphone each; every other file has as many or one.
    reference : int
        Which of them the sources are taken at.
    skip_prep : bool
        Trust the manifests that are there.

    Raises
    ------
    InputError
        The corpus is not there, incomplete or of another rate, or the options do not fit each other.
    """
    if skip_prep:
        return
    if len(sources) != num_spks:
        raise InputError(f"sources={list(sources)}: expected num_spks={num_spks} folders")
    if len(splits) != 3:
        raise InputError(f"splits={list(splits)}: expected three folders, for training, validation and test")
    corpus = Corpus(
        root=Path(data_folder),
        splits={name: (folder,) for name, folder in zip(("tr", "cv", "tt"), splits, strict=True)},
        pairing=Pairing(mixture, tuple(sources)),
        sample_rate=sample_rate,
        sums={mixture: tuple(sources)} if additive else {},
        mics=mics,
        reference=reference,
    )
    write_manifests(corpus, save_folder)
