"""The learning curve: read from a run's ledger, and drawn as a picture for a browser."""

import json
from collections.abc import Sequence
from pathlib import Path

from speechbrain_tasnet.report.charts import lay_out_curve, page_template
from speechbrain_tasnet.system.files import write_text


def learning_curve(ledger: Path | str) -> list[dict[str, float]]:
    """Read the learning curve of a run.

    Parameters
    ----------
    ledger : path-like
        Its ``ledger.json``; may be missing.

    Returns
    -------
    list of dict
        One an epoch: ``epoch``, and the mean SI-SNR in dB of ``train`` and ``valid``.
    """
    path = Path(ledger)
    return json.loads(path.read_text(encoding="utf-8"))["curve"] if path.exists() else []


def draw_learning_curve(points: Sequence[dict[str, float]], picture: Path | str, title: str) -> None:
    """Draw a learning curve as SVG; the picture is replaced whole or not at all.

    Parameters
    ----------
    points : sequence of dict
        As `learning_curve` returns them; without any nothing is drawn.
    picture : path-like
        The file to write.
    title : str
        Name of the run.
    """
    curve = lay_out_curve(points)
    if curve is not None:
        write_text(picture, page_template("learning_curve.svg.j2").render(title=title, curve=curve))
