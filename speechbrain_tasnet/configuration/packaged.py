"""The YAML files that come with the package: recipes, networks and studies, each known by its name."""

from pathlib import Path

import speechbrain_tasnet.hparams

PACKAGED = Path(speechbrain_tasnet.hparams.__file__).parent

MODELS = PACKAGED / "model"
STUDIES = PACKAGED / "study"


def names_in(folder: Path) -> list[str]:
    """List what is in one of these folders, in alphabetical order.

    Parameters
    ----------
    folder : Path
        ``PACKAGED`` for the recipes, ``MODELS`` or ``STUDIES``.

    Returns
    -------
    list of str
        Names without ``.yaml``.

    Examples
    --------
    >>> names_in(STUDIES)
    ['microphones', 'same', 'skip', 'table2', 'table3', 'toolkits']
    """
    return sorted(file.stem for file in folder.glob("*.yaml"))
