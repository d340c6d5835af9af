"""Check an archive and unpack one folder of it, even from an untrusted source."""

import gzip
import hashlib
import lzma
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from tqdm import tqdm

from speechbrain_tasnet.errors import DiskError, InputError
from speechbrain_tasnet.system.ownership import create
from speechbrain_tasnet.system.printable import printable

BLOCK = 2**20
WORK, BESIDE = ".unpacked", ".beside"
# What the readers raise. A link without its file is a KeyError, links in a circle a RecursionError, a file with a
# password a RuntimeError, one packed in a way that Python does not know a NotImplementedError.
BROKEN = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, gzip.BadGzipFile, EOFError, KeyError,
    RuntimeError, NotImplementedError, ValueError, OverflowError, IndexError, struct.error,
)  # fmt: skip


@dataclass(frozen=True)
class Limits:
    """What an archive may unpack to: many times what any corpus of speech or noise does.

    An archive of a megabyte can unpack to a gigabyte of zeros. Speech shrinks to a third, in a zip of silence to a
    hundredth perhaps, and a small archive may do what it likes.
    """

    files: int = 2_000_000  # LibriSpeech has 300 000
    size: int = 2**40  # bytes
    ratio: int = 100  # of what it unpacks to, to the archive
    free: int = 2**28  # bytes to which the ratio does not apply


LIMITS = Limits()


def verify(archive: Path, checksum: str) -> None:
    """Compare a file with its published checksum.

    Parameters
    ----------
    archive : pathlib.Path
        File to check.
    checksum : str
        ``sha256:`` or ``md5:`` and hexadecimal digits.

    Raises
    ------
    InputError
        They differ.
    """
    kind, expected = checksum.split(":")
    digest = hashlib.new(kind, usedforsecurity=False)
    size = archive.stat().st_size
    bar = tqdm(total=size, desc=f"checking {kind}", unit="B", unit_scale=True, disable=None)
    with archive.open("rb") as file, bar:
        while block := file.read(BLOCK):
            digest.update(block)
            bar.update(len(block))
    if digest.hexdigest() != expected:
        raise InputError(f"wrong checksum, {kind} {digest.hexdigest()} instead of {expected}")


def unpack(
    archive: Path, folder: str, target: Path, reserved: Collection[str] = (), limits: Limits = LIMITS
) -> None:
    """Unpack a folder of an archive, and the files beside it there, such as a licence, into one folder.

    Nothing is written elsewhere: a path that leads out of the archive is refused, and a link becomes a copy of
    the archive's file that it names. Of two files of one name, the folder's own stays.

    Parameters
    ----------
    archive : pathlib.Path
        A zip file, or a tar file with any compression.
    folder : str
        Path of the folder in the archive.
    target : pathlib.Path
        Folder that gets its content; what an earlier, unfinished run unpacked there is replaced.
    reserved : collection of str
        Names in ``target`` that are not the archive's to take.
    limits : Limits
        How much it may unpack to.

    Raises
    ------
    InputError
        It is not an archive, is damaged, leads out of itself, lacks the folder or unpacks to too much; or the disk
        is full (`DiskError`).
    """
    work, beside = target / WORK, target / BESIDE
    for leftover in (work, beside):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        _unpack(archive, PurePosixPath(folder), work, beside, limits)
        _join(work, beside, target, {*reserved, WORK, BESIDE})
    except InputError:
        raise
    except BROKEN as error:
        raise InputError(f"not an archive, or a damaged one ({_reason(error)})") from None
    except OSError as error:
        # Of a compression, not of the system; or a file where the archive has a folder.
        if error.errno is None or isinstance(error, (FileExistsError, IsADirectoryError, NotADirectoryError)):
            raise InputError(f"not an archive, or a damaged one ({_reason(error)})") from None
        reason = f"({error.strerror}); check the folder and disk space"
        raise DiskError(f"{target}: cannot be written {reason}") from None


def _unpack(archive: Path, wanted: PurePosixPath, work: Path, beside: Path, limits: Limits) -> None:
    """Unpack the wanted folder to ``work``, which is new, and the files next to it to ``beside``."""
    budget, found = _Budget(limits, archive.stat().st_size), False
    members = _members(archive, work)
    for name, size, open_member in tqdm(members, desc="unpacking", unit=" files", disable=None):
        budget.count_file()
        path = PurePosixPath(name)
        if _leads_out(name):
            raise InputError(f"unsafe archive, {name!r} leads out of it")
        if path.is_relative_to(wanted):
            found = True
            _write(open_member, work / path.relative_to(wanted), budget)
        elif path.parent == wanted.parent:
            _write(open_member, beside / path.name, budget)
        else:
            budget.count_bytes(size)
    if not found:
        raise InputError(f"no folder {wanted} in the archive")


def _join(work: Path, beside: Path, target: Path, reserved: Collection[str]) -> None:
    """Move what was unpacked to its place."""
    own = {path.name for path in work.iterdir()}
    if own & set(reserved):
        raise InputError(f"unsafe archive, its {min(own & set(reserved))!r} is a name reserved for this program")
    taken = {name.casefold() for name in (*own, *reserved)}  # some disks know no capital letters
    more = [path for path in beside.iterdir() if path.name.casefold() not in taken] if beside.exists() else []
    for path in (*work.iterdir(), *more):
        there = target / path.name  # left by a run that was killed at this point
        if there.is_dir() and not there.is_symlink():
            shutil.rmtree(there)
        path.replace(there)
    for emptied in (work, beside):
        shutil.rmtree(emptied, ignore_errors=True)


class _Budget:
    """What may still be unpacked."""

    def __init__(self, limits: Limits, archive_size: int) -> None:
        self._limits = limits
        self._bytes = min(limits.size, max(limits.free, limits.ratio * archive_size))
        self._size, self._left, self._files = archive_size, self._bytes, limits.files

    def count_file(self) -> None:
        self._files -= 1
        if self._files < 0:
            raise InputError(f"unsafe archive, it holds more than {self._limits.files} files")

    def count_bytes(self, number: int) -> None:
        self._left -= number
        if self._left < 0:
            raise InputError(
                f"unsafe archive, its {self._size} bytes unpack to more than {self._bytes}, which audio never does"
            )


def _reason(error: Exception) -> str:
    """Return one printable line; tarfile adds a line for each compression that it tried."""
    line = str(error).partition("\n")[0].rstrip(":") or type(error).__name__
    return printable(line)


def _leads_out(name: str) -> bool:
    """Return whether a path leads out of its archive on any system: Windows takes backslashes and drives, too."""
    path = PureWindowsPath(name)
    return bool(path.root) or ".." in path.parts or ":" in name or "\0" in name


def _members(archive: Path, work: Path) -> Iterator[tuple[str, int, Callable[[], IO[bytes] | None]]]:
    """Iterate over the files of an archive: name, bytes to read to get past it, and a function that opens it."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            for info in file.infolist():
                if not info.is_dir():
                    yield info.filename, 0, lambda info=info: file.open(info)
        return
    with tarfile.open(archive) as file:
        for member in file:
            if member.isreg() or member.issym() or member.islnk():
                yield member.name, member.size, lambda member=member: _open(file, member, work)


def _open(file: tarfile.TarFile, member: tarfile.TarInfo, work: Path) -> IO[bytes] | None:
    """Open a member, if the standard library's filter, where it has one, considers it safe."""
    data_filter = getattr(tarfile, "data_filter", None)  # Python 3.10 before 3.10.12 has none
    if data_filter is not None and member.isreg():
        data_filter(member, str(work))
    return file.extractfile(member)


def _write(open_member: Callable[[], IO[bytes] | None], path: Path, budget: _Budget) -> None:
    """Write a file of the archive."""
    stream = open_member()
    if stream is None:  # a link to a folder
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # the archive's own: in a tar, the last file of a name counts
    create(path)
    with stream, path.open("wb") as file:
        while block := stream.read(BLOCK):
            budget.count_bytes(len(block))
            file.write(block)
