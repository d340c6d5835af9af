"""Output files of sources: their names and format; they appear whole or not at all."""

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

# What the samples of a format may be, first what they are by default.
FORMATS = {
    "wav": ("PCM_16", "PCM_24", "FLOAT"),
    "flac": ("PCM_16", "PCM_24"),
    "mp3": ("MPEG_LAYER_III",),
    "opus": ("OPUS",),
}
# Bits of those that are no codec's; the last is no integer and has no full scale.
SUBTYPES = {"PCM_16": 16, "PCM_24": 24, "FLOAT": 32}
CODEC_BITS = 16  # of a sample, more than a codec takes
CONTAINERS = {"opus": "ogg"}  # where soundfile calls a format otherwise
LARGEST_WAV = 2**32 - 4096
NAME = "{stem}_{source}"  # of a source's file


@dataclass(frozen=True)
class AudioFormat:
    """A format that sources are written in.

    Parameters
    ----------
    format : str
        ``wav``, ``flac``, ``mp3`` or ``opus``.
    subtype : str, optional
        ``PCM_16`` (the default), ``PCM_24`` or, in a wav, ``FLOAT``; mp3 and opus have one of their own.

    Raises
    ------
    InputError
        There is no such format.
    """

    format: str = "wav"
    subtype: str | None = None

    def __post_init__(self):
        if self.format not in FORMATS:
            raise InputError(f"format={self.format!r}: expected one of {', '.join(FORMATS)}")
        subtypes = FORMATS[self.format]
        if self.subtype is None:
            object.__setattr__(self, "subtype", subtypes[0])
        if self.subtype not in subtypes:
            raise InputError(f"subtype={self.subtype!r}: expected {' or '.join(subtypes)} in {self.format}")
        if not soundfile.check_format(self.container, self.subtype):
            version = soundfile.__libsndfile_version__
            raise InputError(f"format={self.format!r}: libsndfile {version} does not write it; choose wav")

    @property
    def container(self) -> str:
        """What soundfile calls the format."""
        return CONTAINERS.get(self.format, self.format)

    @property
    def limited(self) -> bool:
        """Whether samples beyond full scale cannot be represented."""
        return self.subtype != "FLOAT"

    def num_bytes(self, num_samples: int) -> int:
        """Return the space that samples take, compressed or not."""
        return num_samples * SUBTYPES.get(self.subtype, CODEC_BITS) // 8

    def check(self, mixture: Path | str, rate: int, channels: int, num_samples: int) -> None:
        """Refuse sources that do not fit into such a file.

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
            soundfile.SoundFile(BytesIO(), "w", rate, channels, self.subtype, format=self.container).close()
        except soundfile.LibsndfileError:
            found = "1 channel" if channels == 1 else f"{channels} channels"
            raise InputError(
                f"{mixture}: {found} at {rate} Hz does not fit into {self.format}; choose wav"
            ) from None


WAV = AudioFormat()


@dataclass(frozen=True)
class Destination:
    """Where sources go, and under which names.

    Parameters
    ----------
    folder : path-like
        Made if it is not there.
    overwrite : bool
        Replace files that are there.
    kind : AudioFormat
        What is written; by default 16-bit wav.
    tables : sequence of str
        Of ``rttm`` and ``json`` (SegLST): the formats in which ``NAME.rttm`` says who speaks when.
    name : str
        Of a source's file, without its suffix: ``{stem}`` is that of the mixture, ``{source}`` s1, s2 and so on,
        ``/`` a folder.
    together : bool
        All sources of a mixture become the channels of one file, which has the mixture's name.
    roots : sequence of path-like
        Folders of mixtures. What comes of a mixture in a subfolder of one goes to the same subfolder of `folder`,
        so that recordings of one name in several folders do not get into each other's way.

    Raises
    ------
    InputError
        The name does not tell the sources apart, or leads out of the folder.
    """

    folder: Path | str
    overwrite: bool = False
    kind: AudioFormat = WAV
    tables: Sequence[str] = ()
    name: str = NAME
    together: bool = False
    roots: Sequence[Path | str] = ()

    def __post_init__(self):
        try:
            first, second = (self.name.format(stem="mixture", source=source) for source in ("s1", "s2"))
        except (IndexError, KeyError, ValueError):
            first = second = ""
        if first == second or {"..", "."} & set(Path(first).parts) or Path(first).is_absolute():
            raise InputError(f"name={self.name!r}: expected {{stem}} and {{source}} in it, such as {NAME!r}")

    def sources(self, mixture: Path | str, num_spks: int) -> list[Path]:
        """List the files of a mixture's sources, or the one of all.

        Examples
        --------
        >>> [path.as_posix() for path in Destination("out").sources("talks/monday.mp3", 2)]
        ['out/monday_s1.wav', 'out/monday_s2.wav']
        >>> [path.as_posix() for path in Destination("out", name="{stem}/{source}").sources("monday.mp3", 2)]
        ['out/monday/s1.wav', 'out/monday/s2.wav']
        >>> [path.as_posix() for path in Destination("out", roots=["talks"]).sources("talks/may/monday.mp3", 2)]
        ['out/may/monday_s1.wav', 'out/may/monday_s2.wav']
        """
        stem, folder = Path(mixture).stem, self._home(mixture)
        if self.together:
            return [folder / f"{stem}.{self.kind.format}"]
        names = (self.name.format(stem=stem, source=f"s{i}") for i in range(1, num_spks + 1))
        return [folder / f"{name}.{self.kind.format}" for name in names]

    def listed(self, mixture: Path | str) -> list[Path]:
        """List the files that say who speaks when in a mixture.

        Examples
        --------
        >>> [path.as_posix() for path in Destination("out", tables=["rttm", "json"]).listed("talks/monday.mp3")]
        ['out/monday.rttm', 'out/monday.json']
        """
        return self.all_tables(mixture, self.tables)

    def all_tables(self, mixture: Path | str, names: Sequence[str]) -> list[Path]:
        """List the files that say who speaks when in these formats, wanted or not."""
        return [self._home(mixture) / f"{Path(mixture).stem}.{name}" for name in names]

    def all_files(self, mixture: Path | str, num_spks: int) -> list[Path]:
        """List all files that may come of a mixture."""
        return [*self.sources(mixture, num_spks), *self.listed(mixture)]

    def _home(self, mixture: Path | str) -> Path:
        """Return the folder for what comes of a mixture."""
        for root in self.roots:
            if Path(mixture).is_relative_to(root):
                subfolder = Path(mixture).relative_to(root).parent
                # In the root "." is every relative path, also one that leads out of it.
                return Path(self.folder) if ".." in subfolder.parts else Path(self.folder) / subfolder
        return Path(self.folder)


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
    bits = SUBTYPES.get(kind.subtype)
    with new_file(path) as partial:
        try:
            with soundfile.SoundFile(
                system_name(partial), "w", rate, channels, kind.subtype, format=kind.container
            ) as file:

                def write(samples: np.ndarray) -> None:
                    if kind.limited and bits:
                        # libsndfile would round down; it takes integers left-aligned in 32 bits.
                        samples = quantize(samples, bits) << 32 - bits
                    file.write(samples)

                yield write
        except soundfile.LibsndfileError as error:
            reason = error.error_string.strip(" .")
            raise DiskError(f"{path}: cannot be written ({reason}); check the folder and disk space") from None
