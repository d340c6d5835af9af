"""Download an archive of speech or noise, continuing an earlier run, then check and unpack it."""

import json
import re
import shutil
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tqdm import tqdm

from speechbrain_tasnet import __version__
from speechbrain_tasnet.errors import DiskError, InputError
from speechbrain_tasnet.generate.download_table import find_source
from speechbrain_tasnet.generate.unpack import unpack, verify
from speechbrain_tasnet.system.files import OPTIONS, check_not_there, resumable_folder, write_text
from speechbrain_tasnet.system.ownership import no_links
from speechbrain_tasnet.system.printable import printable

BLOCK = 2**18
TIMEOUT = 60  # seconds without a byte
LARGEST = 2**37  # bytes of an archive whose size is not known: four times the largest of the table
RANGE_NOT_SATISFIABLE = 416
PARTIAL_CONTENT = 206


class UnfinishedError(DiskError):
    """The connection was lost midway; what was downloaded is sound, and the next run resumes."""


def download(name: str, out: Path | str, mirror: str | None = None, keep: bool = False) -> Path:
    """Download an archive and unpack it.

    A run that was killed, or lost its connection, is continued by the next one.

    Parameters
    ----------
    name : str
        One of `download_table.SOURCES`.
    out : path-like
        Folder to unpack in. What the archive unpacks to appears there when it is complete.
    mirror : str, optional
        Address of a folder that holds the archive, instead of the publisher's.
    keep : bool
        Keep the archive, in `out`.

    Returns
    -------
    pathlib.Path
        The folder that it unpacked to.

    Raises
    ------
    InputError
        There is no such name, `out` already holds it, the server cannot be reached or has no such file, the
        checksum is wrong, the file is not an archive, or the disk is full.
    """
    source = find_source(name)
    address = source.address(mirror)
    target = Path(out) / source.folder
    kept = Path(out) / source.archive
    if keep:
        check_not_there([kept])
    with resumable_folder(target, {"name": name}) as folder:
        archive = folder / f".{source.archive}"
        fetch(address, archive, source.size)
        try:
            if source.checksum:
                verify(archive, source.checksum)
            unpack(archive, source.folder, folder, {archive.name, _note(archive).name, OPTIONS})
        except DiskError:
            raise
        except InputError as error:
            archive.unlink()
            raise InputError(f"{address}: {error}; the file was removed, try again or another --mirror") from None
        if keep:
            check_not_there([kept])
            archive.replace(kept)
        archive.unlink(missing_ok=True)
        _note(archive).unlink()
    return target


def fetch(address: str, path: Path, expected: int | None = None) -> None:
    """Download a file, or the rest of it.

    What the server says of the file is kept beside it: the server sends the rest only of the same file
    (If-Range, RFC 9110), and where it sends another all the same, the download starts again.

    Parameters
    ----------
    address : str
        Web address of the file.
    path : pathlib.Path
        Where it goes; ``PATH.json`` beside it holds what the server said.
    expected : int, optional
        Bytes that it has, where that is known; the server is not believed more than that, nor more than `LARGEST`.

    Raises
    ------
    InputError
        The server cannot be reached, does not have the file or sends more, or the disk has no room for it. What
        was downloaded by then stays (`UnfinishedError`, `DiskError`).
    """
    have, known = 0, {}
    if path.exists() and _note(path).exists():
        have, known = path.stat().st_size, json.loads(_note(path).read_text(encoding="utf-8"))
    if have and have == known["size"]:
        return
    response = _ask(address, have, known)
    if response.status == PARTIAL_CONTENT and (_identity(response) != known or _start(response) != have):
        response.close()
        response = _ask(address, 0, {})
    with response:
        told = _identity(response)
        if response.status != PARTIAL_CONTENT:
            have = 0
            path.unlink(missing_ok=True)
            write_text(_note(path), json.dumps(told))
        _check_room(path, (told["size"] or 0) - have)
        limit = LARGEST if expected is None else expected
        if (told["size"] or 0) > limit:
            path.unlink(missing_ok=True)
            raise InputError(
                f"{address}: has {told['size']} bytes where {limit} are expected; try another --mirror"
            )
        _copy(response, address, path, have, told["size"], limit)


def _note(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _ask(address: str, have: int, known: dict) -> HTTPResponse:
    """Request a file, or the rest of one that has not changed since its first part was downloaded."""
    headers = {"User-Agent": f"speechbrain-tasnet/{__version__}"}
    if have:
        headers["Range"] = f"bytes={have}-"
        # A weak tag does not vouch for bytes.
        strong = known["etag"] if not (known["etag"] or "W/").startswith("W/") else None
        if strong or known["modified"]:
            headers["If-Range"] = strong or known["modified"]
    try:
        return urlopen(Request(address, headers=headers), timeout=TIMEOUT)
    except HTTPError as error:
        if error.code == RANGE_NOT_SATISFIABLE and have:
            return _ask(address, 0, {})
        reason = printable(str(error.reason))
        raise InputError(f"{address}: the server answered {error.code} {reason}; try --mirror") from None
    except (OSError, HTTPException, ValueError) as error:
        reason = printable(str(getattr(error, "reason", error)))
        raise InputError(f"{address}: cannot be reached ({reason}); check the network or try --mirror") from None


def _identity(response: HTTPResponse) -> dict:
    """Return what says whether it is the same file: tag, date and size of the whole; None where not stated."""
    headers = response.headers
    if response.status == PARTIAL_CONTENT:
        size = headers.get("Content-Range", "").rpartition("/")[2]
    else:
        size = headers.get("Content-Length", "")
    return {
        "etag": headers.get("ETag"),
        "modified": headers.get("Last-Modified"),
        "size": int(size) if size.isdecimal() else None,
    }


def _start(response: HTTPResponse) -> int | None:
    """Return which byte of the file a partial answer begins with."""
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(found[1]) if found else None


def _check_room(path: Path, needed: int) -> None:
    """Refuse a file that the disk has no room for."""
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise InputError(
            f"{path.parent}: {needed / 1e9:.2f} GB to download, {free / 1e9:.2f} GB free; make room or choose "
            "another --out"
        )


def _copy(response: HTTPResponse, address: str, path: Path, have: int, size: int | None, limit: int) -> None:
    """Append an answer to a file."""
    most = limit if size is None else size
    bar = tqdm(total=size, initial=have, desc="downloading", unit="B", unit_scale=True, disable=None)
    try:
        with open(path, "ab", opener=no_links) as file, bar:
            while block := _read(response, address):
                if have + len(block) > most:
                    break
                file.write(block)
                have += len(block)
                bar.update(len(block))
    except OSError as error:
        raise DiskError(f"{path}: cannot be written ({error.strerror}); check the folder and disk space") from None
    if block:
        path.unlink()
        raise InputError(f"{address}: sends more than {most} bytes; the file was removed, try another --mirror")
    if size is not None and have != size:
        raise UnfinishedError(f"{address}: the connection ended after {have} of {size} bytes; repeat to resume")


def _read(response: HTTPResponse, address: str) -> bytes:
    """Read a part of an answer."""
    try:
        return response.read(BLOCK)
    except (OSError, HTTPException) as error:
        raise UnfinishedError(
            f"{address}: the connection was lost ({printable(str(error))}); repeat to resume"
        ) from None
