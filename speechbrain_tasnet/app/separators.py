"""The separators that a page offers."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from speechbrain_tasnet.bundle import find_bundle
from speechbrain_tasnet.doctor.models import describe_separator, find_separators
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.separation.pretrained import TasNetSeparation

KEPT = 4  # that have been used last stay in memory


class Separators:
    """Separators by the names that a page shows, the one that is chosen first before the others.

    Parameters
    ----------
    first : path-like
        As `find_bundle` takes it.
    folders : sequence of Path
        With others.

    Raises
    ------
    InputError
        The first cannot be loaded, or a folder has none.

    Examples
    --------
    >>> Separators("convtasnet-8k-2spk-noisy", []).names
    ['convtasnet-8k-2spk-noisy: 2 voices in noise and rooms', \
'convtasnet-8k-2mic-noisy: 2 voices in noise and rooms, 2 microphones', 'convtasnet-8k-2spk: 2 voices', \
'convtasnet-8k-2spk-live: 2 voices, live (8 ms)', 'convtasnet-8k-talk: 1 to 3 voices', \
'convtasnet-8k-talk-live: 1 to 2 voices, live (8 ms)']
    """

    def __init__(self, first: Path | str, folders: Sequence[Path]):
        self._folders: dict[str, str] = {}
        places = {str(find_bundle(place).resolve()): place for place in (first, *find_separators(folders))}
        for number, place in enumerate(places.values()):
            facts = describe_separator(place, timed=False)
            if "error" not in facts:
                name = f"{facts['name']}: {facts['for']}"
                self._folders[f"{name} ({place})" if name in self._folders else name] = facts["folder"]
            elif number == 0:
                raise InputError(facts["error"])

    @property
    def names(self) -> list[str]:
        """All names."""
        return list(self._folders)

    def load(self, name: str) -> TasNetSeparation:
        """Load a separator by its name.

        Raises
        ------
        InputError
            There is none, or it is damaged.
        """
        if name not in self._folders:
            raise InputError(f"{name}: no such separator; choose one of {', '.join(self._folders)}")
        return _load(self._folders[name])


@lru_cache(KEPT)
def _load(folder: str) -> TasNetSeparation:
    return TasNetSeparation.from_bundle(folder)
