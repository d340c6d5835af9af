"""Build the wheel from a copy of the checkout, without remains of earlier builds, without downloads."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
IGNORED = shutil.ignore_patterns(".*", "build", "results", "site", "*.egg-info", "__pycache__")


def build_wheel(out: Path) -> Path:
    """Build the wheel in a folder.

    Parameters
    ----------
    out : Path
        Where it and the copy of the checkout go.

    Returns
    -------
    Path
        The wheel.
    """
    source = shutil.copytree(ROOT, out / "source", ignore=IGNORED)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    return next(out.glob("*.whl"))
