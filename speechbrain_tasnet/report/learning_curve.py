"""The learning curve: read from the train log, and drawn as a picture for a browser."""

import re
from pathlib import Path

from speechbrain_tasnet.report.charts import lay_out_curve, page_template
from speechbrain_tasnet.system.files import write_text

EPOCH = re.compile(r"epoch: (\d+), .*train si-snr: ([^,\s]+).*valid si-snr: ([^,\s]+)")


def learning_curve(train_log: Path | str) -> list[dict[str, float]]:
    """Read what SpeechBrain's train logger wrote.

    Parameters
    ----------
    train_log : path-like
        Its file; may be missing.

    Returns
    -------
    list of dict
        One an epoch: ``epoch``, and the mean SI-SNR in dB of ``train`` and ``valid``.
    """
    path = Path(train_log)
    found = EPOCH.findall(path.read_text(encoding="utf-8")) if path.exists() else []
    epochs = {int(epoch): (-float(train), -float(valid)) for epoch, train, valid in found}
    return [{"epoch": epoch, "train": train, "valid": valid} for epoch, (train, valid) in epochs.items()]


def draw_learning_curve(train_log: Path | str, picture: Path | str, title: str) -> None:
    """Draw the learning curve as SVG; the picture is replaced whole or not at all.

    Parameters
    ----------
    train_log : path-like
        SpeechBrain's train log; nothing is drawn before its first epoch.
    picture : path-like
        The file to write.
    title : str
        Name of the run.
    """
    curve = lay_out_curve(learning_curve(train_log))
    if curve is not None:
        write_text(picture, page_template("learning_curve.svg.j2").render(title=title, curve=curve))
