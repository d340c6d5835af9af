"""From a bundle to a repository of the Hugging Face hub: checked, completed, and uploaded in one commit."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi, get_token, hf_hub_url
from huggingface_hub.utils import HfHubHTTPError, OfflineModeIsEnabled, RepositoryNotFoundError

from speechbrain_tasnet import __version__
from speechbrain_tasnet.bundle import find_bundle, load_bundle, save_bundle
from speechbrain_tasnet.bundle.card import CARD, complete_card
from speechbrain_tasnet.bundle.hub import NEWEST, NO_ANSWER, HubName
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.publish.sample import Sample
from speechbrain_tasnet.separation.pretrained import TasNetSeparation
from speechbrain_tasnet.system.files import write_text

SAMPLES = "samples"  # folder of what can be listened to


def assemble(
    bundle: Path | str, out: Path, name: HubName, sample: Path | None = None, silent: bool = False
) -> None:
    """Make the folder that is uploaded: the bundle, its card completed, and something to listen to.

    Parameters
    ----------
    bundle : path-like
        As `find_bundle` takes it.
    out : Path
        Folder to make.
    name : HubName
        Where it will be on the hub.
    sample : Path, optional
        A mixture to separate for the card; by default it is one of synthetic voices.
    silent : bool
        Whether there is nothing to listen to.

    Raises
    ------
    InputError
        There is no bundle, it is damaged, its card or the sample cannot be read, or the synthesiser of the voices
        is not installed.
    """
    found = find_bundle(bundle)
    model, config = load_bundle(found)
    save_bundle(out, model, config.sample_rate, config.about, config.dtype)
    card = found / CARD if (found / CARD).is_file() else out / CARD
    listen = "" if silent else _listen(out, name, sample)
    write_text(out / CARD, complete_card(_read(card), config, name.repository, listen))


def upload(folder: Path, name: HubName, private: bool = False) -> str:
    """Upload a folder in one commit, into a repository that is made if it is not there.

    Parameters
    ----------
    folder : Path
        As `assemble` makes it.
    name : HubName
        The repository, and the branch if it is not ``main``.
    private : bool
        Whether the repository is for its owner alone.

    Returns
    -------
    str
        Address of the commit.

    Raises
    ------
    InputError
        Nobody is logged in, the hub cannot be reached or refuses it, or the repository is there and public
        although it should be private.
    """
    if get_token() is None:
        raise InputError(
            f"{name}: nobody is logged in to the Hugging Face hub; run `hf auth login`, or set HF_TOKEN"
        )
    api = HfApi(library_name="speechbrain_tasnet", library_version=__version__)
    files = [CommitOperationAdd(file.relative_to(folder).as_posix(), file) for file in all_files(folder)]
    with _explained(name):
        # None is what the owner has chosen for all that is new; an organisation may want it private.
        api.create_repo(name.repository, private=private or None, exist_ok=True)
        if private and not api.model_info(name.repository).private:
            raise InputError(f"{name}: already exists, and public; make it private on its page, or choose another")
        if name.revision not in (None, NEWEST):
            api.create_branch(name.repository, branch=name.revision, exist_ok=True)
        message = f"Upload a separator with speechbrain_tasnet {__version__}"
        # Not upload_folder, which may cut what it uploads into several commits.
        commit = api.create_commit(name.repository, files, commit_message=message, revision=name.revision)
    return commit.commit_url


def all_files(folder: Path) -> list[Path]:
    """List the files of a folder and all folders in it."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _listen(out: Path, name: HubName, mixture: Path | None) -> str:
    """Write a mixture and its sources; return what plays them in the card, if there is any."""
    separator = TasNetSeparation.from_bundle(out, device="cpu")
    if mixture is not None:
        sample = Sample.of_file(mixture, separator)
    else:
        try:
            sample = Sample.of_synthetic_voices(separator)
        except InputError as error:
            raise InputError(f"{error}; or give --sample MIXTURE or --no-sample") from None
        if sample is None:
            return ""
    players = []
    for title, file in sample.write(separator, out / SAMPLES):
        path = file.relative_to(out).as_posix()
        address = hf_hub_url(name.repository, path, revision=name.revision or NEWEST, endpoint=HfApi().endpoint)
        players.append((title, f'<audio controls preload="none" src="{address}"></audio>'))
    rows = [[cell for cell, _ in players], ["---"] * len(players), [cell for _, cell in players]]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"{sample.words}, before and after:\n\n{table}"


def _read(card: Path) -> str:
    try:
        return card.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{card}: cannot be read ({error}); expected text in UTF-8") from None


@contextmanager
def _explained(name: HubName) -> Iterator[None]:
    """Describe in one line why nothing was uploaded."""
    try:
        yield
    except InputError:
        raise
    except OfflineModeIsEnabled:
        line = "HF_HUB_OFFLINE is set, so nothing can be uploaded"
    except RepositoryNotFoundError:
        line = "the Hugging Face hub does not accept the login; check the token, or run `hf auth login`"
    except HfHubHTTPError as error:
        reason = _short(error.server_message or error)
        line = f"the Hugging Face hub refuses it ({reason}); check that the token may write"
    except ValueError as error:  # what is wrong with the card, says the hub
        line = f"the Hugging Face hub refuses the card ({_short(error)}); correct its front matter"
    except NO_ANSWER as error:
        line = f"the Hugging Face hub cannot be reached ({_short(error)}); check the network connection"
    except RuntimeError as error:  # of a large file; with the reason behind it
        line = f"the upload was interrupted ({_short(error.__cause__ or error)}); try again"
    else:
        return
    raise InputError(f"{name}: {line}")


def _short(reason: object) -> str:
    """Write a reason, of however many lines, as a part of one."""
    return " ".join(str(reason).split())[:300]
