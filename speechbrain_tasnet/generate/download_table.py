"""The archives that `tasnet download` knows: their addresses, checksums and sizes, and what they unpack to."""

from dataclasses import dataclass

from speechbrain_tasnet.errors import InputError, similar

LIBRISPEECH = "https://www.openslr.org/resources/12"
CC_BY = "CC BY 4.0"
CC_BY_NC = "CC BY-NC 4.0"


@dataclass(frozen=True)
class Source:
    """One archive. A checksum or a size that its publisher does not state, or that we are not sure of, is None."""

    base: str  # the address without the archive's name; a mirror takes its place
    archive: str
    folder: str  # what it unpacks to, as the archive names it
    licence: str
    checksum: str | None = None  # sha256:... or md5:...
    size: int | None = None  # bytes

    def address(self, mirror: str | None = None) -> str:
        """Return the archive's address, at a mirror where there is one.

        Parameters
        ----------
        mirror : str, optional
            Address of the folder that holds the archive.

        Returns
        -------
        str
            Address of the archive.

        Raises
        ------
        InputError
            The mirror is not a web address.
        """
        if mirror is not None and not mirror.startswith(("http://", "https://")):
            raise InputError(f"--mirror {mirror}: expected an address that begins with http:// or https://")
        return f"{(mirror or self.base).rstrip('/')}/{self.archive}"


def _librispeech(subset: str, sha256: str, size: int) -> Source:
    return Source(
        LIBRISPEECH, f"{subset}.tar.gz", f"LibriSpeech/{subset}", CC_BY, checksum=f"sha256:{sha256}", size=size
    )


# LibriSpeech's sha256 are those of torchaudio.datasets.librispeech, its sizes those of Kaldi's recipe.
SOURCES = {
    "dev-clean": _librispeech(
        "dev-clean", "76f87d090650617fca0cac8f88b9416e0ebf80350acb97b343a85fa903728ab3", 337926286
    ),
    "dev-other": _librispeech(
        "dev-other", "12661c48e8c3fe1de2c1caa4c3e135193bfb1811584f11f569dd12645aa84365", 314305928
    ),
    "test-clean": _librispeech(
        "test-clean", "39fde525e59672dc6d1551919b1478f724438a95aa55f874b576be21967e6c23", 346663984
    ),
    "test-other": _librispeech(
        "test-other", "d09c181bba5cf717b3dee7d4d592af11a3ee3a09e08ae025c5506f6ebe961c29", 328757843
    ),
    "train-clean-100": _librispeech(
        "train-clean-100", "d4ddd1d5a6ab303066f14971d768ee43278a5f2a0aa43dc716b0e64ecbbbf6e2", 6387309499
    ),
    "train-clean-360": _librispeech(
        "train-clean-360", "146a56496217e96c14334a160df97fffedd6e0a04e66b9c5af0d40be3c792ecf", 23049477885
    ),
    "train-other-500": _librispeech(
        "train-other-500", "ddb22f27f96ec163645d53215559df6aa36515f26e01dd70798188350adcb6d2", 30593501606
    ),
    "minilibrimix": Source(
        "https://zenodo.org/records/3871592/files",
        "MiniLibriMix.zip",
        "MiniLibriMix",
        f"{CC_BY} (speech), {CC_BY_NC} (noise)",
    ),
    "wham-noise": Source(
        "https://my-bucket-a8b4b49c25c811ee9a7e8bba05fa24c7.s3.amazonaws.com",
        "wham_noise.zip",
        "wham_noise",
        CC_BY_NC,
    ),
    "musan": Source(
        "https://www.openslr.org/resources/17",
        "musan.tar.gz",
        "musan",
        CC_BY,
        checksum="md5:0c472d4fc0c5141eca47ad1ffeb2a7df",
        size=11086114085,
    ),
}


def find_source(name: str) -> Source:
    """Look up an archive.

    Parameters
    ----------
    name : str
        One of `SOURCES`.

    Returns
    -------
    Source
        What is known of it.

    Raises
    ------
    InputError
        There is none of that name.
    """
    if name not in SOURCES:
        raise InputError(
            f"{name}: cannot be downloaded; expected one of {', '.join(SOURCES)}{similar(name, SOURCES)}"
        )
    return SOURCES[name]


def table() -> str:
    """Return all archives, one per line.

    Returns
    -------
    str
        Name, size, checksum, licence, folder that it unpacks to, address.
    """
    rows = [("NAME", "SIZE", "CHECKSUM", "LICENCE", "UNPACKS TO", "ADDRESS")]
    for name, source in SOURCES.items():
        size = "unknown" if source.size is None else f"{source.size / 1e9:.2f} GB"
        checksum = "none" if source.checksum is None else source.checksum.split(":")[0]
        rows.append((name, size, checksum, source.licence, source.folder, source.address()))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
