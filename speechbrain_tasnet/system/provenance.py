"""What a result came from: command line, versions, machine and the state of the code."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import torch

from speechbrain_tasnet import __version__
from speechbrain_tasnet.installation import installed
from speechbrain_tasnet.system.files import write_text

PACKAGES = ("torch", "torchaudio", "speechbrain", "numpy", "scipy", "numba", "soundfile")


def record_start(path: Path | str, command: Sequence[str], slow_paths: Mapping[str, str]) -> None:
    """Add a start of a run to the list of its starts; a run that is resumed has several.

    Beside it lie SpeechBrain's ``hyperparams.yaml``, the configuration with all overrides, and ``env.log``.

    Parameters
    ----------
    path : path-like
        JSON file.
    command : sequence of str
        The words of the command line.
    slow_paths : mapping
        Which fast paths are not taken on this machine, and why.
    """
    path = Path(path)
    starts = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    starts.append(
        {
            "time": datetime.now().astimezone().isoformat(timespec="seconds"),
            "command": list(command),
            "folder": os.getcwd(),
            "git": git_state(Path.cwd()),
            "versions": {"speechbrain_tasnet": __version__, "python": platform.python_version()}
            | {name: installed(name) for name in PACKAGES},
            "machine": {"system": platform.platform(), "cores": os.cpu_count(), "threads": torch.get_num_threads()}
            | {"gpus": gpus, "processes": int(os.environ.get("WORLD_SIZE", 1))},
            "slow paths": dict(slow_paths),
            "program": sys.argv[0],
        }
    )
    write_text(path, json.dumps(starts, indent=1) + "\n")


def git_state(folder: Path) -> dict[str, str | list[str]] | None:
    """Return which commit a folder is at, and what differs from it.

    Parameters
    ----------
    folder : Path
        Any folder.

    Returns
    -------
    dict or None
        ``revision`` and the tracked files ``changed`` since; None outside a checkout, or without git.
    """
    revision = _git(folder, "rev-parse", "HEAD")
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    if revision is None or changed is None:
        return None
    return {"revision": revision.strip(), "changed": [line[3:] for line in changed.splitlines()]}


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], cwd=folder, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.decode("utf-8", "replace")  # as git has names, whatever the system's encoding is
