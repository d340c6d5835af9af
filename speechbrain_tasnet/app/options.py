"""The options of the page."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from speechbrain_tasnet.errors import InputError, whole_number
from speechbrain_tasnet.shipped import DEFAULT


@dataclass(frozen=True)
class AppOptions:
    """How a page is served.

    Parameters
    ----------
    model : path-like
        Separator that is chosen first: a bundled one by its name, a folder of one, or of a training run.
    models : sequence of Path
        Folders to search, at any depth, for more separators to choose from.
    out : Path, optional
        Folder in which results are kept, each in one of its own; otherwise they go with the page.
    host : str
        Address to listen at; all but ``127.0.0.1``, ``::1`` and ``localhost`` let other machines in.
    port : int, optional
        To listen at; by default the first from 7860 on that is free.
    max_minutes, max_megabytes : float
        Longer recordings and larger files are refused.
    at_once : int
        Recordings that are separated at the same time; others wait.

    Raises
    ------
    InputError
        A value is out of range.
    """

    model: Path | str = DEFAULT
    models: Sequence[Path] = ()
    out: Path | None = None
    host: str = "127.0.0.1"
    port: int | None = None
    max_minutes: float = 60.0
    max_megabytes: float = 1000.0
    at_once: int = 1

    def __post_init__(self):
        for name in ("max_minutes", "max_megabytes"):
            if not 0 < getattr(self, name) < float("inf"):
                raise InputError(f"{name}={getattr(self, name)!r}: expected a number above 0")
        if self.port is not None:
            whole_number("port", self.port, maximum=65535)
        whole_number("at_once", self.at_once)

    @property
    def private(self) -> bool:
        """Whether this machine alone reaches the page.

        Examples
        --------
        >>> AppOptions().private, AppOptions(host="localhost").private, AppOptions(host="0.0.0.0").private
        (True, True, False)
        """
        try:
            return self.host == "localhost" or ip_address(self.host).is_loopback
        except ValueError:
            return False
