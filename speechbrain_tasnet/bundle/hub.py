"""Bundles on the Hugging Face hub: their names there, and their download into the local cache.

`find_separator` is a `find_bundle` that also looks on the hub, for names that can be nothing else. From a
repository it takes the configuration, the weights and the card; these hold no code, and `load_bundle` trusts them
as little as those of any folder.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import HfApi, hf_hub_url, try_to_load_from_cache
from huggingface_hub.utils import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    validate_repo_id,
)

from speechbrain_tasnet import __version__
from speechbrain_tasnet.bundle import CONFIG_LIMIT, find_bundle, read_config
from speechbrain_tasnet.bundle.card import CARD
from speechbrain_tasnet.bundle.config import CONFIG
from speechbrain_tasnet.bundle.weights_file import HEADER_LIMIT, WEIGHTS, WEIGHTS_LIMIT
from speechbrain_tasnet.errors import DiskError, InputError, similar
from speechbrain_tasnet.shipped import bundled_names

logger = logging.getLogger(__name__)

NEWEST = "main"
CARD_LIMIT = 2**20  # bytes
LIMITS = {CONFIG: CONFIG_LIMIT, WEIGHTS: HEADER_LIMIT + WEIGHTS_LIMIT, CARD: CARD_LIMIT}

# What its HTTP client raises where no answer comes: an OSError in older versions of huggingface_hub, else another.
NO_ANSWER = (OSError, *HfHubHTTPError.__bases__)


class HubName(NamedTuple):
    """The name of a repository on the hub, and which revision of it is meant: a commit, a tag or a branch."""

    repository: str
    revision: str | None = None

    def __str__(self) -> str:
        """Write it as it is given."""
        return self.repository if self.revision is None else f"{self.repository}@{self.revision}"

    @classmethod
    def parse(cls, text: str) -> "HubName | None":
        """Read ``owner/name`` or ``owner/name@revision``; None for anything else.

        Examples
        --------
        >>> HubName.parse("owner/name@v1.0")
        HubName(repository='owner/name', revision='v1.0')
        >>> [HubName.parse(text) for text in ("name", "./owner/name", "owner/name/", "/owner/name", "owner/name@")]
        [None, None, None, None, None]
        """
        repository, at, revision = text.partition("@")
        if repository.count("/") != 1 or (at and not revision) or not text.isprintable() or " " in text:
            return None
        try:
            validate_repo_id(repository)
        except HFValidationError:
            return None
        return cls(repository, revision or None)


def find_separator(name: Path | str) -> Path:
    """Find a bundle as `find_bundle` does, and on the Hugging Face hub where nothing here has its name.

    Parameters
    ----------
    name : path-like
        A folder, the name of a bundled separator, or as text ``owner/name`` or ``owner/name@revision``. Where
        there is a folder ``owner`` here, the hub is asked only for what has a revision.

    Returns
    -------
    Path
        Of a folder; for one of the hub, in the cache of huggingface_hub.

    Raises
    ------
    InputError
        There is none, or it cannot be downloaded.
    """
    try:
        return find_bundle(name)
    except InputError as error:
        wanted = HubName.parse(name) if isinstance(name, str) else None
        if wanted is None or Path(name).exists():
            hint = similar(str(name), bundled_names())
            text = str(error).removesuffix(hint)
            raise InputError(f"{text}, or OWNER/NAME of the Hugging Face hub{hint}") from None
        owner = wanted.repository.partition("/")[0]
        if wanted.revision is None and Path(owner).is_dir():
            raise InputError(
                f"{error}; {owner} is a folder here, so the Hugging Face hub is not asked; for a repository "
                f"of that name write {name}@{NEWEST}"
            ) from None
    return download_bundle(wanted)


def download_bundle(name: HubName) -> Path:
    """Download a bundle from the hub into the cache of huggingface_hub, unless it is there.

    The configuration comes first, and the weights only if it is one of a separator. Where the hub cannot be
    reached, the copy is taken that an earlier call has left. A commit that is here is not asked for again.

    Raises
    ------
    InputError
        There is no such repository or revision, it holds no separator, or the hub cannot be reached and nothing of
        it is here; or there is no room (`DiskError`).
    """
    with _explained(name):
        config = _fetch(name.repository, CONFIG, name.revision or NEWEST)
        commit = config.parent.name
        read_config(config)
        _fetch(name.repository, WEIGHTS, commit)
        with suppress(EntryNotFoundError):  # nothing needs it
            _fetch(name.repository, CARD, commit)
    if name.revision != commit:
        logger.warning("%s is commit %s; %s@%s is always this one", name, commit, name.repository, commit)
    return config.parent


def _fetch(repository: str, file: str, revision: str) -> Path:
    """Download a file into the cache, unless it is there or larger than it may be."""
    api = HfApi(library_name="speechbrain_tasnet", library_version=__version__)
    cached = try_to_load_from_cache(repository, file, revision=revision)
    if isinstance(cached, str) and Path(cached).parent.name == revision:
        return Path(cached)  # what is here of a commit is what is there
    size, answered = None, True
    try:
        address = hf_hub_url(repository, file, revision=revision, endpoint=api.endpoint)
        size = api.get_hf_file_metadata(url=address).size
    except (OfflineModeIsEnabled, *NO_ANSWER) as error:
        # What the hub refuses, the download explains; it may take what is here all the same.
        answered = isinstance(error, HfHubHTTPError)
    if size is not None and size > LIMITS[file]:
        raise InputError(f"{file} has {size} bytes; expected a separator, with at most {LIMITS[file]}")
    return Path(api.hf_hub_download(repository, file, revision=revision, local_files_only=not answered))


@contextmanager
def _explained(name: HubName) -> Iterator[None]:
    """Describe in one line why the hub, or the connection to it, failed."""
    try:
        yield
    except InputError as error:
        line = str(error)
    except GatedRepoError:
        page = f"{HfApi().endpoint}/{name.repository}"
        line = f"is only given to those who request it at {page}; do so, and run `hf auth login`"
    except RepositoryNotFoundError:
        line = "no such repository on the Hugging Face hub, or a private one; check the name, or `hf auth login`"
    except RevisionNotFoundError:
        line = f"has no revision {name.revision or NEWEST!r}; expected a commit, a tag or a branch"
    except LocalEntryNotFoundError as error:
        line = "the Hugging Face hub cannot be reached, and no copy of it is here; check the network connection"
        if isinstance(error.__cause__, HfHubHTTPError):
            line = _refusal(error.__cause__)
    except EntryNotFoundError:
        line = f"holds no separator; expected {CONFIG} and {WEIGHTS}, as `tasnet push` puts there"
    except HfHubHTTPError as error:
        line = _refusal(error)
    except NO_ANSWER as error:
        if isinstance(error, OSError) and error.errno and not isinstance(error, ConnectionError):
            raise DiskError(f"{error.filename or name}: {error.strerror}; check HF_HOME and disk space") from None
        line = f"the connection to the Hugging Face hub was lost ({error}); try again to resume"
    else:
        return
    raise InputError(f"{name}: {line}")


def _refusal(error: HfHubHTTPError) -> str:
    return f"the Hugging Face hub refuses it ({' '.join(str(error).split())[:300]})"
