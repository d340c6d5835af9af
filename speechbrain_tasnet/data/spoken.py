"""Who speaks when in the mixtures of a manifest, where the corpus says so."""

from pathlib import Path

from speechbrain_tasnet.data.read_manifest import SEGMENTS, Item, read_manifest
from speechbrain_tasnet.data.segments import read_segments
from speechbrain_tasnet.errors import InputError
from speechbrain_tasnet.evaluation.diarization import Turn


def read_turns(manifest: Path | str, data_folder: Path | str, num_spks: int) -> dict[str, list[Turn]]:
    """Read when each source of each mixture speaks, from the segments that the manifest names.

    A segment is of the source whose folder its ``source`` names: ``s1`` is in the folder ``s1``, or in
    ``s1_anechoic``. Segments of others, who are not among the sources of the task, are left out.

    Parameters
    ----------
    manifest : path-like
        CSV file, see `manifest.write_manifests`.
    data_folder : path-like
        What ``$data_root`` stands for.
    num_spks : int
        Sources that it has.

    Returns
    -------
    dict
        By id: for each segment the number of its source, from 0, start and end in seconds. Empty where not every
        mixture has segments, or none of them is of a source, as where one source is all speakers.

    Raises
    ------
    InputError
        Segments that the manifest names are missing, or do not say of which source they are.
    """
    items = read_manifest(manifest, data_folder, num_spks)
    if not all(item.get(SEGMENTS) for item in items.values()):
        return {}
    try:
        found = {name: _turns(item, num_spks) for name, item in items.items()}
    except InputError as error:
        raise InputError(
            f"{error}; repair it, or delete the column {SEGMENTS} of {manifest} to compare with activity by energy"
        ) from None
    return found if any(found.values()) else {}


def _turns(item: Item, num_spks: int) -> list[Turn]:
    folders = [Path(item[f"s{number}_wav"]).parent.name for number in range(1, num_spks + 1)]
    return [
        (voice, segment.start, segment.end)
        for segment in read_segments(Path(item[SEGMENTS]), named="source")
        for voice, folder in enumerate(folders)
        if folder == segment.speaker or folder.startswith(f"{segment.speaker}_")
    ]
