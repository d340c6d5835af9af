"""Something to listen to: a mixture before and after a separator."""

import tempfile
from pathlib import Path

import numpy as np

from speechbrain_tasnet.audio.reading import count_samples, open_audio, read_blocks
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.generate.synthetic_voices import synthesize_speech
from speechbrain_tasnet.separation.output_files import AudioFormat, new_audio
from speechbrain_tasnet.separation.pretrained import TasNetSeparation

LONGEST = 30.0  # seconds that anybody listens to on a card
SECONDS = 5.0  # of synthetic voices
HIGHEST_RATE = 22050  # of the synthesiser
PEAK = 0.9
FLAC = AudioFormat("flac")


class Sample:
    """A mixture and what a separator makes of it, in files.

    Parameters
    ----------
    words : str
        What the mixture is, for people.
    samples : numpy.ndarray
        The mixture, [time], as it is heard.
    sample_rate : int
        In Hz.
    source : str or Path, optional
        The file that it was read from.
    """

    def __init__(self, words: str, samples: np.ndarray, sample_rate: int, source: Path | None = None):
        self.words, self.samples, self.sample_rate, self.source = words, samples, sample_rate, source

    @classmethod
    def of_file(cls, path: Path, separator: TasNetSeparation) -> "Sample":
        """Read a mixture from a file.

        Raises
        ------
        InputError
            It cannot be read, or lasts longer than anybody listens.
        """
        with open_audio(path) as file:
            seconds = count_samples(file) / file.samplerate
        if seconds > LONGEST:
            raise InputError(f"{path}: lasts {seconds:.1f} s; expected a sample of at most {LONGEST:g} s")
        with open_audio(path) as file:
            blocks = [block[0] for block in read_blocks(file, "left" if separator.mics > 1 else "mean")]
            return cls("A recording", np.concatenate(blocks), file.samplerate, path)

    @classmethod
    def of_synthetic_voices(cls, separator: TasNetSeparation) -> "Sample | None":
        """Mix as many synthetic voices as the separator tells apart; None where they would show nothing.

        So it is for a single source, for several microphones, which hear a room, and above the synthesiser's rate.

        Raises
        ------
        InputError
            The synthesiser is not installed.
        """
        rate, voices = separator.hparams.sample_rate, separator.hparams.num_spks
        if voices == 1 or separator.mics > 1 or rate > HIGHEST_RATE:
            return None
        with tempfile.TemporaryDirectory() as folder:
            speech = Path(folder) / "speech"
            # Every other speaker of the last split, for neighbours are alike.
            synthesize_speech(speech, (1, 1, 2 * voices), utterances=1, rate=rate, workers=1)
            files = sorted(speech.glob("test-*/*.wav"))[::2]
            spoken = [_at_one_level(file, round(SECONDS * rate)) for file in files]
        return cls(f"{voices} synthetic voices (eSpeak NG)", np.sum(spoken, axis=0), rate)

    def write(self, separator: TasNetSeparation, folder: Path) -> list[tuple[str, Path]]:
        """Separate the mixture; write it and its sources, all by one gain.

        Returns
        -------
        list of (str, Path)
            What each file is, and the file: first the mixture.
        """
        if self.source is None:
            sources = separator.separate_audio(self.samples, self.sample_rate, scale="mixture")
        else:
            sources = separator.separate_file(self.source, scale="mixture")[0].T.numpy()
        signals = [self.samples, *sources]
        peak = max(np.abs(signal).max() for signal in signals)
        names = ["mixture", *(f"source{number}" for number in range(1, len(signals)))]
        written = []
        for name, signal in zip(names, signals, strict=True):
            path = folder / f"{name}.flac"
            with new_audio(path, FLAC, self.sample_rate, 1) as write:
                write((signal * (PEAK / peak if peak else 1))[:, None].astype(np.float32))
            written.append((name.replace("source", "source "), path))
        return written


def _at_one_level(file: Path, length: int) -> np.ndarray:
    """Read an utterance, repeated or cut to a length, at the power 1."""
    with open_audio(file) as opened:
        samples = np.resize(np.concatenate([block[0] for block in read_blocks(opened)]), length)
    return samples / np.sqrt(np.mean(np.square(samples)))
