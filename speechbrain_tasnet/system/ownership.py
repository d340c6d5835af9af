"""Ownership of files in folders that others can write to, where guessable names may have been planted."""

import errno
import os
import secrets
import stat
from pathlib import Path

from speechbrain_tasnet.errors import InputError

# Links are not followed where the system can be asked for that; Windows cannot be, and lets few people make any.
NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
LONGEST_NAME = 255  # bytes, on all common disks


def secret_name(kind: str) -> str:
    """Return a hidden file name that nobody can guess, short enough for every disk.

    Examples
    --------
    >>> len(secret_name(".partial"))
    48
    """
    return f".tasnet{kind}-{secrets.token_hex(16)}"


def create(path: Path | str) -> None:
    """Create an empty file, and fail where there is anything of that name, a link too.

    Raises
    ------
    OSError
        It cannot be created.
    """
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NOFOLLOW, 0o666))


def no_links(path: str, flags: int) -> int:
    """Open a file, but not a link, as the ``opener`` of `open`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, open(f"{folder}/log", "ab", opener=no_links) as file:
    ...     file.write(b"line")
    4
    """
    return os.open(path, flags | NOFOLLOW, 0o666)


def check_own(path: Path) -> None:
    """Refuse a file or folder that somebody else may have put there.

    Parameters
    ----------
    path : Path
        There already, under a name that anybody could have guessed.

    Raises
    ------
    InputError
        It is a link, belongs to another user or, a folder, can be written to by everybody.
    """
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        raise InputError(
            f"{path}: is a link; expected what an earlier run left; delete it or choose another place"
        )
    if not hasattr(os, "geteuid"):  # Windows keeps owners elsewhere
        return
    if found.st_uid not in (os.geteuid(), _owner_of_new_files(path)):
        raise InputError(
            f"{path}: belongs to another user (number {found.st_uid}), so it is not touched; have it deleted or "
            "choose another place"
        )
    if stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_IWOTH:
        raise InputError(f"{path}: anyone can write to it, so it is not trusted; delete it and start again")


def _owner_of_new_files(path: Path) -> int | None:
    """Return to whom a new file beside ``path`` belongs: some mounts give every file one owner."""
    probe = path.with_name(secret_name(".probe"))
    try:
        create(probe)
    except OSError:
        return None
    owner = probe.lstat().st_uid
    probe.unlink()
    return owner


def make_private_folder(path: Path) -> None:
    """Make a folder, and those above it, that nobody else can look into until `open_up`.

    Raises
    ------
    OSError
        It is there, or cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path.parent)) from None
    if os.name == "posix":
        path.mkdir(mode=0o700)
    else:  # to Windows this mode is a list of rights that stays
        path.mkdir()


def open_up(path: Path) -> None:
    """Give a folder the permissions that a new one beside it would get."""
    if os.name != "posix":
        return
    probe = path.with_name(secret_name(".probe"))
    probe.mkdir()
    try:
        path.chmod(stat.S_IMODE(probe.stat().st_mode))
    finally:
        probe.rmdir()
