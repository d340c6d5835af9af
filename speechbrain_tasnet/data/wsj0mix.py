"""wsj0-mix and whatever has its layout: ``wav8k/min/{tr,cv,tt}/{mix,s1,s2,...}/NAME.wav``."""

from pathlib import Path

from speechbrain_tasnet.data.corpus import Corpus, layout, refuse_more_speakers
from speechbrain_tasnet.data.manifest import write_manifests
from speechbrain_tasnet.data.tasks import Pairing

SPLITS = ("tr", "cv", "tt")


def prepare_wsj0mix(
    data_folder: Path | str,
    save_folder: Path | str,
    num_spks: int = 2,
    sample_rate: int = 8000,
    mode: str = "min",
    mics: int = 1,
    reference: int = 0,
    skip_prep: bool = False,
) -> None:
    """Write the manifests of a wsj0-mix corpus, see `manifest.write_manifests`.

    Parameters
    ----------
    data_folder : path-like
        The folder that holds ``wav8k`` or ``wav16k`` (of wsj0-2mix: ``2speakers``).
    save_folder : path-like
        Where the manifests go.
    num_spks : int
        Sources in a mixture.
    sample_rate : int
        In Hz; names the folder ``wav8k`` or ``wav16k``.
    mode : str
        ``min`` (cut to the shorter utterance) or ``max``.
    mics : int
        Channels of a mixture, a microphone each; every other file has as many or one.
    reference : int
        Which of them the sources are taken at.
    skip_prep : bool
        Trust the manifests that are there.

    Raises
    ------
    InputError
        The corpus is not there, incomplete, or of another rate or number of speakers.
    """
    if skip_prep:
        return
    sources = tuple(f"s{i}" for i in range(1, num_spks + 1))
    folder = layout(sample_rate, mode)
    corpus = Corpus(
        root=Path(data_folder),
        splits={split: (f"{folder}/{split}",) for split in SPLITS},
        pairing=Pairing("mix", sources),
        sample_rate=sample_rate,
        sums={"mix": sources},
        mics=mics,
        reference=reference,
    )
    refuse_more_speakers(corpus)
    write_manifests(corpus, save_folder)
