"""WHAM!: ``wav8k/min/{tr,cv,tt}/{mix_clean,mix_both,mix_single,s1,s2,noise}/NAME.wav``."""

from pathlib import Path

from speechbrain_tasnet.data.corpus import Corpus, layout, refuse_more_speakers
from speechbrain_tasnet.data.manifest import write_manifests
from speechbrain_tasnet.data.tasks import dry_pairing
from speechbrain_tasnet.data.wsj0mix import SPLITS


def prepare_wham(
    data_folder: Path | str,
    save_folder: Path | str,
    task: str,
    num_spks: int = 2,
    sample_rate: int = 8000,
    mode: str = "min",
    mics: int = 1,
    reference: int = 0,
    skip_prep: bool = False,
) -> None:
    """Write the manifests of a WHAM! corpus, see `manifest.write_manifests`.

    Parameters
    ----------
    data_folder : path-like
        The folder that holds ``wav8k`` or ``wav16k``.
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
    mics : int
        Channels of a mixture, a microphone each; every other file has as many or one.
    reference : int
        Which of them the sources are taken at.
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
    corpus = Corpus(
        root=Path(data_folder),
        splits={split: (f"{folder}/{split}",) for split in SPLITS},
        pairing=dry_pairing(task, num_spks),
        sample_rate=sample_rate,
        sums=noisy_sums(num_spks),
        mics=mics,
        reference=reference,
    )
    if task.startswith("sep"):
        refuse_more_speakers(corpus)
    write_manifests(corpus, save_folder)


def noisy_sums(num_spks: int, room: str = "") -> dict[str, tuple[str, ...]]:
    """Return which signals of WHAM! and its kin are the sum of which.

    Parameters
    ----------
    num_spks : int
        Speakers; with one, as when enhancing, the sum of speakers is left out.
    room : str
        What the names end in, such as ``_reverb``.

    Returns
    -------
    dict
        Signals that are sums, each with what it is the sum of.

    Examples
    --------
    >>> noisy_sums(2, "_reverb")["mix_clean_reverb"]
    ('s1_reverb', 's2_reverb')
    """
    sums = {f"mix_both{room}": (f"mix_clean{room}", "noise"), f"mix_single{room}": (f"s1{room}", "noise")}
    if num_spks > 1:
        sums[f"mix_clean{room}"] = tuple(f"s{i}{room}" for i in range(1, num_spks + 1))
    return sums
