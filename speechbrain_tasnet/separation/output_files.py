"""The files that sources go into: their names, their format, and that they appear whole or not at all."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import soundfile

from speechbrain_tasnet.audio.pcm import quantize
from speechbrain_tasnet.audio.random_access import system_name
from speechbrain_tasnet.errors import DiskError, InputError
from speechbrain_tasnet.system.files import new_file

FORMATS = ("wav", "flac")
# Bits of the sample formats; the last is no integer and has no full scale.
SUBTYPES = {"PCM_16": 16, "PCM_24": 24, "FLOAT": 32}
LARGEST_WAV = 2**32 - 4096


@dataclass(frozen=True)
class AudioFormat:
    """A format that sources are written in.

    Parameters
    ----------
    format : str
        ``wav`` or ``flac``.
    subtype : str
        ``PCM_16``, ``PCM_24`` or, in a wav, ``FLOAT``.

    Raises
    ------
    InputError
        There is no such format.
    """

    format: str = "wav"
    subtype: str = "PCM_16"

    def __post_init__(self):
        if self.format not in FORMATS or self.subtype not in SUBTYPES:
            raise InputError(
                f"{self.format} {self.subtype}: expected {' or '.join(FORMATS)} and one of {', '.join(SUBTYPES)}"
            )
        if not soundfile.check_format(self.format, self.subtype):
            raise InputError(f"{self.format} {self.subtype}: there is no such file; choose wav, or PCM_24")

    @property
    def limited(self) -> bool:
        """Whether samples beyond full scale have no value."""
        return self.subtype != "FLOAT"

    def num_bytes(self, num_samples: int) -> int:
        """Return the space that samples take, compressed or not."""
        return num_samples * SUBTYPES[self.subtype] // 8

    def check(self, mixture: Path | str, rate: int, channels: int, num_samples: int) -> None:
        """Refuse what does not go into such a file.

        Parameters
        ----------
        mixture : path-like
            For the message.
        rate : int
            Hz.
        channels, num_samples : int
            Of a source, and in each of its channels.

        Raises
        ------
        InputError
            The format has no such rate, not so many channels, or no room for it.
        """
        if self.format == "wav" and self.num_bytes(num_samples * channels) > LARGEST_WAV:
            raise InputError(f"{mixture}: a source would take more than the 4 GiB of a wav; choose flac")
        try:
            soundfile.SoundFile(BytesIO(), "w", rate, channels, self.subtype, format=self.format).close()
        except soundfile.LibsndfileError:
            raise InputError(
                f"{mixture}: {channels} channels at {rate} Hz do not go into {self.format}; choose wav or the mean"
            ) from None


WAV = AudioFormat()


def source_paths(mixture: Path | str, out: Path | str, num_spks: int, kind: AudioFormat = WAV) -> list[Path]:
    """List the files of a mixture's sources.

    Examples
    --------
    >>> [path.as_posix() for path in source_paths("talks/monday.mp3", "out", 2)]
    ['out/monday_s1.wav', 'out/monday_s2.wav']
    """
    return [Path(out) / f"{Path(mixture).stem}_s{i}.{kind.format}" for i in range(1, num_spks + 1)]


def table_paths(mixture: Path | str, out: Path | str, formats: Sequence[str]) -> list[Path]:
    """List the files that say who speaks when in a mixture.

    Examples
    --------
    >>> [path.as_posix() for path in table_paths("talks/monday.mp3", "out", ["rttm", "json"])]
    ['out/monday.rttm', 'out/monday.json']
    """
    return [Path(out) / f"{Path(mixture).stem}.{name}" for name in formats]


@contextmanager
def new_audio(path: Path, kind: AudioFormat, rate: int, channels: int) -> Iterator[Callable[[np.ndarray], None]]:
    """Write an audio file that appears whole or not at all.

    Parameters
    ----------
    path : Path
        File to write; its folder is made if it is not there.
    kind : AudioFormat
        Its format.
    rate, channels : int
        Hz, and what `AudioFormat.check` has let pass.

    Yields
    ------
    callable
        Writes float32 samples `[time, channels]`, within full scale where the format is limited.

    Raises
    ------
    DiskError
        The file cannot be written.
    """
    bits = SUBTYPES[kind.subtype]
    with new_file(path) as partial:
        try:
            with soundfile.SoundFile(
                system_name(partial), "w", rate, channels, kind.subtype, format=kind.format
            ) as file:

                def write(samples: np.ndarray) -> None:
                    if kind.limited:
                        # libsndfile would round down; it takes integers left-aligned in 32 bits.
                        samples = quantize(samples, bits) << 32 - bits
                    file.write(samples)

                yield write
        except soundfile.LibsndfileError as error:
            reason = error.error_string.strip(" .")
            raise DiskError(f"{path}: cannot be written ({reason}); see to folder and disk space") from None
