"""wsj0-mix and whatever has its layout: ``wav8k/min/{tr,cv,tt}/{mix,s1,s2,...}/NAME.wav``."""

from pathlib import Path

from speechbrain_tasnet.data.manifest import write_manifest
from speechbrain_tasnet.errors import InputError

SPLITS = ("tr", "cv", "tt")


def prepare_wsj0mix(
    data_folder: Path | str,
    save_folder: Path | str,
    num_spks: int = 2,
    sample_rate: int = 8000,
    mode: str = "min",
    skip_prep: bool = False,
) -> None:
    """Write the manifests ``tr.csv``, ``cv.csv`` and ``tt.csv`` of a wsj0-mix corpus.

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
    skip_prep : bool
        Trust the manifests that are there.

    Raises
    ------
    InputError
        The corpus is not there, incomplete, or of another rate or number of speakers.
    """
    if skip_prep:
        return
    if mode not in ("min", "max"):
        raise InputError(f"mode={mode!r}: expected 'min' or 'max'")
    root = Path(data_folder)
    if not root.is_dir():
        raise InputError(f"data_folder={root}: no such folder; expected the root of a corpus in wsj0-mix layout")
    layout = f"wav{sample_rate // 1000}k/{mode}"
    if (root / layout / "tr" / f"s{num_spks + 1}").is_dir():
        raise InputError(f"num_spks={num_spks}: {root / layout} holds mixtures of more speakers")
    for split in SPLITS:
        names = ["mix", *(f"s{i}" for i in range(1, num_spks + 1))]
        signals = {name: f"{layout}/{split}/{name}" for name in names}
        write_manifest(Path(save_folder) / f"{split}.csv", root, signals, sample_rate)
