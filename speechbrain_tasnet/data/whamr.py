"""WHAMR!: as WHAM!, each signal once ``_anechoic`` and once ``_reverb``; `tasnet mix --reverb` makes the same."""

from pathlib import Path

from speechbrain_tasnet.data.corpus import Corpus, layout, refuse_more_speakers
from speechbrain_tasnet.data.manifest import write_manifests
from speechbrain_tasnet.data.tasks import TARGETS, reverberant_pairing
from speechbrain_tasnet.data.wham import noisy_sums
from speechbrain_tasnet.data.wsj0mix import SPLITS

# Its script asks with this constant whether to write one microphone or both.
MONO = (
    "is this WHAMR! as its script makes it with MONO = False, for two microphones? Train on both with --mics 2, "
    "or keep the first channel of each file, as `sox IN.wav OUT.wav remix 1` does"
)


def prepare_whamr(
    data_folder: Path | str,
    save_folder: Path | str,
    task: str,
    target: str = "anechoic",
    num_spks: int = 2,
    sample_rate: int = 8000,
    mode: str = "min",
    mics: int = 1,
    reference: int = 0,
    skip_prep: bool = False,
) -> None:
    """Write the manifests of a WHAMR! corpus, see `manifest.write_manifests`.

    One target serves training, validation and test alike.

    Parameters
    ----------
    data_folder : path-like
        The folder that holds ``wav8k`` or ``wav16k``.
    save_folder : path-like
        Where the manifests go.
    task : str
        What goes in and what should come out, one of `tasks.REVERBERANT`.
    target : str
        Sources as their direct sound, ``anechoic``, or as the room has them, ``reverb``.
    num_spks : int
        Sources to estimate: 1 for the enhancement and dereverberation tasks.
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
        There is no such task or target, or the corpus is not there, incomplete, or of another rate or number of
        speakers.
    """
    if skip_prep:
        return
    folder = layout(sample_rate, mode)
    corpus = Corpus(
        root=Path(data_folder),
        splits={split: (f"{folder}/{split}",) for split in SPLITS},
        pairing=reverberant_pairing(task, target, num_spks),
        sample_rate=sample_rate,
        sums={total: terms for room in TARGETS for total, terms in noisy_sums(num_spks, f"_{room}").items()},
        if_stereo=MONO,
        mics=mics,
        reference=reference,
    )
    if task.startswith("sep"):
        refuse_more_speakers(corpus, "s{}_anechoic")
    write_manifests(corpus, save_folder)
