"""Check that a checkpoint's files are as they were written: a crash of a machine can leave some empty."""

import json
import zipfile
from collections.abc import Iterable
from pathlib import Path

import yaml

META = "CKPT.yaml"  # SpeechBrain's, which marks a folder as a checkpoint
SIZES = "sizes.json"


def record_sizes(folder: Path) -> None:
    """Write down the size of each file of a checkpoint.

    Parameters
    ----------
    folder : Path
        The checkpoint, complete.
    """
    sizes = {file.name: file.stat().st_size for file in sorted(folder.iterdir())}
    (folder / SIZES).write_text(json.dumps(sizes, indent=1) + "\n", encoding="utf-8")


def damage(folder: Path, required: Iterable[str]) -> str | None:
    """Compare the files of a checkpoint with what is written down about them.

    Parameters
    ----------
    folder : Path
        The checkpoint.
    required : iterable of str
        What is to be loaded from it: in a checkpoint of an earlier version, which has no sizes, these have files.

    Returns
    -------
    str or None
        What is wrong, for a message.
    """
    if (folder / SIZES).exists():
        try:
            sizes = json.loads((folder / SIZES).read_text(encoding="utf-8"))
        except ValueError:
            return f"{SIZES} cannot be read"
        expected = {name: int(size) for name, size in sizes.items()}
    else:
        expected = {META: None} | {f"{name}.ckpt": None for name in required}
        expected |= {file.name: None for file in folder.iterdir()}
    for name, size in sorted(expected.items()):
        file = folder / name
        if not file.exists():
            return f"{name} is missing"
        found = file.stat().st_size
        if not found and size != 0:
            return f"{name} is empty"
        if size is not None and found != size:
            return f"{name} has {found:,} bytes instead of {size:,}"
        if _is_cut_short(file):
            return f"{name} is cut short"
    return None if _has_a_time(folder / META) else f"{META} cannot be read"


def _is_cut_short(file: Path) -> bool:
    """Return whether what `torch.save` wrote, a zip file, lacks its end."""
    with file.open("rb") as opened:
        return opened.read(2) == b"PK" and not zipfile.is_zipfile(file)


def _has_a_time(meta: Path) -> bool:
    """Return whether SpeechBrain can tell how old a checkpoint is."""
    try:
        found = yaml.safe_load(meta.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError):
        return False
    return isinstance(found, dict) and {"unixtime", "end-of-epoch"} <= found.keys()
