"""SMS-WSJ: six microphones, ``{observation,early,tail,noise}/{train_si284,cv_dev93,test_eval92}/ID.wav``."""

from collections.abc import Iterator
from pathlib import Path

from speechbrain_tasnet.data.corpus import Corpus, Row
from speechbrain_tasnet.data.manifest import write_manifests
from speechbrain_tasnet.data.tasks import Pairing
from speechbrain_tasnet.errors import InputError

SPLITS = {"tr": "train_si284", "cv": "cv_dev93", "tt": "test_eval92"}
SOURCES = ("early", "speech_source")
SPEAKERS = (0, 1)
OF_BOTH, OF_EACH = ("observation", "noise"), ("early", "tail", "speech_source")


class SmsWsj(Corpus):
    """A corpus whose folders are first of a signal, then of a split, and whose sources have names of their own."""

    def rows(self, split: str) -> Iterator[Row]:
        """List the mixtures of a split, sorted by name.

        Raises
        ------
        InputError
            The folder is missing or holds no wav files.
        """
        (folder,) = self.splits[split]
        mixtures = self.root / self.pairing.mixture / folder
        if not mixtures.is_dir():
            raise InputError(f"{mixtures}: no such folder; is data_folder={self.root} the root of SMS-WSJ?")
        names = sorted(path.stem for path in mixtures.glob("*.wav"))
        if not names:
            raise InputError(f"{mixtures}: holds no .wav files; is the corpus complete?")
        of_both = [signal for signal in OF_BOTH if (self.root / signal / folder).is_dir()]
        needed = {source.rsplit("_", 1)[0] for source in self.pairing.sources}
        of_each = [signal for signal in OF_EACH if signal in needed or (self.root / signal / folder).is_dir()]
        for name in names:
            files = {signal: f"{signal}/{folder}/{name}.wav" for signal in of_both}
            for signal in of_each:
                files |= {f"{signal}_{speaker}": f"{signal}/{folder}/{name}_{speaker}.wav" for speaker in SPEAKERS}
            yield Row(name, files)


def prepare_sms_wsj(
    data_folder: Path | str,
    save_folder: Path | str,
    target_signal: str = "early",
    num_spks: int = 2,
    sample_rate: int = 8000,
    mics: int = 6,
    reference: int = 0,
    skip_prep: bool = False,
) -> None:
    """Write the manifests of SMS-WSJ, see `manifest.write_manifests`.

    Parameters
    ----------
    data_folder : path-like
        The folder that holds ``observation``.
    save_folder : path-like
        Where the manifests go.
    target_signal : str
        What should come out: ``early``, the first 50 ms of each room response, as its authors train; or
        ``speech_source``, dry speech in step with it, as they score.
    num_spks : int
        Always 2.
    sample_rate : int
        Always 8000.
    mics : int
        Channels of a mixture.
    reference : int
        Which of them the sources are taken at.
    skip_prep : bool
        Trust the manifests that are there.

    Raises
    ------
    InputError
        There is no such target, or the corpus is not there, incomplete, or of another rate or number of speakers.
    """
    if skip_prep:
        return
    if target_signal not in SOURCES:
        raise InputError(f"target_signal={target_signal!r}: expected {' or '.join(SOURCES)}")
    if num_spks != len(SPEAKERS):
        raise InputError(f"num_spks={num_spks}: expected {len(SPEAKERS)}, all that SMS-WSJ has")
    corpus = SmsWsj(
        root=Path(data_folder),
        splits={name: (folder,) for name, folder in SPLITS.items()},
        pairing=Pairing("observation", tuple(f"{target_signal}_{speaker}" for speaker in SPEAKERS)),
        sample_rate=sample_rate,
        sums={"observation": ("early_0", "early_1", "tail_0", "tail_1", "noise")},
        mics=mics,
        reference=reference,
    )
    write_manifests(corpus, save_folder)
