"""Check an archive and unpack one folder of it, wherever it comes from."""

import gzip
import hashlib
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from tqdm import tqdm

from speechbrain_tasnet.errors import DiskError, InputError

BLOCK = 2**20
BESIDE = ".beside"
# What the readers raise; a link without its file is a KeyError.
BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, gzip.BadGzipFile, KeyError)


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


def unpack(archive: Path, folder: str, target: Path) -> None:
    """Unpack a folder of an archive; files that lie beside it, such as a licence, go beside the target.

    Nothing is written elsewhere: a path that leads out of the archive is refused, and a link becomes a copy of
    the archive's file that it names.

    Parameters
    ----------
    archive : pathlib.Path
        A zip file, or a tar file with any compression.
    folder : str
        Path of the folder in the archive.
    target : pathlib.Path
        Folder that gets its content; what an earlier, unfinished run unpacked there is replaced.

    Raises
    ------
    InputError
        It is no archive, is damaged, leads out of itself or lacks the folder; or the disk is full (`DiskError`).
    """
    wanted = PurePosixPath(folder)
    found = False
    try:
        for name, open_member in tqdm(_members(archive), desc="unpacking", unit=" files", disable=None):
            if _leads_out(name):
                raise InputError(f"unsafe archive, {name!r} leads out of it")
            path = PurePosixPath(name)
            if path.is_relative_to(wanted):
                found = True
                _write(open_member, target / path.relative_to(wanted))
            elif path.parent == wanted.parent:
                _write(open_member, target / BESIDE / path.name)
    except BROKEN as error:
        # tarfile adds a line for each compression that it tried.
        reason = str(error).partition("\n")[0].rstrip(":")
        raise InputError(f"no archive, or a damaged one ({reason})") from None
    except OSError as error:
        raise DiskError(f"{target}: cannot be written ({error.strerror}); see to folder and disk space") from None
    if not found:
        raise InputError(f"no folder {folder} in the archive")
    if (target / BESIDE).exists():
        for path in (target / BESIDE).iterdir():
            path.replace(target.parent / path.name)
        (target / BESIDE).rmdir()


def _leads_out(name: str) -> bool:
    """Return whether a path leads out of its archive on any system: Windows takes backslashes and drives, too."""
    path = PureWindowsPath(name)
    return bool(path.root) or ".." in path.parts or ":" in name


def _members(archive: Path) -> Iterator[tuple[str, Callable[[], IO[bytes] | None]]]:
    """Go through the files of an archive: the name of each, and what opens it."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            for info in file.infolist():
                if not info.is_dir():
                    yield info.filename, lambda info=info: file.open(info)
        return
    with tarfile.open(archive) as file:
        for member in file:
            if member.isreg() or member.issym() or member.islnk():
                yield member.name, lambda member=member: file.extractfile(member)


def _write(open_member: Callable[[], IO[bytes] | None], path: Path) -> None:
    """Write a file of the archive."""
    stream = open_member()
    if stream is None:  # a link to a folder
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with stream, path.open("wb") as file:
        shutil.copyfileobj(stream, file, BLOCK)
