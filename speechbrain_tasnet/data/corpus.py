"""A corpus: one folder per split, in it one folder per signal, in each of these the same file names."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from speechbrain_tasnet.data.tasks import Pairing
from speechbrain_tasnet.errors import InputError


class Row(NamedTuple):
    """One mixture: its name and the file of each of its signals, relative to the data folder."""

    name: str
    files: dict[str, str]


@dataclass(frozen=True)
class Corpus:
    """A corpus on disk, and the task to train on it.

    Parameters
    ----------
    root : Path
        The data folder.
    splits : dict
        ``tr``, ``cv`` and ``tt``, each with its folders below `root`.
    pairing : Pairing
        The signals that go in and come out.
    sample_rate : int
        Rate in Hz that every file must have.
    sums : dict
        Signals that are sums, each with what it is the sum of.
    if_stereo : str
        What to do where files have two channels.
    mics : int
        Channels of the mixtures; each other signal has as many or one.
    reference : int
        Which of them the sources are taken at.
    """

    root: Path
    splits: dict[str, tuple[str, ...]]
    pairing: Pairing
    sample_rate: int
    sums: dict[str, tuple[str, ...]]
    if_stereo: str = "keep one of each file, as `sox IN.wav OUT.wav remix 1` does"
    mics: int = 1
    reference: int = 0

    def signals(self, folder: str) -> list[str]:
        """List the signals that a split's folder holds, those of the task first.

        Raises
        ------
        InputError
            The folder is missing, or lacks a signal of the task.
        """
        path = self.root / folder
        if not path.is_dir():
            raise InputError(f"{path}: no such folder; is data_folder={self.root} the root of the corpus?")
        found = sorted(entry.name for entry in path.iterdir() if entry.is_dir())
        needed = list(dict.fromkeys((self.pairing.mixture, *self.pairing.sources)))
        for signal in needed:
            if signal not in found:
                raise InputError(
                    f"{path / signal}: no such folder, but the task needs it; there are {', '.join(found)}"
                )
        return needed + [signal for signal in found if signal not in needed]

    def rows(self, split: str) -> Iterator[Row]:
        """List the mixtures of a split, sorted by name.

        Raises
        ------
        InputError
            A folder is missing or holds no wav files, or two folders hold files of the same name.
        """
        rows = {}
        for folder in self.splits[split]:
            signals = self.signals(folder)
            names = sorted(path.name for path in (self.root / folder / self.pairing.mixture).glob("*.wav"))
            if not names:
                raise InputError(
                    f"{self.root / folder / self.pairing.mixture}: holds no .wav files; is the corpus complete?"
                )
            for name in names:
                if Path(name).stem in rows:
                    raise InputError(f"{self.root / folder}: {name} is in two folders of one split; leave one out")
                rows[Path(name).stem] = {signal: f"{folder}/{signal}/{name}" for signal in signals}
        return (Row(name, rows[name]) for name in sorted(rows))


def layout(sample_rate: int, mode: str) -> str:
    """Return the folder that wsj0-mix and its kin keep a rate and a mode in.

    Parameters
    ----------
    sample_rate : int
        In Hz.
    mode : str
        ``min``, cut to the shorter utterance, or ``max``.

    Raises
    ------
    InputError
        There is no such mode.

    Examples
    --------
    >>> layout(8000, "min")
    'wav8k/min'
    """
    if mode not in ("min", "max"):
        raise InputError(f"mode={mode!r}: expected 'min' or 'max'")
    return f"wav{sample_rate // 1000}k/{mode}"


def refuse_more_speakers(corpus: Corpus, pattern: str = "s{}") -> None:
    """Refuse a corpus whose mixtures have more speakers than the task has sources.

    Parameters
    ----------
    corpus : Corpus
        To be checked.
    pattern : str
        Name of a speaker's signal, with ``{}`` for the number.

    Raises
    ------
    InputError
        There is a source too many.
    """
    sources = len(corpus.pairing.sources)
    more = pattern.format(sources + 1)
    for folder in chain.from_iterable(corpus.splits.values()):
        path = corpus.root / folder
        if (path / more).is_dir():
            raise InputError(
                f"num_spks={sources}: {path} holds mixtures of more speakers; set num_spks to {sources + 1}"
            )
